"""Components of the score: distances to the reference memory, prediction error, amplitude.

docs/model.md, section 6. Distance-based: soft-min distance to the reference memory (embedding and
raw window). Probability-based: Laplace likelihood of the next-patch error.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..runtime.graph_spec import EXPECTED_DISTANCE, SHORT_WINDOW
from ..signal.wavelet import windows
from .config import HEAD_DIM, N_COMPONENTS, ModelConfig
from .decoder import Decoded

OF_HISTORY = (0, 1, 2, 3, 4, 7)  # components that compare with the past
# Least spread of each component: a reference in which a channel stands still must not make every
# tremor an anomaly. Chosen on the tuning list (docs/model_card.md).
SPREAD_FLOOR = (0.3, 0.3, 2.0, 0.15, 0.6, 0.15, 1.0, 0.3)


# What a channel that nothing predicts adds to the fusion's weights (section 7), and the least variation that counts.
ERRATIC = (0.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 1.5)
LEAST_VARIATION = 0.3


def erratic_share(center: Tensor) -> Tensor:
    """u (...,) in [0, 1] from the components' centers (..., 8): does the reference predict the channel at all?"""
    ratio = center[..., 2] / (EXPECTED_DISTANCE * center[..., 7].clamp_min(LEAST_VARIATION))
    return (2 * ratio - 1).clamp(0, 1)


def soft_min(squared: Tensor, left_out: Tensor | None, tau: float) -> Tensor:
    """Soft minimum over the last axis; rows where left_out is True do not count."""
    if left_out is not None:
        squared = squared.masked_fill(left_out, float("inf"))
    nearest = squared.amin(dim=-1, keepdim=True)
    weight = torch.exp((nearest - squared) / tau)
    finite = torch.where(torch.isinf(squared), torch.zeros_like(squared), squared)
    return (weight * finite).sum(-1) / weight.sum(-1)


def metric_embedding(u: Tensor) -> Tensor:
    """(..., heads * 32) -> unit vectors (..., heads, 32)."""
    u = u.reshape(*u.shape[:-1], -1, HEAD_DIM)
    return u * torch.rsqrt((u * u).sum(-1, keepdim=True) + 1e-12)


def left_out_rows(at: Tensor, memory: Tensor, reach: int) -> Tensor:
    """(n, rows) bool: memory positions (rows,) closer than `reach` to the positions `at` (n,)."""
    return (at[:, None] - memory[None, :]).abs() < reach


