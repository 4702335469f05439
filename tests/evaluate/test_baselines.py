"""Baselines on signals whose anomaly a reader can see, and against slow direct forms."""

import numpy as np
import pytest

from sanderling.evaluate import baselines as b

SPAN = slice(1500, 1532)


def wave(kind):
    """2,000 samples, two channels, one anomaly of 32 samples in channel 0."""
    t = np.arange(2000)
    noise = np.random.default_rng(0).normal(0, 0.02, (2000, 2))
    x = np.stack([np.sin(t / 4), np.cos(t / 7)], axis=1) + noise
    if kind == "spike":
        x[SPAN, 0] += 6
    elif kind == "shape":
        x[SPAN, 0] = np.abs(x[SPAN, 0]) * 1.2 - 0.5
    return x.astype(np.float32)


FINDS = {
    "amplitude": "spike",
    "moving_variance_96": "spike",
    "sub_pca_64": "shape",
    "raw_knn_64": "shape",
}


@pytest.mark.parametrize("mode", ["cold", "calibrated"])
@pytest.mark.parametrize("name", FINDS)
def test_finds_the_anomaly(name, mode):
    scores = b.BASELINES[name](wave(FINDS[name]), 1000, mode)
    assert scores.shape == (2000,) and scores.dtype == np.float32
    reach = {"moving_variance_96": 96}.get(name, 64)
    assert SPAN.start - reach <= np.argmax(scores) < SPAN.stop + reach


@pytest.mark.parametrize("name", b.BASELINES)
def test_cold_sees_512_samples_and_calibrated_the_training_part(name):
    x = wave("none")
    moved = x.copy()
    moved[600:900] *= 3
    cold, changed = (b.BASELINES[name](v, 900, "cold") for v in (x, moved))
    np.testing.assert_allclose(cold[1100:], changed[1100:], rtol=1e-4)
    if name != "random":
        fitted, refitted = (b.BASELINES[name](v, 900, "calibrated") for v in (x, moved))
        assert not np.allclose(fitted[1100:], refitted[1100:], rtol=1e-2)


def test_reference_end():
    assert b.reference_end(2000, 900, "calibrated") == 900
    assert b.reference_end(2000, 900, "cold") == 512
    assert b.reference_end(2000, -1, "calibrated") == 512
    assert b.reference_end(300, -1, "cold") == 300
    assert b.reference_end(300, 900, "calibrated") == 300
    with pytest.raises(ValueError, match="expected mode cold, calibrated"):
        b.reference_end(10, 5, "warm")
    with pytest.raises(ValueError, match="empty"):
        b.reference_end(0, 5, "cold")


def test_nearest_window_equals_the_direct_form():
    x = wave("spike")[:700, :1]
    z = b.scaled(x, 200)[:, 0]
    windows = np.lib.stride_tricks.sliding_window_view(z, 64)
    direct = [np.sqrt(((windows[:137] - w) ** 2).sum(axis=1)).min() for w in windows]
    expected = [np.mean(direct[max(0, i - 63) : i + 1]) for i in range(700)]
    np.testing.assert_allclose(b.raw_knn(x, 200, "calibrated"), expected, rtol=1e-4, atol=1e-5)


def test_moving_variance_equals_the_direct_form():
    x = wave("spike")[:400]
    z = b.scaled(x, 200)
    direct = [z[i : i + 96].astype(float).var(axis=0).mean() for i in range(305)]
    expected = [np.mean(direct[max(0, i - 95) : i + 1]) for i in range(400)]
    np.testing.assert_allclose(b.moving_variance(x, 200, "calibrated"), expected, rtol=1e-4)


def test_subspace_holds_what_it_was_fitted_on():
    t = np.arange(1000.0)
    sine = np.sin(t / 5)[:, None]
    assert b.sub_pca(sine, 500, "calibrated").max() < 1e-2
    broken = sine.copy()
    broken[700:720] = 0
    assert 637 < np.argmax(b.sub_pca(broken, 500, "calibrated")) < 783


def test_amplitude_by_hand():
    x = np.array([[1.0], [2], [3], [4], [5], [30]])
    np.testing.assert_allclose(b.amplitude(x, 5, "calibrated"), np.array([2, 1, 0, 1, 2, 27]) / 1.4826, rtol=1e-6)


def test_constant_channels_keep_their_unit_or_fall_back():
    x = np.array([[7, 5], [7, np.nan], [7, 5], [1e30, 5.5]])
    z = b.scaled(x, 3)
    np.testing.assert_allclose(z, [[0, 0], [0, 0], [0, 0], [20, 0.5]])
    np.testing.assert_allclose(b.scaled(x, 3, robust=True)[3], [20, 20])


def test_robust_spread_falls_back_to_the_deviation():
    x = np.array([[0.0], [0], [0], [0], [5]])
    np.testing.assert_allclose(b.scaled(x, 5, robust=True)[4], 5 / 2)


def test_filled_takes_the_past():
    nan = np.nan
    x = np.array([[nan, nan], [1, nan], [np.inf, nan], [3, nan]], np.float32)
    np.testing.assert_array_equal(b.filled(x), [[1, 0], [1, 0], [1, 0], [3, 0]])


@pytest.mark.parametrize("name", b.BASELINES)
@pytest.mark.parametrize("samples", [1, 63, 64, 65, 97])
def test_short_series(name, samples):
    scores = b.BASELINES[name](wave("none")[:samples], -1, "cold")
    assert scores.shape == (samples,) and np.isfinite(scores).all()


@pytest.mark.parametrize("name", b.BASELINES)
def test_missing_and_constant_channels(name):
    x = wave("none")
    x[:, 1] = np.nan
    x[100:140, 0] = np.nan
    assert np.isfinite(b.BASELINES[name](x, 1000, "calibrated")).all()
    assert np.isfinite(b.BASELINES[name](np.ones((600, 2)), 300, "calibrated")).all()


def test_blocks_do_not_change_the_result(monkeypatch):
    x = wave("shape")
    expected = b.raw_knn(x, 1000, "calibrated")
    monkeypatch.setattr(b, "BLOCK", 7)
    np.testing.assert_allclose(b.raw_knn(x, 1000, "calibrated"), expected, rtol=1e-5)
