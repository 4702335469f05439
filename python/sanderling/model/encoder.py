"""The encoder: pre-LN layers that mix tokens over time, then features.

The transformer's causal windowed attention is docs/model.md, section 4; a TCN's convolutions or a GRU take its place in
the same layers (`ModelConfig.encoder`), for comparison and for other engines: the native one runs the transformer.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import HEAD_DIM, ModelConfig
from .mixers import CausalConvolution, Recurrence


class WindowedAttention(nn.Module):
    """Causal attention in which token t sees the last `window` tokens of its own sequence.

    A learned bias per head and distance stands in for positions (no drift in an endless stream).
    Queries come in blocks of `window` tokens that look at their own and the previous block, so the
    cost is linear in the sequence (Beltagy et al. 2020, sliding window).
    """

    def __init__(self, d_model: int, n_heads: int, window: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.window = window
        self.qkv = nn.Linear(d_model, 3 * n_heads * HEAD_DIM)
        self.out = nn.Linear(n_heads * HEAD_DIM, d_model)
        self.bias = nn.Parameter(torch.zeros(n_heads, window))
        with torch.no_grad():
            self.bias.copy_(-0.05 * torch.arange(window, dtype=torch.float32).expand(n_heads, -1))

    def block_bias(self, blocks: int) -> Tensor:
        """Additive mask (heads, blocks, window, 2 * window): bias by distance, -inf outside."""
        w = self.window
        i = torch.arange(w, device=self.bias.device)[:, None]
        j = torch.arange(2 * w, device=self.bias.device)[None, :]
        distance = w + i - j
        inside = (distance >= 0) & (distance < w)
        table = self.bias[:, distance.clamp(0, w - 1)]
        table = table.masked_fill(~inside, float("-inf"))
        table = table[:, None].repeat(1, blocks, 1, 1)
        table[:, 0, :, :w] = float("-inf")  # the first block has no past
        return table

    def forward(self, x: Tensor) -> Tensor:
        """x: (sequences, tokens, d_model) -> the same shape."""
        n, t, _ = x.shape
        w, h = self.window, self.n_heads
        pad = -t % w
        q, k, v = self.qkv(x).reshape(n, t, 3, h, HEAD_DIM).permute(2, 0, 3, 1, 4)
        if pad:
            q, k, v = (F.pad(a, (0, 0, 0, pad)) for a in (q, k, v))
        blocks = (t + pad) // w
        q = q.reshape(n, h, blocks, w, HEAD_DIM)
        k, v = (self._with_previous(a.reshape(n, h, blocks, w, HEAD_DIM)) for a in (k, v))
        o = F.scaled_dot_product_attention(q, k, v, attn_mask=self.block_bias(blocks).to(q.dtype))
        o = o.reshape(n, h, t + pad, HEAD_DIM)[:, :, :t]
        return self.out(o.transpose(1, 2).reshape(n, t, h * HEAD_DIM))

    @staticmethod
    def _with_previous(a: Tensor) -> Tensor:
        previous = F.pad(a, (0, 0, 0, 0, 1, 0))[:, :, :-1]
        return torch.cat([previous, a], dim=3)


def mixer(config: ModelConfig, layer: int) -> WindowedAttention:
    """What mixes tokens over time in that layer of the encoder. Who needs attention's own parts asks first."""
    d, heads = config.d_model, config.n_heads[layer]
    if config.encoder == "tcn":
        return cast(WindowedAttention, CausalConvolution(d, heads * HEAD_DIM, layer))
    if config.encoder == "gru":
        return cast(WindowedAttention, Recurrence(d, heads * HEAD_DIM))
    return WindowedAttention(d, heads, config.window)


class EncoderLayer(nn.Module):
    """LN -> mixing over time (attn, whatever it is) -> residual; LN -> feed-forward (GELU, tanh form) -> residual."""

    def __init__(self, d_model: int, ffn: int, attn: WindowedAttention) -> None:
        super().__init__()
        self.attn_norm = nn.LayerNorm(d_model, eps=1e-5)
        self.attn = attn
        self.ffn_norm = nn.LayerNorm(d_model, eps=1e-5)
        self.ffn_up = nn.Linear(d_model, ffn)
        self.ffn_down = nn.Linear(ffn, d_model)

    def forward(self, h: Tensor) -> Tensor:
        h = h + self.attn(self.attn_norm(h))
        return h + self.ffn_down(F.gelu(self.ffn_up(self.ffn_norm(h)), approximate="tanh"))


class Encoder(nn.Module):
    """Patch features -> embeddings z. Tokens see their own channel's past only."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        d = config.d_model
        self.embed = nn.Linear(config.in_features, d)
        self.mask_token = nn.Parameter(torch.zeros(d))
        layers = [
            EncoderLayer(d, ffn, mixer(config, i)) for i, ffn in enumerate(config.ffn)
        ]
        self.layers = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(d, eps=1e-5)
        for layer in layers:
            for last in (layer.attn.out, layer.ffn_down):
                nn.init.normal_(last.weight, std=0.02 / (2 * config.n_layers) ** 0.5)
                nn.init.zeros_(last.bias)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """features (sequences, tokens, in_features); mask (sequences, tokens) bool: hidden patches.

        Returns z (sequences, tokens, d_model).
        """
        h = self.embed(features)
        if mask is not None:
            h = torch.where(mask[..., None], self.mask_token.to(h.dtype), h)
        for layer in self.layers:
            h = layer(h)
        return self.norm(h)
