"""Generated signals: every family, every count of channels that training draws."""

import numpy as np
import pytest

from sanderling.signal.blocks import convolve_causal, first_order_lag
from sanderling.signal.generate import (
    GENERATORS,
    allowed,
    generate,
    missing_runs,
    start_up,
    wander,
)

TIME = 700  # longer than the longest period (600)


@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize("name", GENERATORS)
def test_families_are_finite_and_repeat_by_seed(name, channels):
    for seed in range(6):
        x = GENERATORS[name].function(np.random.default_rng(seed), TIME, channels)
        again = GENERATORS[name].function(np.random.default_rng(seed), TIME, channels)
        assert x.shape == (TIME, channels) and x.dtype == np.float32
        assert np.isfinite(x).all()
        assert np.array_equal(x, again)
    other = GENERATORS[name].function(np.random.default_rng(99), TIME, channels)
    assert not np.array_equal(x, other)


def test_families_are_alive():
    for name, generator in GENERATORS.items():
        spans = [np.ptp(generator.function(np.random.default_rng(s), 2048, 1)) for s in range(5)]
        assert max(spans) > 0.0, name


def test_curriculum_only_adds_families():
    before: set[str] = set()
    for progress in np.linspace(0.0, 1.0, 11):
        now = set(allowed(progress))
        assert before <= now
        before = now
    assert before == set(GENERATORS)
    assert 4 <= len(allowed(0.0)) < len(GENERATORS)


def test_generate_only_draws_allowed_families():
    names = {generate(np.random.default_rng(s), TIME, 1, progress=0.0)[1] for s in range(60)}
    assert names <= set(allowed(0.0)) and len(names) > 3


def _strongest_lagged_correlation(x):
    """Over all pairs of channels and lags of up to 40 samples; constant channels count as 0."""
    x = (x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-9)
    pairs = [(a, b) for a in range(x.shape[1]) for b in range(a)]
    return max(np.abs(np.correlate(x[40:-40, a], x[:, b])).max() / len(x) for a, b in pairs)


def test_channels_of_one_recording_are_related():
    function = GENERATORS["counts"].function  # short memory: chance correlations stay small
    related = apart = 0
    for seed in range(30):
        x = function(np.random.default_rng(seed), 2048, 3).astype(np.float64)
        alone = [function(np.random.default_rng([seed, c]), 2048, 1) for c in range(3)]
        related += _strongest_lagged_correlation(x) > 0.5
        apart += _strongest_lagged_correlation(np.concatenate(alone, axis=1)) > 0.5
    assert related > 15 and related > 2 * apart


def test_missing_runs_are_nan_and_leave_the_rest():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((TIME, 3)).astype(np.float32)
    y = missing_runs(rng, x)
    lost = np.isnan(y)
    assert 0 < lost.sum() < x.size // 2
    assert np.array_equal(x[~lost], y[~lost])


def test_start_up_fades():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2048, 2)).astype(np.float32)
    for _ in range(20):
        y = start_up(rng, x, 512)
        assert y.dtype == np.float32
        assert not np.allclose(y[:8], x[:8], atol=1e-3)
        assert np.allclose(y[-300:], x[-300:], atol=0.01)


def test_wander_stays_small():
    rng = np.random.default_rng(2)
    x = np.sin(np.arange(2048) / 9.0)[:, None].astype(np.float32)
    for _ in range(20):
        assert np.abs(wander(rng, x) - x).max() < x.std()


def test_causal_convolution_matches_the_sum():
    rng = np.random.default_rng(3)
    x, kernel = rng.standard_normal(37), rng.standard_normal(5)
    held = np.concatenate([np.full(4, x[0]), x])
    want = [sum(kernel[k] * held[t + 4 - k] for k in range(5)) for t in range(37)]
    assert np.allclose(convolve_causal(x, kernel), want)
    assert np.allclose(first_order_lag(np.full(50, 2.5), 7.0), 2.5)
