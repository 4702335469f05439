"""The INT8 grids of csrc/kernels/kernels.h in torch float32: quantise, multiply, attend, soft-min.

Written from the contract, independently of the C++ kernels. Rounding is theirs where a result is quantised;
reductions run in torch's order, so the last bits of floats differ.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LEVELS = 127.0
TINY = 2.0**-100
EXACT_IN_FLOAT32 = 1040  # 127 * 127 * K < 2**24


def quantize_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """Symmetric INT8 with one scale a row.

    Args:
        x: (..., K) finite float32.

    Returns:
        q (..., K) float32 holding integers in [-127, 127], scale (...,) float32 with x ~ q * scale. A row
        below 2**-100 is all zeros with scale 0.
    """
    amax = x.abs().amax(-1)
    dead = amax < TINY
    inverse = LEVELS / torch.where(dead, torch.ones_like(amax), amax)
    q = torch.round(x * inverse[..., None]).clamp(-LEVELS, LEVELS)
    zero = torch.zeros_like(amax)
    return torch.where(dead[..., None], torch.zeros_like(q), q), torch.where(dead, zero, amax / LEVELS)


def integer_product(a: Tensor, w: Tensor) -> Tensor:
    """Exact a @ w.T of integers in [-127, 127] held as float32: (..., M, K), (..., N, K)."""
    if a.shape[-1] <= EXACT_IN_FLOAT32:
        return a @ w.transpose(-1, -2)
    return (a.double() @ w.double().transpose(-1, -2)).float()


def qgemm(x: Tensor, w: Tensor, w_scale: Tensor, bias: Tensor) -> Tensor:
    """A quantised linear layer: rows of x (..., K) are quantised first; w (N, K) integers -> (..., N)."""
    q, scale = quantize_rows(x)
    return integer_product(q, w) * (scale[..., None] * w_scale) + bias


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, seen: Tensor | None, inv_sqrt_d: Tensor) -> Tensor:
    """INT8 attention with 7-bit unnormalised weights, V's scales folded in before they are quantised.

    Args:
        q: (..., Q, D) float32, k and v: (..., N, D) float32; rows are quantised here.
        bias: (..., Q, N) or None.
        seen: bool (..., Q, N): keys that count; None: all.
        inv_sqrt_d: float32 scalar.

    Returns:
        (..., Q, D) float32.
    """
    (q, q_scale), (k, k_scale), (v, v_scale) = (quantize_rows(a) for a in (q, k, v))
    logits = integer_product(q, k) * ((q_scale[..., None] * k_scale[..., None, :]) * inv_sqrt_d)
    if bias is not None:
        logits = logits + bias
    if seen is not None:
        logits = logits.masked_fill(~seen, float("-inf"))
    e = torch.exp(logits - logits.amax(-1, keepdim=True))
    folded = e * v_scale[..., None, :]
    largest = folded.amax(-1, keepdim=True)
    dead = largest < TINY
    safe = torch.where(dead, torch.ones_like(largest), largest)
    p = torch.round(folded * (LEVELS / safe))
    out = integer_product(p, v.transpose(-1, -2)) * ((safe / LEVELS) / e.sum(-1, keepdim=True))
    return torch.where(dead, torch.zeros_like(out), out)


def windowed(r: Tensor, heads: int, head_dim: int, bias: Tensor, inv_sqrt_d: Tensor) -> Tensor:
    """Causal windowed attention over fused Q | K | V rows.

    Args:
        r: (tokens, 3 * heads * head_dim) of one sequence.
        bias: (heads, window), indexed by the distance back.

    Returns:
        (tokens, heads * head_dim).
    """
    tokens, window = len(r), bias.shape[1]
    q, k, v = r.reshape(tokens, 3, heads, head_dim).unbind(1)

    def past(a: Tensor) -> Tensor:
        """(tokens, heads, D) -> (tokens, heads, window, D), oldest first."""
        padded = F.pad(a, (0, 0, 0, 0, window - 1, 0))
        return padded.unfold(0, window, 1).transpose(-1, -2)

    distance = torch.arange(window - 1, -1, -1)
    seen = (torch.arange(tokens)[:, None] >= distance)[:, None, None]
    o = attend(q[:, :, None], past(k), past(v), bias.flip(1)[:, None], seen, inv_sqrt_d)
    return o.reshape(tokens, heads * head_dim)


def soft_min(
    dot: Tensor, q_norm: Tensor | float, norm: Tensor | float, inv_tau: Tensor, left_out: Tensor | None
) -> Tensor:
    """Soft minimum of squared distances from dot products (tokens, rows); 0 where every row is left out.

    (The kernel returns -1 there; the component is 0.)
    """
    squared = (q_norm + norm - 2.0 * dot).clamp_min(0.0)
    keep = torch.ones_like(dot, dtype=torch.bool) if left_out is None else ~left_out
    nearest = squared.masked_fill(~keep, float("inf")).amin(-1, keepdim=True)
    weight = torch.where(keep, torch.exp((nearest - squared) * inv_tau), torch.zeros_like(dot))
    found = (weight * squared).sum(-1) / weight.sum(-1)
    return torch.where(keep.any(-1), found, torch.zeros_like(found))
