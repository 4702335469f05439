"""Metrics on cases that a reader can check by hand, and properties that hold for any scores."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sanderling.evaluate import metrics as m
from tests.evaluate import make_vus_fixture as maker

FIXTURE = json.loads(Path(__file__).with_name("vus_fixture.json").read_text())

#             0  1  2  3  4  5  6  7  8  9
Y = np.array([0, 0, 1, 1, 1, 0, 0, 0, 1, 0])


def alarms(*at):
    a = np.zeros(10, bool)
    a[list(at)] = True
    return a


@pytest.mark.parametrize("name", FIXTURE["cases"])
def test_areas_equal_scikit_learn(name):
    labels, scores = maker.make_case(name)
    expected = FIXTURE["cases"][name]
    assert m.auc_pr(labels, scores) == pytest.approx(expected["auc_pr"], abs=1e-12)
    assert m.auc_roc(labels, scores) == pytest.approx(expected["auc_roc"], abs=1e-12)


def test_areas_by_hand():
    y, s = [1, 0, 1, 0], [4, 3, 2, 1]
    assert m.auc_pr(y, s) == pytest.approx((1 + 2 / 3) / 2)
    assert m.auc_roc(y, s) == pytest.approx(3 / 4)
    assert m.auc_roc(y, [1, 1, 1, 1]) == pytest.approx(1 / 2)
    assert m.auc_pr(y, [1, 1, 1, 1]) == pytest.approx(1 / 2)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_only_the_order_counts(seed):
    rng = np.random.default_rng(seed)
    y, s = rng.random(80) < 0.2, rng.permutation(80) / 80
    y[:2] = True, False
    assert m.auc_pr(y, s) == m.auc_pr(y, np.exp(5 * s))
    assert m.auc_roc(y, s) == m.auc_roc(y, s**3)
    assert m.auc_roc(y, s) + m.auc_roc(y, -s) == pytest.approx(1)


def test_perfect_and_random_scores():
    y = np.zeros(20000, int)
    y[3000:3600] = y[15000:15400] = 1
    perfect = m.curve_metrics(y, y.astype(float), 0)
    assert perfect["auc_pr"] == perfect["auc_roc"] == 1
    assert perfect["vus_pr"] == pytest.approx(1) and perfect["vus_roc"] == pytest.approx(1)
    chance = m.curve_metrics(y, np.random.default_rng(0).random(20000), 0)
    assert chance["auc_pr"] == pytest.approx(0.05, abs=0.01)
    assert chance["vus_pr"] == pytest.approx(0.05, abs=0.02)
    assert chance["auc_roc"] == pytest.approx(0.5, abs=0.02)


def test_nan_scores_rank_last_and_never_alarm():
    assert m.auc_roc([1, 0, 0], [np.nan, 1, 2]) == 0
    assert m.auc_roc([1, 0, 0], [3, np.nan, 2]) == 1
    assert m.alarms_at(np.array([np.nan, 1, 2]), 1).tolist() == [False, False, True]


def test_one_class_is_undefined():
    for y in ([0, 0], [1, 1]):
        assert np.isnan(m.auc_roc(y, [1, 2]))
    assert np.isnan(m.auc_pr([0, 0], [1, 2]))
    assert np.isnan(m.best_f1([0, 0], [1, 2])).all()
    assert np.isnan(m.event_f1([0, 0], [True, False])["event_f1"])
    assert np.isnan(m.point_metrics([0, 0], [True, False])["recall"])


def test_points_by_hand():
    assert m.point_metrics(Y, alarms(1, 2, 3)) == pytest.approx({"precision": 2 / 3, "recall": 1 / 2, "f1": 4 / 7})
    assert m.point_metrics(Y, alarms()) == {"precision": 0, "recall": 0, "f1": 0}


def test_best_f1_by_hand():
    f1, threshold = m.best_f1([0, 1, 1, 0], [4, 3, 2, 1])
    assert (f1, threshold) == (pytest.approx(4 / 5), 2)


def test_events_by_hand():
    got = m.event_f1(Y, alarms(1, 4))
    assert got == pytest.approx({"event_f1": 0.5, "event_recall": 0.5})
    everything = m.event_f1(Y, np.ones(10, bool))
    assert everything["event_recall"] == 1 and everything["event_f1"] == pytest.approx(0.8 / 1.4)


def test_false_alarms_by_hand():
    a = alarms(0, 1, 5, 7, 9)
    got = m.false_alarms(Y, a, period_s=3600.0)
    assert got["false_alarms"] == 4
    assert got["false_alarms_per_10k"] == pytest.approx(4 / 6 * 10000)
    assert got["false_alarms_per_day"] == pytest.approx(4 / (6 / 24))
    assert m.false_alarms(Y, a, merge=1)["false_alarms"] == 2
    assert m.false_alarms(Y, a, merge=3)["false_alarms"] == 1
    assert m.false_alarms(Y, a, start=5)["false_alarms"] == 3
    assert np.isnan(m.false_alarms(Y, a)["false_alarms_per_day"])


def test_an_alarm_that_outlasts_its_event_is_not_false():
    assert m.false_alarms(Y, alarms(3, 4, 5, 6))["false_alarms"] == 0
    assert m.false_alarms(Y, alarms())["false_alarms"] == 0


def test_delays_by_hand():
    assert m.delays(Y, alarms(1, 4, 8)).tolist() == [2, 0]
    assert m.delays(Y, alarms(5)).tolist() == []


def test_threshold_metrics_agree_with_their_parts():
    s = np.array([0, 5, 1, 6, 0, 0, 0, 7, 0, 0.0])
    got = m.threshold_metrics(Y, s, 2.0, period_s=60.0)
    a = s > 2
    assert got["f1"] == m.point_metrics(Y, a)["f1"]
    assert got["event_f1"] == m.event_f1(Y, a)["event_f1"]
    assert got["false_alarms"] == 2 and got["delay"] == 1


def test_point_adjustment_flatters_random_scores():
    y = np.zeros(10000, int)
    y[2000:3000] = y[6000:7000] = 1
    s = np.random.default_rng(1).random(10000)
    got = m.point_adjusted_f1(y, s, 0.99)
    assert got["random_point_adjusted_f1"] > 0.9 and got["point_adjusted_f1"] > 0.9
    assert m.point_metrics(y, s > 0.99)["f1"] < 0.05


def test_point_adjustment_by_hand():
    s = np.array([0, 9, 0, 9, 0, 0, 0, 0, 0, 0.0])
    assert m.point_adjusted_f1(Y, s, 1)["point_adjusted_f1"] == pytest.approx(2 * 0.75 * 0.75 / 1.5)


@pytest.mark.parametrize(("peak", "hit"), [(899, False), (900, True), (1110, True), (1111, False)])
def test_ucr_tolerance_is_at_least_100(peak, hit):
    y, s = np.zeros(3000), np.zeros(3000)
    y[1000:1011] = 1
    s[peak] = 1
    assert m.ucr_hit(y, s) is hit


def test_ucr_long_anomaly_training_part_and_label_count():
    y, s = np.zeros(3000), np.zeros(3000)
    y[1000:1200] = 1
    s[800] = 1
    s[10] = 2
    assert not m.ucr_hit(y, s)
    assert m.ucr_hit(y, s, start=500)
    y[2000] = 1
    with pytest.raises(ValueError, match="exactly one labelled run"):
        m.ucr_hit(y, s)


def test_shapes_are_checked():
    for call in (m.auc_pr, m.auc_roc, m.point_metrics, m.event_f1, m.delays, m.false_alarms):
        with pytest.raises(ValueError, match="one shape"):
            call(np.zeros(4), np.zeros(5))
