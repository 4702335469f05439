"""The torch network: shapes, causality, windowed attention against the naive form."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra (torch)")

from sanderling.model import SIZES, ModelConfig, Sanderling  # noqa: E402
from sanderling.model.components import left_out_rows, soft_min  # noqa: E402
from sanderling.model.config import HEAD_DIM  # noqa: E402
from sanderling.model.encoder import WindowedAttention  # noqa: E402
from sanderling.signal.scale import squash, unsquash  # noqa: E402
from sanderling.signal.wavelet import atrous, patch_features, windows  # noqa: E402


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Sanderling(SIZES["micro"]).eval()


def naive_attention(layer: WindowedAttention, x: torch.Tensor) -> torch.Tensor:
    n, t, _ = x.shape
    q, k, v = layer.qkv(x).reshape(n, t, 3, layer.n_heads, HEAD_DIM).permute(2, 0, 3, 1, 4)
    logits = q @ k.transpose(-1, -2) / math.sqrt(HEAD_DIM)
    for i in range(t):
        for j in range(t):
            seen = 0 <= i - j < layer.window
            logits[:, :, i, j] += layer.bias[:, i - j] if seen else float("-inf")
    o = torch.softmax(logits, -1) @ v
    return layer.out(o.transpose(1, 2).reshape(n, t, -1))


# Below the window, the window, one more, an exact multiple, a tail of one.
@pytest.mark.parametrize("tokens", [1, 5, 16, 17, 32, 33])
def test_windowed_attention_equals_the_naive_form(tokens):
    torch.manual_seed(1)
    layer = WindowedAttention(48, 3, 16)
    with torch.no_grad():
        layer.bias.normal_()
        x = torch.randn(2, tokens, 48)
        torch.testing.assert_close(layer(x), naive_attention(layer, x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_forward_returns_reconstruction_and_score(model, channels):
    x = torch.randn(2, 1024, channels)
    x_hat, score = model(x)
    assert x_hat.shape == x.shape and score.shape == (2, 1024)
    assert torch.isfinite(x_hat).all() and (score > 0).all()
    per_patch = score.reshape(2, -1, 8)
    assert (per_patch == per_patch[..., :1]).all()


def test_a_later_sample_changes_no_earlier_score(model):
    x = torch.randn(1, 1024, 2)
    later = x.clone()
    later[:, 800:] += 3
    before, after = model(x)[1], model(later)[1]
    assert torch.equal(before[:, :800], after[:, :800])
    assert not torch.equal(before[:, 800:], after[:, 800:])


def test_other_channels_reach_the_decoder_and_only_with_graph_attention():
    x = torch.randn(1, 512, 2)
    other = x.clone()
    other[..., 1] = torch.randn(512)
    for independent in (False, True):
        torch.manual_seed(0)
        model = Sanderling(SIZES["micro"], channel_independent=independent).eval()
        same = torch.equal(model(x)[0][..., 0], model(other)[0][..., 0])
        assert same == independent


def test_base_size_is_the_designs():
    base = SIZES["base"]
    assert base.d_model == 512 and base.scorer_hidden == 256
    weights = sum(p.numel() for p in Sanderling(base).parameters())
    assert weights <= 10_000_000


@pytest.mark.parametrize(
    "change", [{"d_model": 40}, {"ffn": (8,), "n_heads": (1,)}, {"n_heads": (1, 1, 1)}]
)
def test_config_refuses_widths_that_the_engine_cannot_run(change):
    with pytest.raises(ValueError, match="expected"):
        ModelConfig().replace(**change)


def test_config_survives_a_round_trip():
    config = SIZES["micro"]
    assert ModelConfig.from_dict(config.to_dict()) == config


def test_wavelet_reconstructs_and_is_causal():
    y = torch.randn(3, 256, dtype=torch.float64)
    details, smooth = atrous(y, 5)
    torch.testing.assert_close(sum(details) + smooth, y, rtol=0, atol=1e-12)
    cut, _ = atrous(y[:, :100], 5)
    for whole, part in zip(details, cut, strict=True):
        assert torch.equal(whole[:, :100], part)


def test_patch_features_keep_raw_samples_and_validity():
    y = torch.arange(32.0)[None]
    valid = torch.ones(1, 32)
    valid[0, 9] = 0
    f = patch_features(y, valid, 5)
    assert f.shape == (1, 4, 64)
    assert torch.equal(f[0, 1, :8], y[0, 8:16])
    assert torch.equal(f[0, 1, 56:], valid[0, 8:16])


def test_windows_end_with_their_patch():
    w = windows(torch.arange(80.0), 64)
    assert w.shape == (10, 64)
    assert w[-1, -1] == 79 and w[-1, 0] == 16
    assert w[0, 0] == 0 and w[0, -1] == 7


def test_squash_keeps_order_and_inverts():
    x = np.linspace(-20, 20, 1001)
    y = squash(x)
    assert (np.diff(y) > 0).all() and abs(y).max() < 5.72
    np.testing.assert_allclose(unsquash(y), x, atol=1e-9)


def test_soft_min_is_between_the_minimum_and_the_mean():
    squared = torch.rand(5, 40)
    s = soft_min(squared, None, 0.05)
    assert (s >= squared.amin(-1)).all() and (s <= squared.mean(-1)).all()
    sharp = soft_min(squared, None, 1e-6)
    torch.testing.assert_close(sharp, squared.amin(-1))


def test_left_out_rows_are_those_within_the_block():
    rows = left_out_rows(torch.arange(10), torch.tensor([0, 4, 9]), 3)
    assert rows[4].tolist() == [False, True, False]
    assert rows[7].tolist() == [False, False, True]
