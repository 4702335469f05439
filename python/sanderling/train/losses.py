"""The composite pre-training loss: alpha * contrastive + beta * masked reconstruction (+ others)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..model.decoder import Decoded


@dataclass(frozen=True)
class LossWeights:
    """Weights of the parts; 0 switches a part off (the ablations)."""

    contrastive: float = 0.5  # alpha
    reconstruction: float = 1.0  # beta
    next_patch: float = 1.0
    scorer: float = 1.0


def span_mask(
    shape: tuple[int, int, int], ratio: float, longest: int, generator: torch.Generator
) -> Tensor:
    """Patches to hide: spans of 1..longest tokens, about `ratio` of all; the first four stay."""
    b, c, t = shape
    mask = torch.zeros(b * c, t, dtype=torch.bool)
    span = (1 + longest) / 2
    starts = torch.rand(b * c, t, generator=generator) < ratio / span
    length = torch.randint(1, longest + 1, (b * c, t), generator=generator)
    for k in range(longest):
        hit = starts & (length > k)
        mask[:, k:] |= hit[:, : t - k]
    mask[:, :4] = False
    return mask.reshape(b, c, t)


def contrastive_loss(
    u_a: Tensor, u_b: Tensor, w: Tensor, generator: torch.Generator, tokens: int, tau: float = 0.1
) -> Tensor:
    """InfoNCE (van den Oord et al. 2018) between two views of the same tokens.

    A periodic signal comes back: tokens whose raw windows nearly agree are no negatives, or the
    loss would push equal phases of two cycles apart.

    Args:
        u_a, u_b: (batch, channels, tokens, heads, 32) unit vectors of the two views.
        w: (batch, channels, tokens, raw window) of the clean view, for the negatives' choice.
        tokens: how many tokens to draw from each sequence.
    """
    b, c, t, heads, dim = u_a.shape
    pick = torch.rand(b * c, t, generator=generator).argsort(1)[:, :tokens].to(u_a.device)

    def take(a: Tensor) -> Tensor:
        a = a.reshape(b * c, t, -1)
        return a.gather(1, pick[..., None].expand(-1, -1, a.shape[-1])).flatten(0, 1)

    a, other, raw = take(u_a), take(u_b), take(w)
    n = len(raw)
    distance = torch.cdist(raw, raw)
    typical = distance.mean(1, keepdim=True)
    near = distance < 0.25 * torch.minimum(typical, typical.T)
    near.fill_diagonal_(False)
    target = torch.arange(n, device=a.device)
    loss = u_a.new_zeros(())
    for h in range(heads):
        logits = a[:, h * dim : (h + 1) * dim] @ other[:, h * dim : (h + 1) * dim].T / tau
        loss = loss + F.cross_entropy(logits.masked_fill(near, -1e4), target)
    return loss / heads


def reconstruction_loss(decoded: Decoded, patches: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute error of the hidden patches (masked modelling; Nie et al. 2023 for patches)."""
    error = (decoded.reconstruction - patches).abs().mean(-1)
    return (error * mask).sum() / mask.sum().clamp_min(1)


def next_patch_loss(decoded: Decoded, patches: Tensor, normal: Tensor) -> Tensor:
    """Laplace negative log-likelihood of the next patch, over normal tokens only.

    patches (batch, channels, tokens, 8); normal (batch, channels, tokens) bool.
    """
    error = (patches[:, :, 1:] - decoded.next_patch[:, :, :-1]).abs().mean(-1)
    scale = decoded.log_scale[:, :, :-1].clamp(-4, 4)
    keep = normal[:, :, 1:] & normal[:, :, :-1]
    likelihood = error * torch.exp(-scale) + scale
    return (likelihood * keep).sum() / keep.sum().clamp_min(1)


def scorer_loss(s_bar: Tensor, labels: Tensor, reference: int, smooth: int) -> Tensor:
    """Binary cross-entropy on injected anomalies after the reference.

    The `smooth` tokens after an anomaly are left out: the look-back mean still holds it.
    Positives count as much as negatives in a batch that has both.
    """
    s, y = s_bar[..., reference:], labels[..., reference:].float()
    after = F.max_pool1d(F.pad(y.flatten(0, 1), (smooth, 0)), smooth + 1, stride=1).view_as(y)
    keep = (after == y).float()
    positive = (y * keep).sum()
    negative = ((1 - y) * keep).sum()
    balance = (negative / positive.clamp_min(1)).clamp(1, 10)
    weight = keep * torch.where(y > 0, balance, torch.ones_like(y))
    loss = F.binary_cross_entropy_with_logits(s, y, reduction="none")
    return (loss * weight).sum() / weight.sum().clamp_min(1)