def positions(rows: int, first: int, end: int) -> Tensor:
    """(rows,) int64: the middles of `rows` equal stretches of [first, end)."""
    return torch.tensor([first + (2 * j + 1) * (end - first) // (2 * rows) for j in range(rows)])


def weighted(w: Tensor, level: Tensor) -> Tensor:
    """Raw windows (batch, channels, n, k), oldest first, weighted so that the newest sample counts most.

    The squared difference of sample i weighs 192 / k ((i + 1) / k)^2, about 64 in all. level (batch, channels):
    how much of the window's mean, by those weights, is taken out before.
    """
    order = torch.arange(1, w.shape[-1] + 1, device=w.device)
    mean = (w * (order * order / (order * order).sum())).sum(-1, keepdim=True)
    return (w - level[..., None, None] * mean) * (order * torch.tensor(math.sqrt(192 / len(order)) / len(order)))


# Section 8, step 2: when a channel's level is noise, and how much of it is then taken out of the raw windows.
MOST_LEVEL, LEAST_RAW, STEADY, PER_SHARE = 0.75, 1.0, 0.2, 1 / 0.3


class RawWindows:
    """The raw windows of a sequence and of its memory, the first `memory` tokens.

    Args:
        y: (batch, channels, time) squashed samples.
    """

    def __init__(self, config: ModelConfig, y: Tensor, memory: int) -> None:
        full, n = config.raw_window - 1, config.patch
        self.config, self.memory = config, memory
        self.ends = positions(config.memory_shape(memory)[1], full, memory * n).to(y.device)
        self.plain = windows(y, config.raw_window, n)
        self.rows = y.unfold(-1, config.raw_window, 1)[:, :, self.ends - full]

    def distance(self, level: Tensor, leave_out: bool) -> Tensor:
        """c2 (batch, channels, tokens), level (batch, channels)."""
        n = self.config.patch
        block = min(self.config.loo_block, self.memory // 4)
        token = torch.arange(self.plain.shape[2], device=self.plain.device)
        out = left_out_rows((token + 1) * n - 1, self.ends, block * n) if leave_out else None
        found = []
        for length in (self.config.raw_window, SHORT_WINDOW):
            w, m = weighted(self.plain[..., -length:], level), weighted(self.rows[..., -length:], level)
            squared = (w * w).sum(-1, keepdim=True) + (m * m).sum(-1)[:, :, None] - 2 * w @ m.transpose(-1, -2)
            found.append(soft_min(squared.clamp_min(0), out, self.config.raw_tau))
        return (torch.stack(found).mean(0) + 1e-12).sqrt()

    @torch.no_grad()
    def level(self, warm: int) -> Tensor:
        """(batch, channels): what a channel's raw windows lose of their level; tokens below `warm` do not count.

        A channel whose level wanders is never near its own past: its level says little, its shape must.
        """
        none = torch.zeros(self.plain.shape[:2], device=self.plain.device)
        whole, shape = (
            self.distance(none + share, leave_out=True)[..., warm : self.memory].median(-1).values for share in (0, 1)
        )
        share = (whole * whole - shape * shape) / whole.clamp_min(LEAST_RAW).square()
        return MOST_LEVEL * ((share - STEADY) * PER_SHARE).clamp(0, 1)


def raw_components(
    config: ModelConfig,
    x: Tensor,
    y: Tensor,
    u: Tensor,
    decoded: Decoded,
    memory: int,
    leave_out: bool,
    level: Tensor,
) -> Tensor:
    """The eight components before normalisation.

    Args:
        x, y: (batch, channels, time) scaled and squashed samples.
        u: (batch, channels, tokens, heads, 32) unit metric embeddings.
        decoded: of the same tokens.
        memory: the first `memory` tokens form the reference memory: the embeddings of all of
            them, and the raw windows that end at evenly spread samples of them.
        leave_out: leave out the rows near each token (for tokens of the reference itself).
        level: (batch, channels), `RawWindows.level`.

    Returns:
        (batch, channels, tokens, 8).
    """
    tokens = u.shape[2]
    token = torch.arange(tokens, device=u.device)
    block = min(config.loo_block, memory // 4)
    out = left_out_rows(token, token[:memory], block) if leave_out else None
    c = []
    for h in range(config.metric_heads):
        a = u[:, :, :, h]
        squared = (2 - 2 * a @ a[:, :, :memory].transpose(-1, -2)).clamp_min(0)
        c.append((soft_min(squared, out, config.metric_tau) + 1e-12).sqrt())
    raw = RawWindows(config, y, memory)
    c.append(raw.distance(level, leave_out))

    patches = y.unflatten(-1, (tokens, config.patch))
    error = (patches[:, :, 1:] - decoded.next_patch[:, :, :-1]).abs().mean(-1)
    scale = decoded.log_scale[:, :, :-1].clamp(-4, 4)
    c.append(F.pad(error, (1, 0)))
    c.append(F.pad(error * torch.exp(-scale) + scale, (1, 0)))
    c.append((patches - decoded.reconstruction).abs().mean(-1))
    c.append(x.unflatten(-1, (tokens, config.patch)).abs().amax(-1))
    c.append(raw.plain.var(-1, unbiased=False).sqrt())
    assert len(c) == N_COMPONENTS
    return torch.stack(c, dim=-1)


def normalisers(reference: Tensor) -> tuple[Tensor, Tensor]:
    """Center and spread over the reference tokens: (b, c, tokens, 8) -> two (b, c, 1, 8)."""
    center = reference.median(dim=2, keepdim=True).values
    mad = (reference - center).abs().median(dim=2, keepdim=True).values
    floor = torch.tensor(SPREAD_FLOOR, device=mad.device)
    spread = torch.maximum(torch.maximum(1.4826 * mad, 0.1 * center.abs()), floor)
    return center, spread


def log_compress(
    config: ModelConfig, components: Tensor, center: Tensor, spread: Tensor
) -> Tensor:
    """l = sign(r) log(1 + |r|), r = (c - center) / spread, of a sequence from its start.

    Until the raw window is full, what compares with a history cannot speak of an anomaly.
    """
    r = (components - center) / spread
    l = torch.sign(r) * torch.log1p(r.abs())  # noqa: E741 - docs/model.md's letter
    filling = config.raw_window // config.patch - 1
    start, rest = l[:, :, :filling], l[:, :, filling:]
    history = torch.tensor([k in OF_HISTORY for k in range(N_COMPONENTS)], device=l.device)
    return torch.cat([torch.where(history, start.clamp_max(0), start), rest], dim=2)
