"""The loop over series: averages, thresholds, what is undefined, workers; and the committed lists."""

import math

import numpy as np
import pytest

from sanderling.errors import InputError
from sanderling.evaluate.baselines import amplitude, random_scores
from sanderling.evaluate.datasets import Series
from sanderling.evaluate.metrics import acf_period, vus
from sanderling.evaluate.run import evaluate_all, evaluate_each, evaluate_scores, summarise


def series(set_name="s", name="a", span=(900, 920), seed=0, train_end=600, period_s=60.0):
    x = np.random.default_rng(seed).normal(size=(1200, 1)).astype(np.float32)
    labels = np.zeros(1200, np.uint8)
    if span:
        labels[slice(*span)] = 1
        x[slice(*span)] += 8
    return Series(set_name, name, x, labels, train_end, period_s)


def test_averages_per_set_then_over_sets():
    items = [series("s", "a"), series("s", "b", seed=1), series("t", "c", (700, 703), seed=2)]
    got = evaluate_scores(items, amplitude)
    each = [vus(i.labels, amplitude(i.x, 600, "calibrated"), acf_period(i.x))["vus_pr"] for i in items]
    assert got["sets"]["s"]["vus_pr"] == pytest.approx((each[0] + each[1]) / 2)
    assert got["sets"]["t"]["vus_pr"] == pytest.approx(each[2])
    assert got["mean_vus_pr"] == pytest.approx(((each[0] + each[1]) / 2 + each[2]) / 2)
    assert [got["sets"][s]["n"] for s in "st"] == [2, 1]
    assert [row["name"] for row in got["series"]] == ["a", "b", "c"]


def test_series_without_an_anomaly_count_for_false_alarms_only():
    def scorer(x, train_end, mode):
        scores = np.zeros(len(x))
        scores[[700, 1100]] = 2
        return scores, 1.0

    got = evaluate_scores([series(), series(name="quiet", span=None)], scorer)["sets"]["s"]
    alone = evaluate_scores([series()], scorer)["sets"]["s"]
    assert (got["n"], got["n_normal"]) == (1, 1)
    assert got["vus_pr"] == alone["vus_pr"] and got["event_f1"] == alone["event_f1"]
    # After the reference part: 580 normal samples with an anomaly, 600 without; alarms 400 apart are one.
    expected = (10000 / 580 + 10000 / 600) / 2
    assert got["false_alarms_per_10k"] == pytest.approx(expected)
    assert got["false_alarms_per_day"] == pytest.approx(expected * 1440 / 10000)


def test_threshold_metrics_leave_the_reference_part_out():
    def scorer(x, train_end, mode):
        scores = np.zeros(len(x))
        scores[:500] = scores[905:910] = 2
        return scores, 1.0

    calibrated = evaluate_scores([series()], scorer)["sets"]["s"]
    assert calibrated["event_f1"] == calibrated["precision"] == 1
    assert calibrated["false_alarms_per_10k"] == 0 and calibrated["delay"] == 5
    assert calibrated["recall"] == 0.25
    assert calibrated["point_adjusted_f1"] == 1 > calibrated["random_point_adjusted_f1"]


def test_without_a_threshold_its_metrics_are_undefined():
    got = evaluate_scores([series()], amplitude)["sets"]["s"]
    assert math.isnan(got["event_f1"]) and math.isnan(got["ucr_top1"]) and got["vus_pr"] > 0.5


def test_ucr_top1_from_the_names():
    name = "001_UCR_Anomaly_x_600_900_919"
    got = evaluate_scores([series("ucr", name), series("ucr", name, seed=3)], amplitude)
    assert got["sets"]["ucr"]["ucr_top1"] == 1
    worst = evaluate_scores([series("ucr", name)], lambda x, *_: np.arange(len(x)) == 700)
    assert worst["sets"]["ucr"]["ucr_top1"] == 0


def test_scorers_see_mode_and_split_or_the_whole_series():
    seen = []

    class Whole:
        def score_series(self, item, mode):
            seen.append((item.name, item.period_s, mode))
            return np.arange(len(item.x)), float("nan")

    def plain(x, train_end, mode):
        seen.append((train_end, mode))
        return np.arange(len(x))

    evaluate_all([series()], {"whole": Whole(), "plain": plain}, "cold")
    assert seen == [("a", 60.0, "cold"), (600, "cold")]


