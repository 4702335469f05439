"""Our fake-quantiser: the engine's grids inside the float model, with straight-through gradients.

Per-row activations and per-channel weights (Jacob et al. 2018 for the scheme, Bengio et al. 2013 for the
gradient), so that fine-tuning sees the rounding which the engine will do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from ..model import Sanderling
from ..model.config import HEAD_DIM
from .grid import quantize_rows
from .network import quantised_layers


def on_grid(x: Tensor) -> Tensor:
    """x rounded to its rows' INT8 grid; the gradient passes as if it were not."""
    q, scale = quantize_rows(x.detach().float())
    return x + (q * scale[..., None] - x.detach()).to(x.dtype)


def _linear(layer: nn.Linear, by_head: bool, x: Tensor) -> Tensor:
    y = F.linear(on_grid(x), on_grid(layer.weight), layer.bias)
    return on_grid(y.unflatten(-1, (-1, HEAD_DIM))).flatten(-2) if by_head else y


@contextmanager
def fake_quantised(model: Sanderling) -> Iterator[Sanderling]:
    """Within the block the model's INT8 layers round as the engine does; its weights stay float."""
    layers = [(name, layer) for name, layer, _ in quantised_layers(model)]
    for name, layer in layers:
        layer.forward = partial(_linear, layer, name.endswith("qkv"))  # type: ignore[method-assign]
    try:
        yield model
    finally:
        for _, layer in layers:
            del layer.forward
