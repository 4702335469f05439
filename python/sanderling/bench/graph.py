"""The model as the peers get it: calibration and, for a window, the fresh state folded in as constants; fixed shapes.

Two torch modules of one channel around the exported network, so that every peer runs the same graph:

    WindowGraph   x (512, 1) scaled samples -> score (64,), from a fresh state
    StepGraph     x (8, 1), state... -> score (1,), next state...     (names and shapes: sanderling.runtime.graph_spec)
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sanderling.export.network import ExportNetwork
from sanderling.export.reading import read_native
from sanderling.runtime.graph_spec import CALIBRATION, OUTPUTS, input_shapes, state_shapes

from .entries import PATCH, TOKENS, WINDOW_SAMPLES


class _Graph(nn.Module):
    tokens = TOKENS

    def __init__(self, native: Path) -> None:
        super().__init__()
        model = read_native(native)
        self.network = ExportNetwork(model)
        for module in self.network.layers:
            layer: Any = module
            # Not every exporter folds the masks, and eager torch would make them again in each call.
            layer.attn.table = partial(_same, layer.attn.table(self.tokens))
        self.state = {name: tuple(map(int, shape)) for name, shape in state_shapes(model.config, 1).items()}
        self.inputs = tuple(input_shapes(model.config))
        for name, value in model.calibration_inputs().items():
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(value, np.float32)))
        self.eval().requires_grad_(False)

    def run(self, x: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, ...]:
        tokens = x.shape[0] // PATCH
        given = {"x": x, "valid": torch.ones_like(x), "component_shift": torch.zeros(1, tokens, 8), **state}
        given |= {name: getattr(self, name) for name in CALIBRATION}
        return self.network(*(given[name] for name in self.inputs))


def _same(table: Tensor, tokens: int) -> Tensor:
    return table


class WindowGraph(_Graph):
    """A window of 64 tokens from a fresh state; the score alone comes out: an engine may drop the rest."""

    def forward(self, x: Tensor) -> Tensor:
        state = {name: torch.zeros(shape) for name, shape in self.state.items()}
        first = x[0:1] / (1 + x[0:1].abs() / 8)  # history: the first squashed sample
        state["history"] = first.expand(1, self.state["history"][1])
        return self.run(x, state)[0]

    def example(self) -> tuple[Tensor, ...]:
        return (torch.zeros(WINDOW_SAMPLES, 1),)


class StepGraph(_Graph):
    """One patch with the state as inputs and outputs."""

    tokens = 1

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        out = self.run(x, dict(zip(self.state, state, strict=True)))
        return (out[0], *out[len(OUTPUTS) :])

    def example(self) -> tuple[Tensor, ...]:
        return (torch.zeros(PATCH, 1), *(torch.zeros(shape) for shape in self.state.values()))


def first_history(x: np.ndarray, length: int) -> np.ndarray:
    """history (1, length) before a stream's first patch x (8,): its first sample, squashed."""
    return np.full((1, length), x[0] / (1 + abs(x[0]) / 8), np.float32)
