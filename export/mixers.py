"""What other encoders than the transformer mix tokens with, in exportable form (`sanderling.model.mixers`)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from sanderling.export.layers import linear, plain_linear
from sanderling.export.reading import NativeModel
from torch import Tensor, nn

from sanderling.runtime.graph_spec import TAPS


class Convolution(nn.Module):
    """Causal taps over the block's tokens and those before them."""

    def __init__(self, native: NativeModel, i: int) -> None:
        super().__init__()
        self.dilation = 2**i
        self.taps, self.out = linear(native, f"blk.{i}.taps"), linear(native, f"blk.{i}.out")

    def forward(self, a: Tensor, past: Tensor, unseen: Tensor) -> tuple[Tensor, Tensor]:
        """a (C, T, d), past (C, 2 dilation, d) -> (C, T, d) and the next past. unseen: attention's, not used."""
        t = a.shape[1]
        seen = torch.cat([past, a], dim=1)
        inputs = torch.cat([seen[:, k * self.dilation : k * self.dilation + t] for k in range(TAPS)], dim=-1)
        return self.out(F.gelu(self.taps(inputs), approximate="tanh")), seen[:, t:]


class Recurrence(nn.Module):
    """A gated recurrent unit; a trace has its T steps one after another. From state to state it stays float32."""

    def __init__(self, native: NativeModel, i: int) -> None:
        super().__init__()
        self.gates, self.out = linear(native, f"blk.{i}.gates"), linear(native, f"blk.{i}.out")
        tensors = native.tensors
        self.hidden = plain_linear(tensors[f"blk.{i}.hidden.weight"], tensors[f"blk.{i}.hidden.bias"])

    def forward(self, a: Tensor, past: Tensor, unseen: Tensor) -> tuple[Tensor, Tensor]:
        """a (C, T, d), past (C, w) -> (C, T, d) and the next past. unseen: attention's, not used."""
        states = []
        for given in self.gates(a).unbind(1):
            (r, z, n), (hr, hz, hn) = given.chunk(3, dim=-1), self.hidden(past).chunk(3, dim=-1)
            update = torch.sigmoid(z + hz)
            past = (1 - update) * torch.tanh(n + torch.sigmoid(r + hr) * hn) + update * past
            states.append(past)
        return self.out(torch.stack(states, dim=1)), past
