"""The protocol of the false-alarm check, with a detector whose alarms are known."""

import numpy as np
import pytest

from sanderling.evaluate.false_alarm_check import check_series, check_table, summarise_check
from sanderling.evaluate.series import Series


class Known:
    """Alarms where x is above 5; needs 256 samples; writes down what it is prepared on and what it scores."""

    false_alarms = 2.0
    threshold_ = 5.0

    def __init__(self):
        self.seen = []

    def detector(self, reference, period_s, mode):
        self.seen.append((len(reference), mode))
        if len(reference) < 256:
            return self, {"scored": "cold", "reason": f"calibration needs 256 samples, found {len(reference)}"}
        return self, {"scored": mode}

    def decision_function(self, x):
        self.seen.append(len(x))
        return x[:, 0]


def series(high, train_end=4000, labelled=(), period_s=60.0, name="a", set_name="smd"):
    x = np.zeros((6000, 1), np.float32)
    x[list(high)] = 9
    labels = np.zeros(6000, np.uint8)
    labels[list(labelled)] = 1
    return Series(set_name, name, x, labels, train_end, period_s)


def test_the_second_half_is_counted_after_the_first():
    known = Known()
    row = check_series(series([100, 1999, 2500, 2501, 3300, 5000]), known)
    # 100 and 1999 lie in the first half, 5000 behind the normal part; the other two runs are 799 apart.
    assert row["alarms"] == 2 and row["samples"] == 2000 and row["alarming"] == 3
    assert known.seen == [(2000, "calibrated"), 4000]
    assert row["requested"] == pytest.approx(2.0 * 2000 / 1440)


@pytest.mark.parametrize(("gap", "alarms"), [(512, 1), (513, 2)])
def test_alarms_within_one_receptive_field_are_one(gap, alarms):
    assert check_series(series([2200, 2200 + gap + 1]), Known())["alarms"] == alarms


def test_without_a_period_the_request_is_per_10000_samples():
    row = check_series(series([], period_s=float("nan")), Known())
    assert row["requested"] == pytest.approx(2.0 * 2000 / 10000) and row["unit"] == "10,000 samples"


def test_labelled_samples_are_neither_alarms_nor_time():
    row = check_series(series([2100, 3500], labelled=range(2000, 3000)), Known())
    assert row["alarms"] == 1 and row["samples"] == 1000 and row["alarming"] == 1
    row = check_series(series([2100], labelled=range(2000, 4000)), Known())
    assert "every sample" in row["left_out"]


@pytest.mark.parametrize(("train_end", "reason"), [(511, "needs 256 samples, found 255"), (-1, "no normal part")])
def test_short_series_are_named(train_end, reason):
    row = check_series(series([], train_end=train_end), Known())
    assert reason in row["left_out"] and "alarms" not in row
    assert "alarms" in check_series(series([], train_end=512), Known())


def test_cold_is_refused():
    with pytest.raises(ValueError, match="found cold"):
        check_series(series([]), Known(), "cold")


def test_sums_per_set_and_pooled():
    known = Known()
    rows = [
        check_series(series([2100, 3300], name="a", set_name="smap"), known),
        check_series(series([], name="b", set_name="smap"), known),
        check_series(series([2100], name="c", set_name="asd"), known),
        check_series(series([2100, 2900, 3600], name="d", set_name="nab"), known),
        check_series(series([], 300, name="short", set_name="skab"), known),
    ]
    got = summarise_check(rows)
    each = 2.0 * 2000 / 1440
    assert got["sets"]["smap"]["ratio"] == pytest.approx(2 / (2 * each))
    assert got["sets"]["smap"]["alarm_share"] == pytest.approx(2 / 4000)
    assert got["pooled"]["ratio"] == pytest.approx(3 / (3 * each)) and got["pooled"]["n"] == 3
    assert got["pooled_sets"] == ["smap", "asd"]
    assert got["sets"]["skab"]["n"] == 0 and np.isnan(got["sets"]["skab"]["ratio"])
    assert [row["name"] for row in got["left_out"]] == ["short"]
    low, high = got["pooled"]["interval"]
    assert low <= got["pooled"]["ratio"] <= high
    text = check_table(got)
    assert "smap+asd" in text
    assert "left out: skab/short: half of its normal part: calibration needs 256 samples, found 150" in text
    assert summarise_check(rows[3:])["pooled"] is None
