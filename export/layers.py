"""Layers of the native file as torch modules in float32."""

from __future__ import annotations

import numpy as np
import torch
from sanderling.export.reading import NativeModel
from torch import nn


def linear(native: NativeModel, name: str, columns: int | None = None) -> nn.Linear:
    """The quantised layer `name` with float32 weights; columns: the first ones only."""
    return plain_linear(native.weight(name)[:, :columns].T, native.tensors[f"{name}.bias"])


def plain_linear(weight: np.ndarray, bias: np.ndarray) -> nn.Linear:
    """A layer in float32 from weight (K, N) and bias (N,)."""
    layer = nn.Linear(*weight.shape)
    layer.weight.data, layer.bias.data = torch.tensor(weight.T.copy()), torch.tensor(bias)
    return layer


def norm(native: NativeModel, name: str) -> nn.LayerNorm:
    """The layer norm `name`."""
    layer = nn.LayerNorm(native.keys["d_model"], eps=1e-5)
    layer.weight.data = torch.tensor(native.tensors[f"{name}.weight"])
    layer.bias.data = torch.tensor(native.tensors[f"{name}.bias"])
    return layer