def test_bad_scores_labels_and_modes_are_refused():
    with pytest.raises(ValueError, match=r"s/a: expected scores of shape \(1200,\)"):
        evaluate_scores([series()], lambda x, *_: x)
    with pytest.raises(ValueError, match="expected labels"):
        evaluate_scores([Series("s", "a", np.ones((9, 1)), None)], amplitude)
    with pytest.raises(ValueError, match="mode"):
        evaluate_scores([series()], amplitude, "warm")


def test_a_split_behind_the_end_is_refused():
    with pytest.raises(InputError, match="s/a: expected train_end within the recording, found 1201 of 1200 samples"):
        evaluate_scores([series(train_end=1201)], amplitude)
    assert evaluate_scores([series(train_end=1200)], amplitude)["sets"]["s"]["n"] == 1


def test_workers_give_the_same_numbers():
    items = [series(name=str(i), seed=i) for i in range(5)]
    alone, shared = (evaluate_all(items, {"a": amplitude, "r": random_scores}, workers=n) for n in (1, 2))
    for name in ("a", "r"):
        for key in ("vus_pr", "vus_roc", "auc_pr"):
            assert shared[name]["sets"]["s"][key] == alone[name]["sets"]["s"][key]
        rows = [[r["name"] for r in result[name]["series"]] for result in (alone, shared)]
        assert rows[0] == rows[1]


def test_each_series_is_reported_as_it_ends():
    done = {}
    items = [series(name="a"), series(name="b")]
    scorers = {"a": amplitude, "r": random_scores}
    evaluate_each(items, scorers, "cold", done.__setitem__, keep_scores="r")
    assert [rows["a"]["name"] for rows in done.values()] == ["a", "b"] and "scores" not in done[0]["a"]
    np.testing.assert_array_equal(done[1]["r"]["scores"], random_scores(items[1].x, 600, "cold"))


def test_notes_of_a_scorer_join_the_row_and_adapted_counts_as_calibrated():
    seen = []

    def scorer(x, train_end, mode):
        seen.append(mode)
        return np.arange(len(x)), float("nan"), {"scored": "cold"}

    rows = evaluate_scores([series()], scorer, "adapted")["series"]
    assert seen == ["adapted"] and rows[0]["scored"] == "cold" and "threshold" not in rows[0]
    assert evaluate_scores([series()], amplitude, "adapted") != evaluate_scores([series()], amplitude, "cold")


def test_intervals_hold_the_means():
    items = [series("s", str(i), seed=i) for i in range(6)] + [series("t", "x", (700, 703), seed=9)]
    for i, item in enumerate(items):
        item.x[950 : 950 + 10 * i] += 9  # as high as the anomaly, and longer from series to series
    got = evaluate_scores(items, amplitude)
    low, high = got["sets"]["s"]["intervals"]["vus_pr"]
    assert low < got["sets"]["s"]["vus_pr"] < high
    assert np.isnan(got["sets"]["t"]["intervals"]["vus_pr"]).all()  # one series: nothing to draw from
    low, high = got["mean_vus_pr_interval"]
    assert low < got["mean_vus_pr"] < high
    assert got["series_vus_pr"] == pytest.approx(np.mean([row["vus_pr"] for row in got["series"]]))
    assert got["series_vus_pr"] != got["mean_vus_pr"]


def test_nothing_to_average():
    empty = summarise([])
    assert empty["sets"] == {} and math.isnan(empty["mean_vus_pr"])


@pytest.mark.parametrize(
    ("x", "labels"),
    [((20, 0), np.zeros(20)), ((0, 1), np.zeros(0)), ((20, 1), np.full(20, 2)), ((20, 1), np.zeros(19))],
)
def test_a_series_that_cannot_be_measured_is_named(x, labels):
    item = Series("plant", "pump 7", np.zeros(x, np.float32), labels)
    with pytest.raises(InputError, match="plant/pump 7: expected"):
        evaluate_scores([item], random_scores)
