"""The network as one module with flat names: what NNCF quantises and what the native file is named after."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..model import Sanderling
from ..model.components import metric_embedding
from ..model.decoder import Decoded
from ..model.encoder import EncoderLayer, WindowedAttention
from ..model.mixers import CausalConvolution, Recurrence
from ..model.network import Encoded


class Network(nn.Module):
    """Encoder, metric, decoder and scorer of a `Sanderling`, sharing its modules.

    Each block is a direct child, so that a quantiser's name tells its layer; `Sanderling` keeps them in a
    ModuleList, which no tracer sees.
    """

    def __init__(self, model: Sanderling) -> None:
        super().__init__()
        self.embed = model.encoder.embed
        for i, layer in enumerate(model.encoder.layers):
            self.add_module(f"blk{i}", layer)
        self.norm = model.encoder.norm
        self.metric = model.metric
        self.graph = model.decoder
        self.scorer = model.scorer
        self.n_layers = model.config.n_layers

    def forward(self, features: Tensor, l: Tensor) -> tuple[Tensor, ...]:  # noqa: E741
        """features (b, c, t, in_features), l (b, c, t, 8) -> z, metric, reconstruction, next, log b, s."""
        b, c, t, k = features.shape
        h = self.embed(features.reshape(b * c, t, k))
        for i in range(self.n_layers):
            h = getattr(self, f"blk{i}")(h)
        z = self.norm(h).reshape(b, c, t, -1)
        return z, self.metric(z), *self.graph(z), self.scorer(z, l)


def encoder_layers(model: Sanderling) -> list[EncoderLayer]:
    """The encoder's layers, first one first."""
    return [cast(EncoderLayer, layer) for layer in model.encoder.layers]


def mixing(attn: nn.Module) -> tuple[str, nn.Linear]:
    """Name and matrix of the layer that reads the tokens, whatever mixes them."""
    if isinstance(attn, CausalConvolution):
        return "taps", attn.as_linear()
    if isinstance(attn, Recurrence):
        return "gates", attn.input_gates()
    return "qkv", cast(WindowedAttention, attn).qkv


def quantised_layers(model: Sanderling) -> Iterator[tuple[str, nn.Linear, str]]:
    """(name in docs/format.md, layer, NNCF's name of its weight quantiser) of every INT8 matrix."""
    for i, layer in enumerate(encoder_layers(model)):
        for name, module, path in (
            (*mixing(layer.attn), "attn/qkv"),
            ("out", layer.attn.out, "attn/out"),
            ("ffn_up", layer.ffn_up, "ffn_up"),
            ("ffn_down", layer.ffn_down, "ffn_down"),
        ):
            yield f"blk.{i}.{name}", module, f"blk{i}/{path}/linear/0"
    yield "metric", model.metric, "metric/linear/0"
    yield "graph.qkv", model.decoder.qkv, "graph/qkv/linear/0"
    yield "graph.out", model.decoder.out, "graph/out/linear/0"
    yield "scorer.fc1", model.scorer.fc1, "scorer/fc1/linear/0"
    yield "scorer.fc2", model.scorer.fc2, "scorer/fc2/linear/0"


FLOAT_LAYERS = ("embed/linear/0", "graph/head/linear/0")


@torch.no_grad()
def window_scores(model: Sanderling, network: nn.Module, x: Tensor, valid: Tensor, reference: int) -> Tensor:
    """s_bar (b, c, tokens) of scaled windows x (b, time, c) by any stand-in for `Network(model)`."""
    x, y, features = model.features(x, valid)
    blank = features.new_zeros(*features.shape[:3], model.scorer.fusion_raw.numel())
    z, metric, *decoded, _ = network(features, blank)
    encoded = Encoded(x, y, z, metric_embedding(metric), Decoded(*decoded))
    s = network(features, model.compressed(encoded, reference))[-1]
    n = model.config.smooth
    count = torch.arange(1, s.shape[-1] + 1).clamp_max(n)
    return F.pad(s, (n - 1, 0)).unfold(-1, n, 1).sum(-1) / count
