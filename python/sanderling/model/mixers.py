"""What else than attention an encoder's layers may mix tokens over time with: convolutions (TCN) and recurrence (GRU).

The same interface as `encoder.WindowedAttention`: (sequences, tokens, d_model) -> the same shape, causal; `out` is the
last layer, which the encoder initialises small. width: heads * 32, what attention would have.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ..runtime.graph_spec import TAPS


class CausalConvolution(nn.Module):
    """A causal convolution of three taps, 2^layer tokens apart (Bai, Kolter and Koltun 2018), GELU, a projection."""

    def __init__(self, d_model: int, width: int, layer: int) -> None:
        super().__init__()
        self.dilation = 2**layer
        self.taps = nn.Conv1d(d_model, width, TAPS, dilation=self.dilation)
        self.out = nn.Linear(width, d_model)

    def as_linear(self) -> nn.Linear:
        """The convolution over its inputs side by side, oldest first: (3 d_model) -> (width)."""
        return linear(self.taps.weight.transpose(1, 2).flatten(1), self.taps.bias)

    def forward(self, x: Tensor) -> Tensor:
        """x: (sequences, tokens, d_model) -> the same shape."""
        seen = F.pad(x.transpose(1, 2), ((TAPS - 1) * self.dilation, 0))
        return self.out(F.gelu(self.taps(seen), approximate="tanh").transpose(1, 2))


class Recurrence(nn.Module):
    """A gated recurrent unit (Cho et al. 2014) from a state of zeros, and a projection. Its past has no end."""

    def __init__(self, d_model: int, width: int) -> None:
        super().__init__()
        self.gru = nn.GRU(d_model, width, batch_first=True)
        self.out = nn.Linear(width, d_model)

    def input_gates(self) -> nn.Linear:
        """What a token adds to reset, update and new: (d_model) -> (3 width)."""
        return linear(*self.gru.all_weights[0][0::2])

    def hidden_gates(self) -> nn.Linear:
        """What the state adds to them: (width) -> (3 width)."""
        return linear(*self.gru.all_weights[0][1::2])

    def forward(self, x: Tensor) -> Tensor:
        """x: (sequences, tokens, d_model) -> the same shape."""
        return self.out(self.gru(x)[0])


def linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """A layer with copies of weight (N, K) and bias (N,)."""
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer
