"""The text encoder as a torch module of fixed shapes, for converters."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from sanderling.export.bert import BertModel
from sanderling.export.bert_onnx import NEVER
from sanderling.export.tflite_graph import PlainNorm
from torch import Tensor, nn

from sanderling.runtime.graph_spec import TAPS


def examples(tokens: int) -> tuple[Tensor, Tensor]:
    """ids int32 and mask float32, (1, tokens)."""
    return torch.ones((1, tokens), dtype=torch.int32), torch.ones((1, tokens))


class Attention(nn.Module):
    """Of each token to all that are there."""

    def __init__(self, model: BertModel, tensors: Mapping[str, np.ndarray], at: str) -> None:
        super().__init__()
        self.heads, self.qkv = model.n_heads, linear(tensors, f"{at}.qkv")

    def forward(self, a: Tensor, there: Tensor) -> Tensor:
        n, d = a.shape
        q, k, v = (part.reshape(n, self.heads, -1).transpose(0, 1) for part in self.qkv(a).split(d, 1))
        bias = (there - 1.0) * -NEVER
        weight = torch.softmax(q @ k.transpose(1, 2) * (d // self.heads) ** -0.5 + bias, -1)
        return (weight @ v).transpose(0, 1).reshape(n, d)


class Convolution(nn.Module):
    """Taps around each token, 2^layer apart; padding counts as nothing."""

    def __init__(self, model: BertModel, tensors: Mapping[str, np.ndarray], at: str) -> None:
        super().__init__()
        self.dilation, self.taps = 2 ** int(at.rpartition(".")[2]), linear(tensors, f"{at}.taps")

    def forward(self, a: Tensor, there: Tensor) -> Tensor:
        n, step = len(a), self.dilation
        seen = nn.functional.pad(a * there[:, None], (0, 0, step, step))
        taps = self.taps(torch.cat([seen[k * step : k * step + n] for k in range(TAPS)], 1))
        return nn.functional.gelu(taps, approximate="tanh")


class Recurrence(nn.Module):
    """A gated recurrent unit, one token after another; padding comes after the text."""

    def __init__(self, model: BertModel, tensors: Mapping[str, np.ndarray], at: str) -> None:
        super().__init__()
        self.gates, self.hidden = linear(tensors, f"{at}.gates"), linear(tensors, f"{at}.hidden")

    def forward(self, a: Tensor, there: Tensor) -> Tensor:
        state, states = torch.zeros(1, a.shape[1]), []
        for given in self.gates(a).split(1):
            (r, z, new), (hr, hz, hn) = given.chunk(3, -1), self.hidden(state).chunk(3, -1)
            update = torch.sigmoid(z + hz)
            state = (1 - update) * torch.tanh(new + torch.sigmoid(r + hr) * hn) + update * state
            states.append(state)
        return torch.cat(states)


MIXERS: dict[str, type[nn.Module]] = {"transformer": Attention, "tcn": Convolution, "gru": Recurrence}


class Layer(nn.Module):
    """A post-LN layer whose quantised inputs have norms of their own (docs/text_core.md)."""

    def __init__(self, model: BertModel, tensors: Mapping[str, np.ndarray], at: str) -> None:
        super().__init__()
        self.mixer = MIXERS[model.mixer](model, tensors, at)
        names = ("attn_norm", "attn_residual", "ffn_norm", "ffn_residual")
        norms = (norm(tensors, f"{at}.{name}", model.eps) for name in names)
        self.attn_norm, self.attn_residual, self.ffn_norm, self.ffn_residual = norms
        matrices = (linear(tensors, f"{at}.{name}") for name in ("out", "ffn_up", "ffn_down"))
        self.out, self.ffn_up, self.ffn_down = matrices

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        x = self.attn_residual(x) + self.out(self.mixer(self.attn_norm(x), there))
        up = nn.functional.gelu(self.ffn_up(self.ffn_norm(x)), approximate="tanh")
        return self.ffn_residual(x) + self.ffn_down(up)


class BertTorch(nn.Module):
    """ids int32, mask float32 (1, tokens) -> float32 (1, d)."""

    places: Tensor

    def __init__(self, model: BertModel, tensors: Mapping[str, np.ndarray]) -> None:
        super().__init__()
        self.pooling, self.normalise = model.pooling, model.normalise
        self.words = nn.Embedding.from_pretrained(torch.from_numpy(tensors["token_embd.weight"].copy()))
        places = tensors["position_embd.weight"] + tensors["token_types.weight"][0]
        self.register_buffer("places", torch.from_numpy(places))
        self.layers = nn.ModuleList(Layer(model, tensors, f"blk.{i}") for i in range(model.n_layers))
        self.norm = norm(tensors, "norm", model.eps)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        there = mask[0]
        x = self.words(ids[0]) + self.places[: ids.shape[1]]
        for layer in self.layers:
            x = layer(x, there)
        x = self.norm(x)
        row = (x * there[:, None]).sum(0, keepdim=True) / there.sum() if self.pooling == "mean" else x[:1]
        return row / (row * row).sum(1, keepdim=True).sqrt().clamp_min(1e-12) if self.normalise else row


def norm(tensors: Mapping[str, np.ndarray], name: str, eps: float) -> nn.Module:
    """A layer norm whose gain no converter folds into the matrix behind it."""
    gain, bias = (torch.from_numpy(tensors[f"{name}.{part}"].copy()) for part in ("weight", "bias"))
    made = nn.LayerNorm(len(gain), eps=eps)
    made.weight, made.bias = nn.Parameter(gain, requires_grad=False), nn.Parameter(bias, requires_grad=False)
    return PlainNorm(made)


def linear(tensors: Mapping[str, np.ndarray], name: str) -> nn.Linear:
    """Weights and bias as they are."""
    weight, bias = (torch.from_numpy(tensors[f"{name}.{part}"].copy()) for part in ("weight", "bias"))
    made = nn.Linear(weight.shape[1], weight.shape[0])
    made.weight, made.bias = nn.Parameter(weight, requires_grad=False), nn.Parameter(bias, requires_grad=False)
    return made
