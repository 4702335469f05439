"""The largest network that a native file holds (docs/format.md), asked before memory for it is."""

MAX_LAYERS = 32
# Of each layer where there is one a layer.
LARGEST = {"d_model": 2048, "n_heads": 64, "ffn": 8192, "graph_heads": 64, "scorer_hidden": 4096}
