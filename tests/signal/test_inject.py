"""Injected anomalies: labels stay behind the prefix, on changed samples, and are earned."""

import numpy as np
import pytest

from sanderling.signal.anomalies import ANOMALIES
from sanderling.signal.distract import distract
from sanderling.signal.generate import generate
from sanderling.signal.inject import (
    HOLE,
    LONGEST,
    draw_strength,
    find_period,
    inject,
    measure,
    strength_range,
)

TIME, PREFIX = 2048, 768


def _sine(rng, channels=1):
    t = np.arange(TIME)[:, None] + rng.integers(0, 40, channels)
    x = np.sin(2 * np.pi * t / 40.0) + 0.05 * rng.standard_normal((TIME, channels))
    return x.astype(np.float32)


@pytest.mark.parametrize("name", ANOMALIES)
def test_each_kind_is_found_on_a_noisy_cycle(name):
    done_once = False
    for seed in range(8):
        rng = np.random.default_rng(seed)
        x = _sine(rng, 2)
        donor = np.cumsum(rng.standard_normal((TIME, 1)), axis=0)
        y, labels, done = inject(rng, x, PREFIX, 0.9, 1, donor, kinds=(name,))
        assert y.dtype == np.float32 and labels.dtype == np.uint8
        assert np.isfinite(y).all()
        assert bool(done) == bool(labels.any())
        assert all(d.kind == name and 0 < d.stop - d.start <= LONGEST for d in done)
        done_once |= bool(done)
    assert done_once


@pytest.mark.parametrize("channels", [1, 4])
def test_labels_only_after_the_prefix_and_only_where_values_changed(channels):
    labelled = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        x, _ = generate(rng, TIME, channels)
        y, labels, _ = inject(rng, x, PREFIX, rng.uniform(), 3, x[::-1])
        assert not labels[:PREFIX].any()
        changed = x != y
        assert not (changed & (labels == 0)).any()
        for c in range(channels):
            at, near = np.flatnonzero(labels[:, c]), np.flatnonzero(changed[:, c])
            for t in at:
                assert np.abs(near - t).min() <= HOLE
        labelled += int(labels.any())
    assert labelled > 40


def test_nothing_asked_changes_nothing():
    rng = np.random.default_rng(0)
    x = _sine(rng)
    y, labels, done = inject(rng, x, PREFIX, 1.0, 0)
    assert np.array_equal(x, y) and not labels.any() and done == []


def test_invisible_changes_are_undone():
    rng = np.random.default_rng(1)
    flat = np.full((TIME, 1), 3.0, np.float32)
    for kind in ("flatline", "smoothing", "reversed", "mirrored", "other_time", "time_warp"):
        y, labels, done = inject(rng, flat, PREFIX, 0.5, 3, kinds=(kind,))
        assert np.array_equal(flat, y) and not labels.any() and done == []


def test_white_noise_from_another_time_is_no_anomaly():
    found = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((TIME, 1)).astype(np.float32)
        found += len(inject(rng, x, PREFIX, 0.5, 1, kinds=("other_time", "reversed"))[2])
    assert found <= 2


def test_strength_scales_the_change():
    def median_change(strength):
        sizes = []
        for seed in range(40):
            rng = np.random.default_rng(seed)
            x = _sine(rng)
            y, labels, done = inject(rng, x, PREFIX, strength, 1, kinds=("level_shift",))
            if done:
                sizes.append(np.abs(y - x).max())
        return np.median(sizes)

    assert median_change(0.1) < median_change(0.5) < median_change(1.0)


def test_strength_curriculum_is_monotone():
    lows = [strength_range(p)[0] for p in np.linspace(0.0, 1.0, 11)]
    assert lows == sorted(lows, reverse=True) and lows[-1] == 0.0 and lows[0] > 0.4
    rng = np.random.default_rng(0)
    assert all(0.0 <= draw_strength(rng, p) <= 1.0 for p in (-1.0, 0.0, 0.5, 1.0, 2.0))


@pytest.mark.parametrize("period", [6, 13, 40, 150])
def test_period_is_found(period):
    rng = np.random.default_rng(period)
    x = np.sin(2 * np.pi * np.arange(1024) / period) + 0.2 * rng.standard_normal(1024)
    assert abs(find_period(x) - period) <= max(1, 0.03 * period)


def test_noise_and_constants_have_no_period():
    assert find_period(np.random.default_rng(0).standard_normal(1024)) == 0
    assert find_period(np.full(1024, 7.0)) == 0


def test_measure_is_never_zero():
    for reference in (np.zeros(512), np.full(512, 1e6), np.r_[np.zeros(511), 1.0]):
        spread, noise = measure(reference)
        assert spread > 0.0 and 0.0 < noise <= spread


def test_distractors_are_in_the_prefix_too():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x = _sine(rng, 2)
        y = distract(rng, x, PREFIX)
        changed = (x != y).any(axis=1)
        assert changed[:PREFIX].any() and changed[PREFIX:].any()
        assert y.dtype == np.float32 and np.isfinite(y).all()
