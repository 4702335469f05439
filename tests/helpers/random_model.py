"""Native files with random weights: parity, stream and command-line tests need a model, not a good one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from sanderling.export.native import complete_config, tensor_specs, write_native

DEFAULT = {
    "variant": "random",
    "d_model": 64,
    "n_heads": [2, 1],
    "ffn": [96, 64],
    "graph_heads": 2,
    "scorer_hidden": 64,
}


def random_tensors(config: Mapping, seed: int) -> dict[str, np.ndarray]:
    """Tensors of docs/format.md for the config, scaled so that activations keep about unit size."""
    rng = np.random.default_rng(seed)
    full = complete_config(config)
    tensors: dict[str, np.ndarray] = {}
    for name, (dtype, shape) in tensor_specs(full).items():
        if name == "wavelet.taps":
            tensors[name] = np.array([0.5, 0.5], np.float32)
        elif dtype is np.int8:
            # Normal weights on a grid that reaches 127 in each row, as a quantiser leaves them.
            w = rng.standard_normal(shape)
            step = np.abs(w).max(axis=1, keepdims=True) / 127
            tensors[name] = np.clip(np.rint(w / step), -127, 127).astype(np.int8)
            scale = step[:, 0] / np.sqrt(shape[1])
            tensors[name.removesuffix("weight") + "scale"] = scale.astype(np.float32)
        elif not name.endswith(".scale"):
            tensors[name] = _floats(name, shape, rng)
    return {name: tensors[name] for name in tensor_specs(full)}


def _floats(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    values = 0.1 * rng.standard_normal(shape)
    if name.endswith("norm.weight"):
        values += 1.0
    elif name in ("embed.weight", "head.weight"):
        values = rng.standard_normal(shape) / np.sqrt(shape[0])
    elif name.endswith("attn_bias"):
        values = rng.standard_normal(shape)
    elif name == "fusion.weight":
        values += 0.5
    return values.astype(np.float32)


def write_random_native(path: str | Path, seed: int = 0, **config_overrides: object) -> str:
    """Writes a random model (DEFAULT, overridden) to `path`; returns its sha256."""
    config = {**DEFAULT, **config_overrides}
    return write_native(path, config, random_tensors(config, seed))
