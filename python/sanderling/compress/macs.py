"""Multiply-accumulates, weights and bytes of a network (docs/model.md, section 10).

The one implementation: pruning, reports and tests all count here. Counted is what the engine executes
per patch of 8 samples and channel, attention, decoder, scorer and reference memory included.
"""

from __future__ import annotations

from ..model.config import HEAD_DIM, N_COMPONENTS, ModelConfig
from ..runtime.graph_spec import SHORT_WINDOW

WAVELET_TAPS = 2
ALIGNMENT = 32


def macs(config: ModelConfig, tokens: int = 512, channels: int = 1) -> dict[str, int]:
    """Multiply-accumulates per patch and channel, by part, and their "total".

    Args:
        config: the network.
        tokens: length of the reference in patches; it sets the rows of the memories.
        channels: channels of the recording: graph attention looks at all of them.
    """
    d, graph, scorer = config.d_model, config.graph_heads * HEAD_DIM, config.scorer_hidden
    metric = config.metric_heads * HEAD_DIM
    rows, raw_rows = config.memory_shape(tokens, channels)
    parts = {
        "wavelet": config.levels * WAVELET_TAPS * config.patch,
        "embed": config.in_features * d,
        "attention": sum(4 * d * h * HEAD_DIM + 2 * config.window * h * HEAD_DIM for h in config.n_heads),
        "ffn": sum(2 * d * f for f in config.ffn),
        "metric": metric * d,
        "metric_memory": metric * rows,
        "raw_memory": (config.raw_window + SHORT_WINDOW) * raw_rows,
        "graph": 4 * d * graph + 2 * channels * graph,
        "head": (2 * config.patch + 1) * d,
        "scorer": (d + 2 * N_COMPONENTS) * scorer + scorer,
    }
    return {**parts, "total": sum(parts.values())}


def skipped_macs(config: ModelConfig, tokens: int = 512, channels: int = 1) -> dict[str, int]:
    """What a token that dynamic mode skips still executes (docs/model.md, section 12), by part, and the "total".

    Arguments as in `macs`. "keys_values": the K and V rows of every layer's projection.
    """
    full = macs(config, tokens, channels)
    parts = {key: full[key] for key in ("wavelet", "embed", "raw_memory")}
    parts["keys_values"] = sum(2 * config.d_model * h * HEAD_DIM for h in config.n_heads)
    return {**parts, "total": sum(parts.values())}


def macs_saved(config: ModelConfig, skipped: float, tokens: int, channels: int) -> float:
    """Share of the multiply-accumulates that dynamic mode saves where it skips the share `skipped` of the tokens."""
    full, rest = macs(config, tokens, channels), skipped_macs(config, tokens, channels)
    return skipped * (1 - rest["total"] / full["total"])


def quantised_shapes(config: ModelConfig) -> dict[str, tuple[int, int]]:
    """(N, K) of every INT8 matrix, by its name in docs/format.md, in the file's order."""
    d, graph = config.d_model, config.graph_heads * HEAD_DIM
    shapes: dict[str, tuple[int, int]] = {}
    for i, (heads, ffn) in enumerate(zip(config.n_heads, config.ffn, strict=True)):
        width = heads * HEAD_DIM
        shapes[f"blk.{i}.qkv"] = (3 * width, d)
        shapes[f"blk.{i}.out"] = (d, width)
        shapes[f"blk.{i}.ffn_up"] = (ffn, d)
        shapes[f"blk.{i}.ffn_down"] = (d, ffn)
    shapes["metric"] = (config.metric_heads * HEAD_DIM, d)
    shapes["graph.qkv"] = (3 * graph, d)
    shapes["graph.out"] = (d, graph)
    shapes["scorer.fc1"] = (config.scorer_hidden, d + 2 * N_COMPONENTS)
    shapes["scorer.fc2"] = (1, config.scorer_hidden)
    return shapes


def float_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Shapes of the F32 tensors that are no scale or bias of an INT8 matrix."""
    d, outputs = config.d_model, 2 * config.patch + 1
    shapes: dict[str, tuple[int, ...]] = {
        "wavelet.taps": (WAVELET_TAPS,),
        "embed.weight": (config.in_features, d),
        "embed.bias": (d,),
    }
    for i, heads in enumerate(config.n_heads):
        shapes[f"blk.{i}.attn_norm.weight"] = shapes[f"blk.{i}.attn_norm.bias"] = (d,)
        shapes[f"blk.{i}.attn_bias"] = (heads, config.window)
        shapes[f"blk.{i}.ffn_norm.weight"] = shapes[f"blk.{i}.ffn_norm.bias"] = (d,)
    for name in ("norm", "graph.norm"):
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (d,)
    shapes |= {"head.weight": (d, outputs), "head.bias": (outputs,), "fusion.weight": (N_COMPONENTS,)}
    return shapes


def _size(shape: tuple[int, ...]) -> int:
    n = 1
    for axis in shape:
        n *= axis
    return n


def weights(config: ModelConfig) -> dict[str, int]:
    """Stored numbers: "int8" matrices, "float" (scales, biases and the rest), and their "total"."""
    matrices = quantised_shapes(config).values()
    int8 = sum(n * k for n, k in matrices)
    float32 = sum(2 * n for n, _ in matrices) + sum(map(_size, float_shapes(config).values()))
    return {"int8": int8, "float": float32, "total": int8 + float32}


def bytes_native(config: ModelConfig) -> int:
    """Bytes of the tensors of an uncalibrated native file, padding included, header left out."""
    sizes = [_size(shape) * 4 for shape in float_shapes(config).values()]
    for n, k in quantised_shapes(config).values():
        sizes += [n * k, 4 * n, 4 * n]
    return sum(-(-size // ALIGNMENT) * ALIGNMENT for size in sizes)
