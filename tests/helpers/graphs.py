"""Exported graphs in tests: the torch module as an engine, and signals with something to find."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sanderling.runtime.graph_spec import input_shapes, output_shapes


class TorchEngine:
    """An engine (sanderling.runtime.graph) that runs the torch module: the reference of the FP32 engines."""

    name, version = "torch", "reference"
    channels = tokens = rows = stored = None

    def __init__(self, native: Any) -> None:
        from sanderling.export.network import ExportNetwork

        self.network = ExportNetwork(native)
        self.config = native.config
        self.metadata = {"precision": "fp32", "profile": "torch"}

    def run(self, inputs: dict[str, np.ndarray], outputs: Sequence[str]) -> dict[str, np.ndarray]:
        import torch

        with torch.no_grad():
            given = [torch.from_numpy(np.ascontiguousarray(inputs[name])) for name in input_shapes(self.config)]
            found = self.network(*given)
        return {name: value.numpy() for name, value in zip(output_shapes(self.config), found, strict=True)}


def recording(samples: int = 1500, channels: int = 3, seed: int = 0) -> np.ndarray:
    """float32 (samples, channels): waves and walks, with a jump, a slow part and a long gap in the last third."""
    rng = np.random.default_rng(seed)
    t = np.arange(samples)
    waves = [np.sin(t / (5 + 6 * c)) + 0.1 * rng.standard_normal(samples) for c in range(channels)]
    x = np.stack(waves, axis=1)
    x[:, -1] += np.cumsum(rng.standard_normal(samples)) * 0.05
    start = samples * 2 // 3
    x[start : start + 30, 0] += 3
    x[start + 100 : start + 140, -1] = x[start + 100, -1]
    if channels > 1:
        x[start + 200 : start + 260, 1] = np.nan
    return x.astype(np.float32)
