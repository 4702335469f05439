"""Components of the score: distances to the reference memory, prediction error, amplitude.

docs/model.md, section 6. Distance-based: soft-min distance to the reference memory (embedding and
raw window). Probability-based: Laplace likelihood of the next-patch error.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..signal.wavelet import windows
from .config import HEAD_DIM, N_COMPONENTS, ModelConfig
from .decoder import Decoded

OF_HISTORY = (0, 1, 2, 3, 4, 7)  # components that compare with the past
# Least spread of each component: a reference in which a channel stands still must not make every
# tremor an anomaly. Chosen on the tuning list (docs/model_card.md).
SPREAD_FLOOR = (0.3, 0.3, 2.0, 0.15, 0.6, 0.15, 1.0, 0.3)


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


def left_out_rows(tokens: int, memory: Tensor, block: int) -> Tensor:
    """(tokens, rows) bool: memory rows within `block` tokens of each token."""
    t = torch.arange(tokens, device=memory.device)
    return (t[:, None] - memory[None, :]).abs() < block


def raw_components(
    config: ModelConfig,
    x: Tensor,
    y: Tensor,
    u: Tensor,
    decoded: Decoded,
    memory: Tensor,
    leave_out: bool,
) -> Tensor:
    """The eight components before normalisation.

    Args:
        x, y: (batch, channels, time) scaled and squashed samples.
        u: (batch, channels, tokens, heads, 32) unit metric embeddings.
        decoded: of the same tokens.
        memory: (rows,) int64 token positions that form the reference memory.
        leave_out: leave out the rows near each token (for tokens of the reference itself).

    Returns:
        (batch, channels, tokens, 8).
    """
    tokens = u.shape[2]
    out = left_out_rows(tokens, memory, config.loo_block) if leave_out else None
    c = []
    for h in range(config.metric_heads):
        a = u[:, :, :, h]
        squared = (2 - 2 * a @ a[:, :, memory].transpose(-1, -2)).clamp_min(0)
        c.append((soft_min(squared, out, config.metric_tau) + 1e-12).sqrt())
    w = windows(y, config.raw_window, config.patch)
    m = w[:, :, memory]
    squared = (w * w).sum(-1, keepdim=True) + (m * m).sum(-1)[:, :, None] - 2 * w @ m.transpose(-1, -2)
    c.append((soft_min(squared.clamp_min(0), out, config.raw_tau) + 1e-12).sqrt())

    patches = y.unflatten(-1, (tokens, config.patch))
    error = (patches[:, :, 1:] - decoded.next_patch[:, :, :-1]).abs().mean(-1)
    scale = decoded.log_scale[:, :, :-1].clamp(-4, 4)
    c.append(F.pad(error, (1, 0)))
    c.append(F.pad(error * torch.exp(-scale) + scale, (1, 0)))
    c.append((patches - decoded.reconstruction).abs().mean(-1))
    c.append(x.unflatten(-1, (tokens, config.patch)).abs().amax(-1))
    c.append(w.var(-1, unbiased=False).sqrt())
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
