"""A signal is one in any unit and at any level that float32 resolves."""

import numpy as np
import pytest

from sanderling import Detector


def recording(samples, seed):
    rng = np.random.default_rng(seed)
    return np.sin(np.arange(samples) / 6) + 0.05 * rng.standard_normal(samples)


def found(x):
    """Score of the anomaly over the largest score of what is normal before it."""
    x = x.astype(np.float32)[:, None]
    scores = Detector.load().fit(x[:2000]).decision_function(x[2000:])
    return scores[800:840].max() / scores[64:800].max()


@pytest.mark.parametrize(
    ("gain", "level"),
    [(1, 0), (1e-7, 0), (1e-10, 0), (1e-12, 0), (1e-25, 0), (1e7, 0), (0.01, 50), (1, 1e4), (1, 1e5), (10, 1e6)],
)
def test_an_anomaly_is_found_in_any_unit(gain, level):
    x = recording(3000, 0)
    x[2800:2830] = x[2700:2730][::-1] + 1
    assert found(level + gain * x) > 0.8 * found(x)


@pytest.mark.parametrize("level", [0, 1, 1e6])
def test_a_channel_that_stands_still_stays_silent_at_rounding(level):
    x = np.full(3000, level, np.float32)
    x[2800:] = np.nextafter(np.float32(level), np.float32(2e6))
    scores = Detector.load().fit(x[:2000, None]).decision_function(x[2000:, None])
    assert scores[800:].max() < 1.5 * scores[64:800].max()
