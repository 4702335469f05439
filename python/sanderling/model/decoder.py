"""Graph-attention decoder: channels are nodes (docs/model.md, section 5).

Attention over nodes after Velickovic et al. 2018 (GAT), with scaled dot products; used over sensor
graphs as in Deng and Hooi 2021 (GDN).
"""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from .config import HEAD_DIM, ModelConfig


class Decoded(NamedTuple):
    """Per sequence (batch, channels, tokens, .): squashed units."""

    reconstruction: Tensor  # (..., patch)
    next_patch: Tensor  # (..., patch): the prediction made at token t for token t + 1
    log_scale: Tensor  # (...,): log of the Laplace scale of the next-patch error


class GraphDecoder(nn.Module):
    """At each patch a node attends to all nodes of the same patch, then predicts.

    `channel_independent=True` leaves the attention out (the ablation).
    """

    def __init__(self, config: ModelConfig, channel_independent: bool = False) -> None:
        super().__init__()
        self.heads = config.graph_heads
        self.patch = config.patch
        self.channel_independent = channel_independent
        width = self.heads * HEAD_DIM
        self.qkv = nn.Linear(config.d_model, 3 * width)
        self.out = nn.Linear(width, config.d_model)
        self.norm = nn.LayerNorm(config.d_model, eps=1e-5)
        self.head = nn.Linear(config.d_model, 2 * config.patch + 1)
        nn.init.normal_(self.out.weight, std=0.02)
        nn.init.zeros_(self.out.bias)

    def forward(self, z: Tensor) -> Decoded:
        """z: (batch, channels, tokens, d_model)."""
        b, c, t, _ = z.shape
        g = z
        if not self.channel_independent:
            nodes = self.qkv(z).reshape(b, c, t, 3, self.heads, HEAD_DIM).permute(3, 0, 2, 4, 1, 5)
            o = F.scaled_dot_product_attention(nodes[0], nodes[1], nodes[2])  # (b, t, heads, c, D)
            g = z + self.out(o.permute(0, 3, 1, 2, 4).reshape(b, c, t, self.heads * HEAD_DIM))
        p = self.head(self.norm(g))
        n = self.patch
        return Decoded(p[..., :n], p[..., n : 2 * n], p[..., 2 * n])
