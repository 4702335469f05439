"""The exported graph's contract: what goes in and out of the sequence and the step graph, in every format.

One graph takes T patches of C channels (docs/runtimes.md); the step graph has T = 1. All tensors are float32.
M, N: rows of the metric and of the raw memory; H_i: heads of layer i; W: the window; S: `smooth`.

    input            shape             meaning
    x                (8 T, C)          samples, cleaned, scaled and clipped (docs/model.md sections 1 and 2)
    valid            (8 T, C)          1 where observed, 0 where filled
    component_shift  (C, T, 8)         added to the raw components: 0, but for a calibration's pass C
    seen             (1,)              tokens since the start of the state machine, at most 64
    history          (C, 56)           squashed samples before x, at the start the first repeated (more for long taps)
    prediction       (C, 9)            the last token's next patch (8) and log b
    kv_i             (C, 2 H_i, W - 1, 32)  K heads, then V heads of the last tokens, a layer each; or
    past_i           (C, 2^(i + 1), d)      a tcn's last inputs of the layer, or
    hidden_i         (C, 32 H_i)            a gru's state
    logits           (C, S - 1)        s of the last tokens, oldest first; absent where smooth is 1
    held             (C, 1)            score_c of the last token; at the start 0
    metric_memory    (C, 2, 33, M)     a head: rows 0..31 hold 2 u / tau, row 32 -1 / tau
    raw_memory       (C, 65, N)        rows 0..63 hold 2 w' / tau, row 64 -|w'|^2 / tau
    short_memory     (C, 17, N)        the same of the raw windows of 16 samples
    level            (C,)              how much of their level the raw windows lose
    voice            (C,)              a channel's weight in the mean over channels; not 0 for all
    center, spread   (C, 8)            of the raw components
    offset, tail     (C,)              of s_bar on the reference

    output           shape             meaning
    score            (T,)              of all channel_score (section 7)
    channel_score    (C, T)            score_c of docs/model.md section 7
    smoothed         (C, T)            s_bar
    components       (C, T, 8)         l_k
    raw_components   (C, T, 8)         c_k, component_shift included
    reconstruction   (C, T, 8)         of the patch, squashed units
    metric           (C, T, 64)        unit embeddings, two heads of 32
    <state>_out                        of seen, history, prediction, a layer each, logits, held: the next call's state

A memory row whose last entry is -`ABSENT` counts nothing (padding of a memory to a fixed size).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

ENCODERS = ("transformer", "tcn", "gru")  # what mixes patches over time; the first one is the native engine's
TAPS = 3  # of a tcn's convolutions, 2^layer tokens apart
PATCH = 8
HEAD_DIM = 32
RAW_WINDOW, SHORT_WINDOW = 64, 16  # samples of the two raw windows
METRIC_HEADS = 2
N_COMPONENTS = 8
MIN_ROWS = 64
SEEN_LIMIT = 64.0
ABSENT = 1e9
OF_HISTORY = (0, 1, 2, 3, 4, 7)  # components that compare with the past
FILLING = RAW_WINDOW // PATCH - 1  # tokens until the raw window is full
MEMORIES = ("metric_memory", "raw_memory", "short_memory")
CALIBRATION = (*MEMORIES, "level", "voice", "center", "spread", "offset", "tail")
# Section 6, of a raw window by its samples: its level is the mean with weights (i + 1)^2 times the second; what is left
# is weighted by i + 1 times the first.
STEPS = {RAW_WINDOW: (0.027063294, 1.118068e-5), SHORT_WINDOW: (0.21650635, 6.684492e-4)}
# Section 7: how a peak decays a token, and what a channel that nothing predicts adds to the fusion's weights.
HOLD_DECAY = 0.9
ERRATIC = (0.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 1.5)
LEAST_VARIATION = 0.3
EXPECTED_DISTANCE = 5.6  # of noise that varies by 1
OUTPUTS = ("score", "channel_score", "smoothed", "components", "raw_components", "reconstruction", "metric")

Shape = tuple[int | str, ...]


@dataclass(frozen=True)
class GraphConfig:
    """The `sanderling.*` keys of docs/format.md that a graph and its driver need; reach: samples of `history`."""

    d_model: int
    n_heads: tuple[int, ...]
    ffn: tuple[int, ...]
    levels: int
    window: int
    graph_heads: int
    scorer_hidden: int
    smooth: int
    top_k: int
    max_gap: int
    cold_samples: int
    memory_tokens: int
    memory_budget: int
    raw_rows: int
    raw_budget: int
    loo_block: int
    clip: float
    metric_tau: float
    raw_tau: float
    reach: int
    variant: str = "unnamed"
    encoder: str = ENCODERS[0]

    @classmethod
    def from_keys(cls, keys: Mapping[str, Any]) -> GraphConfig:
        """From a mapping that holds at least these keys (KeyError, TypeError, ValueError otherwise)."""
        known: dict[str, Any] = {}
        for f in fields(cls):
            value = keys.get(f.name, ENCODERS[0]) if f.name == "encoder" else keys[f.name]
            if f.name in ("n_heads", "ffn"):
                known[f.name] = tuple(int(v) for v in value)
            else:
                known[f.name] = {"int": int, "float": float, "str": str}[str(f.type)](value)
        return cls(**known)

    def to_keys(self) -> dict[str, Any]:
        """Plain types, for a file's metadata."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}

    @property
    def n_layers(self) -> int:
        return len(self.n_heads)

    def memory_shape(self, tokens: int, channels: int) -> tuple[int, int]:
        """(M, N) of a reference of `tokens` patches."""

        def rows(most: int, budget: int, there: int) -> int:
            return min(there, max(MIN_ROWS, min(most, budget // channels)))

        windows = tokens * PATCH - (RAW_WINDOW - 1)
        return rows(self.memory_tokens, self.memory_budget, tokens), rows(self.raw_rows, self.raw_budget, windows)


def reach_of(n_taps: int, levels: int) -> int:
    """Samples of history that the wavelet and the raw window need, in whole patches."""
    wavelet = (n_taps - 1) * (2**levels - 1)
    return -(-max(wavelet, RAW_WINDOW - PATCH) // PATCH) * PATCH


def layer_state(config: GraphConfig, i: int) -> str:
    """Name of what the encoder's layer i remembers."""
    return f"{dict(zip(ENCODERS, ('kv', 'past', 'hidden'), strict=True))[config.encoder]}_{i}"


def state_shapes(config: GraphConfig, channels: int | str) -> dict[str, Shape]:
    """Name -> shape of the state, in the graph's order."""
    shapes: dict[str, Shape] = {"seen": (1,), "history": (channels, config.reach), "prediction": (channels, PATCH + 1)}
    for i, heads in enumerate(config.n_heads):
        shapes[layer_state(config, i)] = {
            "transformer": (channels, 2 * heads, config.window - 1, HEAD_DIM),
            "tcn": (channels, (TAPS - 1) * 2**i, config.d_model),
            "gru": (channels, heads * HEAD_DIM),
        }[config.encoder]
    if config.smooth > 1:
        shapes["logits"] = (channels, config.smooth - 1)
    shapes["held"] = (channels, 1)
    return shapes


def calibration_shapes(channels: int | str, rows: int | str, raw_rows: int | str) -> dict[str, Shape]:
    """Name -> shape of what a calibration sets, in the graph's order."""
    return {
        "metric_memory": (channels, METRIC_HEADS, HEAD_DIM + 1, rows),
        "raw_memory": (channels, RAW_WINDOW + 1, raw_rows),
        "short_memory": (channels, SHORT_WINDOW + 1, raw_rows),
        "level": (channels,),
        "voice": (channels,),
        "center": (channels, N_COMPONENTS),
        "spread": (channels, N_COMPONENTS),
        "offset": (channels,),
        "tail": (channels,),
    }


def input_shapes(
    config: GraphConfig,
    channels: int | str = "channels",
    tokens: int | str = "tokens",
    rows: int | str = "rows",
    raw_rows: int | str = "raw_rows",
) -> dict[str, Shape]:
    """Name -> shape of every input, in the graph's order; a str is a free dimension."""
    samples = PATCH * tokens if isinstance(tokens, int) else "samples"
    return {
        "x": (samples, channels),
        "valid": (samples, channels),
        "component_shift": (channels, tokens, N_COMPONENTS),
        **state_shapes(config, channels),
        **calibration_shapes(channels, rows, raw_rows),
    }


def output_shapes(
    config: GraphConfig, channels: int | str = "channels", tokens: int | str = "tokens"
) -> dict[str, Shape]:
    """Name -> shape of every output, in the graph's order."""
    shapes: dict[str, Shape] = {
        "score": (tokens,),
        "channel_score": (channels, tokens),
        "smoothed": (channels, tokens),
        "components": (channels, tokens, N_COMPONENTS),
        "raw_components": (channels, tokens, N_COMPONENTS),
        "reconstruction": (channels, tokens, PATCH),
        "metric": (channels, tokens, METRIC_HEADS * HEAD_DIM),
    }
    return shapes | {f"{name}_out": shape for name, shape in state_shapes(config, channels).items()}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
