"""The reference's grids against kernels.h, and against float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sanderling.compress.arithmetic import exp32, fma, gelu, lane_sum, layer_norm, linear
from sanderling.compress.fake import on_grid
from sanderling.compress.grid import attend, qgemm, quantize_rows, soft_min, windowed

LENGTHS = (1, 15, 16, 17, 48)  # below the lane count, one less, exact, a tail of one, several rows


def rows_by_contract(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """quantize_rows of kernels.h, one scalar at a time in float32."""
    q, scale = np.zeros(x.shape, np.float32), np.zeros(len(x), np.float32)
    for i, row in enumerate(x):
        amax = np.float32(np.abs(row).max())
        if amax < np.float32(2.0**-100):
            continue
        scale[i] = amax / np.float32(127)
        inverse = np.float32(127) / amax
        for k, value in enumerate(row):
            q[i, k] = min(127, max(-127, np.rint(np.float32(value) * inverse)))
    return q, scale


@pytest.mark.parametrize("length", LENGTHS)
def test_row_quantiser_is_the_contract(length):
    rng = np.random.default_rng(length)
    x = rng.standard_normal((200, length)).astype(np.float32) * 10.0 ** rng.integers(-35, 15, (200, 1))
    x = x.astype(np.float32)
    x[0] = 0
    x[1] = 1e-40  # denormal: below 2**-100
    x[2, :] = 20.0  # all on the edge
    x[3, 0] = 127.0
    x[3, 1:] = 0.5  # ties
    want_q, want_scale = rows_by_contract(x)
    q, scale = quantize_rows(torch.from_numpy(x))
    np.testing.assert_array_equal(q.numpy(), want_q)
    np.testing.assert_array_equal(scale.numpy(), want_scale)
    assert q.abs().max() <= 127


@pytest.mark.parametrize("length", LENGTHS)
def test_lane_sum_folds_as_written(length):
    x = np.random.default_rng(length).standard_normal((5, length)).astype(np.float32)
    for row, found in zip(x, lane_sum(torch.from_numpy(x)).numpy(), strict=True):
        lane = np.zeros(16, np.float32)
        for i, value in enumerate(row):
            lane[i % 16] += value
        for half in (8, 4, 2, 1):
            lane = (lane[:half] + lane[half : 2 * half]).astype(np.float32)
        assert found == lane[0]


def test_float_arithmetic_is_accurate():
    x = torch.linspace(-80, 80, 4001)
    error = ((exp32(x).double() / x.double().exp()) - 1).abs()
    assert (error <= 3e-7 + 1.4e-8 * x.abs()).all()
    y = torch.linspace(-12, 12, 2001)
    wanted = torch.nn.functional.gelu(y.double(), approximate="tanh")
    assert (gelu(y) - wanted).abs().max() < 2e-6
    assert fma(torch.tensor(1 + 2.0**-12), torch.tensor(1 + 2.0**-12), torch.tensor(-1.0)).item() == (
        2.0**-11 + 2.0**-24
    )
    generator = torch.Generator().manual_seed(0)
    h, g, b = (torch.randn(n, 80, generator=generator) for n in (7, 1, 1))
    wanted = torch.nn.functional.layer_norm(h.double(), (80,), g[0].double(), b[0].double(), 1e-5)
    assert (layer_norm(h, g[0], b[0]) - wanted).abs().max() < 1e-5
    w = torch.randn(80, 17, generator=generator)
    assert (linear(h, w, b[0, :17]) - (h.double() @ w.double() + b[0, :17])).abs().max() < 1e-4


def test_qgemm_error_is_that_of_two_grids():
    generator = torch.Generator().manual_seed(1)
    x, w = torch.randn(40, 144, generator=generator), torch.randn(32, 144, generator=generator)
    q, scale = quantize_rows(w)
    y = qgemm(x, q, scale, torch.zeros(32))
    wanted = x.double() @ w.double().T
    assert (y - wanted).abs().max() < 0.05 * wanted.std()


def attention_by_hand(q, k, v, bias, window):
    """Causal windowed softmax attention in float64."""
    out = torch.zeros_like(q, dtype=torch.float64)
    for t in range(len(q)):
        low = max(0, t - window + 1)
        logits = (k[low : t + 1].double() @ q[t].double()) / 32**0.5
        logits += torch.stack([bias[t - j].double() for j in range(low, t + 1)])
        out[t] = logits.softmax(0) @ v[low : t + 1].double()
    return out


@pytest.mark.parametrize("tokens", (1, 15, 16, 17, 50))
def test_windowed_attention_is_close_to_float64(tokens):
    generator = torch.Generator().manual_seed(tokens)
    heads = 3
    r = torch.randn(tokens, 3 * heads * 32, generator=generator)
    bias = torch.randn(heads, 16, generator=generator)
    o = windowed(r, heads, 32, bias, torch.tensor(32**-0.5))
    q, k, v = r.reshape(tokens, 3, heads, 32).unbind(1)
    for h in range(heads):
        wanted = attention_by_hand(q[:, h], k[:, h], v[:, h], bias[h], 16)
        assert (o[:, 32 * h : 32 * h + 32] - wanted).abs().max() < 0.1 * v.std()


def test_attention_does_not_look_ahead():
    generator = torch.Generator().manual_seed(3)
    r = torch.randn(40, 96, generator=generator)
    changed = r.clone()
    changed[30:] += 5
    bias = torch.zeros(1, 16)
    before, after = (windowed(a, 1, 32, bias, torch.tensor(32**-0.5)) for a in (r, changed))
    assert torch.equal(before[:30], after[:30])
    assert not torch.equal(before[30:], after[30:])


def test_silent_values_give_zero():
    q = torch.ones(2, 1, 32)
    out = attend(q, q, torch.zeros(2, 1, 32), torch.tensor(32**-0.5))
    assert torch.equal(out, torch.zeros(2, 1, 32))


def test_soft_min_leaves_rows_out():
    dot = torch.tensor([[1.0, 0.5, 0.0], [1.0, 0.5, 0.0]])
    left_out = torch.tensor([[True, False, False], [True, True, True]])
    one = torch.tensor(1.0)
    found = soft_min(dot, one, one, torch.tensor(20.0), left_out)
    assert abs(found[0].item() - 1.0) < 1e-3  # 2 - 2 * 0.5: the nearest that counts
    assert found[1].item() == 0.0


def test_fake_quantiser_passes_the_gradient():
    x = torch.randn(4, 32, requires_grad=True)
    y = on_grid(x)
    q, scale = quantize_rows(x.detach())
    torch.testing.assert_close(y, q * scale[:, None])
    y.sum().backward()
    assert torch.equal(x.grad, torch.ones_like(x))
