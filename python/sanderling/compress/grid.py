"""The INT8 grids of csrc/kernels/kernels.h in torch: quantise, multiply, attend, soft-min.

Written from the contract, independently of the C++ kernels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .arithmetic import exp32, f32, fma, lane_dot, lane_sum

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
    # A number divided by a tensor is torch's reciprocal times it: two roundings.
    inverse = torch.div(f32(LEVELS), amax.masked_fill(dead, 1.0))
    q = torch.round(x * inverse[..., None]).clamp(-LEVELS, LEVELS)
    return q.masked_fill(dead[..., None], 0.0), (amax / LEVELS).masked_fill(dead, 0.0)


def integer_product(a: Tensor, w: Tensor) -> Tensor:
    """Exact a @ w.T of integers in [-127, 127] held as float32: (..., M, K), (..., N, K)."""
    if a.shape[-1] <= EXACT_IN_FLOAT32:
        return a @ w.transpose(-1, -2)
    return (a.double() @ w.double().transpose(-1, -2)).float()


def qgemm(x: Tensor, w: Tensor, w_scale: Tensor, bias: Tensor) -> Tensor:
    """A quantised linear layer: rows of x (..., K) are quantised first; w (N, K) integers -> (..., N)."""
    q, scale = quantize_rows(x)
    return fma(integer_product(q, w), scale[..., None] * w_scale, bias)


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    inv_sqrt_d: Tensor,
    bias: Tensor | None = None,
    count: Tensor | None = None,
) -> Tensor:
    """INT8 attention with 7-bit unnormalised weights, V's scales folded in before they are quantised.

    Args:
        q: (..., Q, D), k and v: (..., N, D) float32; rows are quantised here.
        inv_sqrt_d: float32 scalar.
        bias: broadcasts to (..., Q, N).
        count: int64, broadcasts to (..., Q, 1): a query sees the first `count` keys only.

    Returns:
        (..., Q, D) float32.
    """
    (q, q_scale), (k, k_scale), (v, v_scale) = (quantize_rows(a) for a in (q, k, v))
    scale = (q_scale[..., None] * inv_sqrt_d) * k_scale[..., None, :]
    logits = fma(integer_product(q, k), scale, torch.zeros(()) if bias is None else bias)
    hidden = None if count is None else torch.arange(k.shape[-2]) >= count
    if hidden is not None:
        logits = logits.masked_fill(hidden, float("-inf"))
    e = exp32(logits - logits.amax(-1, keepdim=True))
    if hidden is not None:
        e = e.masked_fill(hidden, 0.0)
    folded = e * v_scale[..., None, :]
    largest = folded.amax(-1, keepdim=True)
    dead = largest < TINY
    safe = largest.masked_fill(dead, 1.0)
    p = torch.round(folded * torch.div(f32(LEVELS), safe))
    out = integer_product(p, v.transpose(-1, -2)) * ((safe / LEVELS) / lane_sum(e)[..., None])
    return out.masked_fill(dead, 0.0)


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
    t = torch.arange(tokens)
    count = (t + 1).clamp_max(window)
    # Keys oldest first from each query's first one; what lies behind the query itself does not count.
    key = (t - count + 1)[:, None] + torch.arange(window)
    distance = (t[:, None] - key).clamp_min(0)
    key = key.clamp_max(tokens - 1)
    o = attend(
        q[:, :, None],
        k[key].transpose(1, 2),
        v[key].transpose(1, 2),
        inv_sqrt_d,
        bias[:, distance].transpose(0, 1)[:, :, None],
        count[:, None, None, None],
    )
    return o.reshape(tokens, heads * head_dim)


def soft_min(dot: Tensor, q_norm: Tensor, norm: Tensor, inv_tau: Tensor, left_out: Tensor | None) -> Tensor:
    """Soft minimum of squared distances from dot products (tokens, rows).

    0 where every row is left out (the kernel says -1 there, and the component is 0).
    """
    squared = fma(torch.full_like(dot, -2.0), dot, q_norm + norm).clamp_min(0.0)
    keep = torch.ones_like(dot, dtype=torch.bool) if left_out is None else ~left_out
    nearest = squared.masked_fill(~keep, float("inf")).amin(-1, keepdim=True)
    keep = keep & (squared <= nearest + 20.0 / inv_tau)
    weight = exp32((nearest - squared).clamp_max(0.0) * inv_tau).masked_fill(~keep, 0.0)
    found = lane_dot(weight, squared) / lane_sum(weight)
    return torch.where(keep.any(-1), found, torch.zeros_like(found))


def unit_heads(m: Tensor, head_dim: int) -> Tensor:
    """(..., heads * head_dim) -> (..., heads, head_dim), each head divided by its norm."""
    m = m.unflatten(-1, (-1, head_dim))
    return m * (1.0 / torch.sqrt(lane_sum(m * m) + 1e-12))[..., None]


def patch_mean(x: Tensor) -> Tensor:
    """Mean over the last axis of 8, added in order."""
    total = x[..., 0]
    for k in range(1, x.shape[-1]):
        total = total + x[..., k]
    return total * 0.125


def smooth(s: Tensor, n: int) -> Tensor:
    """Mean of s (tokens,) over the last n (fewer at the start), oldest first."""
    padded = F.pad(s, (n - 1, 0))
    total = torch.zeros_like(s)
    for k in range(n):
        total = total + padded[k : k + len(s)]
    return total / torch.arange(1, len(s) + 1).clamp_max(n)
