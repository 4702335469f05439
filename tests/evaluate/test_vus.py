"""VUS against the values that tsb-ad computes, against the definition, and at its edges."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sanderling.evaluate.vus import acf_period, vus
from tests.evaluate import make_vus_fixture as maker

FIXTURE = json.loads(Path(__file__).with_name("vus_fixture.json").read_text())


@pytest.mark.parametrize("name", maker.CASES)
def test_equals_tsb_ad(name):
    labels, scores = maker.make_case(name)
    expected = FIXTURE["cases"][name]["windows"]
    assert set(expected) == {str(w) for w in maker.CASES[name][3]}
    for window, values in expected.items():
        assert vus(labels, scores, int(window)) == pytest.approx(values, abs=1e-9, rel=0)


@pytest.mark.parametrize("name", maker.PERIODS)
def test_period_equals_tsb_ad(name):
    wave = maker.make_wave(maker.PERIODS[name])
    assert acf_period(wave) == FIXTURE["periods"][name]
    assert acf_period(np.stack([wave, -wave * 0], axis=1)) == FIXTURE["periods"][name]


def by_definition(y, s, window, thresholds=250):
    """The formulas of the module's docstring, one window and one threshold at a time."""
    n, areas = len(y), []
    levels = np.sort(s)[::-1][np.linspace(0, n - 1, thresholds).astype(int)]
    runs = np.flatnonzero(np.diff(np.concatenate([[0], y, [0]]))).reshape(-1, 2)
    for w in range(window + 1):
        half = w // 2
        soft = np.zeros(n)
        for begin, end in runs:
            for d in range(1, half + 1):
                for i in (begin - d, end - 1 + d):
                    if 0 <= i < n:
                        soft[i] += np.sqrt(1 - d / w)
        soft = np.where(y == 1, 0, np.minimum(soft, 1))
        widened = np.zeros(n, int)
        zone = -1
        for k, (begin, end) in enumerate(runs):
            if k == 0 or runs[k - 1][1] - 1 + half < begin - half:
                zone += 1
            widened[max(begin - half, 0) : end + half] = zone + 1
        curve = [(0.0, 0.0, 1.0)]
        for level in levels:
            p = s >= level
            mass = soft[p].sum()
            tp = y[p].sum() + mass
            positives = y.sum() + mass / 2
            reached = len(set(widened[p]) - {0}) / (zone + 1)
            curve.append((min(tp / positives, 1) * reached, (p.sum() - tp) / (n - positives), tp / p.sum()))
        tpr, fpr, precision = np.array(curve).T
        tpr1, fpr1 = np.append(tpr, 1), np.append(fpr, 1)
        roc = np.sum(np.diff(fpr1) * (tpr1[1:] + tpr1[:-1]) / 2)
        areas.append((np.sum(np.diff(tpr) * precision[1:]), roc))
    return dict(zip(("vus_pr", "vus_roc"), np.mean(areas, axis=0), strict=True))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 70), st.integers(0, 12), st.booleans())
def test_equals_the_definition(seed, n, window, ties):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.25).astype(int)
    y[rng.integers(n)] = 1
    y[rng.integers(n)] = 0
    s = rng.integers(0, 4, n).astype(float) if ties else rng.standard_normal(n)
    if 0 < y.sum() < n:
        assert vus(y, s, window) == pytest.approx(by_definition(y, s, window), abs=1e-9, rel=0)


def test_hand_computed_without_window():
    # Window 0, four samples, distinct scores: the plain step areas. Thresholds 4, 3, 2, 1 take 1, 2, 3, 4 samples;
    # TPR 1/1 from the first on, precision 1 there.
    assert vus([0, 0, 1, 0], [1, 2, 4, 3], 0) == {"vus_pr": 1.0, "vus_roc": 1.0}
    # The anomaly comes second: TPR 0 until one false positive, then 1 with precision 1/2.
    got = vus([0, 0, 1, 0], [1, 2, 3, 4], 0)
    assert got["vus_pr"] == pytest.approx(0.5)
    assert got["vus_roc"] == pytest.approx(2 / 3)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 7, 40]))
def test_only_the_order_counts(seed, window):
    rng = np.random.default_rng(seed)
    y = np.zeros(300, int)
    y[100:130] = y[290:] = 1
    s = rng.permutation(300) / 300 - 0.5
    assert vus(y, np.exp(9 * s), window) == vus(y, s, window)


def test_nan_is_the_lowest_score():
    y = np.zeros(400, int)
    y[50:80] = 1
    s = np.random.default_rng(3).random(400)
    holed = s.copy()
    holed[::7] = np.nan
    lowest = np.where(np.isnan(holed), -1, holed)
    assert vus(y, holed, 20) == vus(y, lowest, 20)


@pytest.mark.parametrize("y", [np.zeros(50, int), np.ones(50, int)])
def test_one_class_is_undefined(y):
    assert np.isnan(list(vus(y, np.arange(50.0), 5).values())).all()


def test_float32_scores_and_uint8_labels_change_nothing():
    labels, scores = maker.make_case("one segment")
    scores = scores.astype(np.float32)
    assert vus(labels.astype(bool), scores, 10) == vus(labels, scores.astype(np.float64), 10)


@pytest.mark.parametrize(
    ("labels", "scores", "window"),
    [([0, 1], [1.0], 3), ([[0, 1]], [[1.0, 2.0]], 3), ([0, 2], [1.0, 2.0], 3), ([0, 1], [1.0, 2.0], -1)],
)
def test_bad_input_is_refused(labels, scores, window):
    with pytest.raises(ValueError, match="expected|must be"):
        vus(labels, scores, window)


def test_period_edge_cases():
    assert acf_period(np.zeros(1000)) == 125
    assert acf_period(np.full(1000, np.nan)) == 125
    assert acf_period(np.arange(3.0)) == acf_period(np.ones(1)) == 125
    wave = maker.make_wave(50)
    wave[10] = np.nan
    wave[:3] = np.nan
    assert acf_period(wave) == 50
