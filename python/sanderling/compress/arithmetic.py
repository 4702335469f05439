"""The engine's float arithmetic (csrc/kernels/kernels.h, "one arithmetic") in torch.

Where a float reaches a quantiser its last bit decides an integer now and then, and on a signal that repeats
itself exactly an integer decides a distance near 0. So the reference rounds as the engine does: reductions in
16 virtual lanes, fused multiply-add, exp by the same polynomial. All tensors are float32.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LANES = 16
EXP_POLYNOMIAL = (1.326472731e-3, 9.671512991e-3, 5.550733581e-2, 2.402224243e-1, 6.931470037e-1, 1.0)
GELU_POLYNOMIAL = (
    *(-8.760071942e-04, 2.713438356e-03, -3.429959062e-03, 4.130841233e-03, -8.044514805e-03, 1.436514128e-02),
    *(-2.163317613e-02, 3.037772514e-02, -4.064525664e-02, 5.297594890e-02, -7.289198786e-02, 1.468539089e-01),
)


def f32(value: float) -> Tensor:
    """A float32 constant."""
    return torch.tensor(value, dtype=torch.float32)


def fma(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """round(a * b + c): the product is exact in float64."""
    return torch.addcmul(c.double(), a.double(), b.double()).float()


def fold(lanes: Tensor) -> Tensor:
    """(..., 16) -> (...,), folded 16-8-4-2-1."""
    while lanes.shape[-1] > 1:
        half = lanes.shape[-1] // 2
        lanes = lanes[..., :half] + lanes[..., half:]
    return lanes[..., 0]


def _in_lanes(x: Tensor) -> Tensor:
    """(..., n) -> (ceil(n / 16), ..., 16), zeros behind the last."""
    return F.pad(x, (0, -x.shape[-1] % LANES)).unflatten(-1, (-1, LANES)).movedim(-2, 0)


def lane_sum(x: Tensor) -> Tensor:
    """Sum over the last axis in 16 virtual lanes."""
    rows = _in_lanes(x)
    total = torch.zeros_like(rows[0])
    for row in rows:
        total = total + row
    return fold(total)


def lane_dot(a: Tensor, b: Tensor) -> Tensor:
    """fold(sum fma(a, b, lane)) over the last axis."""
    rows_a, rows_b = _in_lanes(a), _in_lanes(b)
    total = torch.zeros_like(rows_a[0])
    for x, y in zip(rows_a, rows_b, strict=True):
        total = fma(x, y, total)
    return fold(total)


def exp32(x: Tensor) -> Tensor:
    """exp, clamped to [-87, 88]: the engine's polynomial of 2^r."""
    x = x.clamp(-87.0, 88.0)
    per_ln2, shift = f32(1.44269504088896341), f32(12582912.0)
    n = fma(x, per_ln2, shift) - shift
    r = fma(x, per_ln2, -n)
    p = f32(EXP_POLYNOMIAL[0])
    for coefficient in EXP_POLYNOMIAL[1:]:
        p = fma(p, r, f32(coefficient))
    return torch.ldexp(p, n.int())


def gelu(x: Tensor) -> Tensor:
    """GELU, tanh form: the engine's polynomial (csrc/kernels/kernels.h)."""
    t = x.clamp(-4.8125, 4.8125)
    v = fma(t, t * f32(8.635520190e-02), f32(-1.0))
    p = torch.full_like(x, GELU_POLYNOMIAL[0])
    for coefficient in GELU_POLYNOMIAL[1:]:
        p = fma(p, v, f32(coefficient))
    return x * fma(t, p, f32(0.5))


def layer_norm(x: Tensor, gain: Tensor, bias: Tensor, eps: float = 1e-5) -> Tensor:
    """Layer norm over the last axis."""
    size = float(x.shape[-1])
    c = x - (lane_sum(x) / size)[..., None]
    rstd = 1.0 / torch.sqrt(lane_dot(c, c) / size + f32(eps))
    return fma(c * rstd[..., None], gain, bias)


def linear(x: Tensor, w: Tensor, bias: Tensor) -> Tensor:
    """x (..., K), w (K, N), bias (N) -> (..., N); k ascending, fused."""
    y = bias.expand(*x.shape[:-1], -1)
    for k in range(len(w)):
        y = fma(x[..., k, None], w[k], y)
    return y


def log1p(x: Tensor) -> Tensor:
    """log(1 + x), rounded from float64."""
    return torch.log1p(x.double()).float()
