"""The shares that dynamic mode reports, by hand, and one evaluation through the scorer."""

import math

import numpy as np

from sanderling.evaluate.dynamic import SHARES, dynamic_lines, skipped_shares
from sanderling.evaluate.run import evaluate_scores
from sanderling.evaluate.scorers import DetectorScorer
from sanderling.evaluate.series import Series


def test_shares_by_hand():
    skipped = np.array([[1, 1], [1, 0], [0, 0]], bool)
    labels = np.zeros(20, np.uint8)
    labels[15:17] = 1  # the last sample of patch 1 and the first of patch 2, which is short
    assert skipped_shares(skipped, labels, 8) == {"skipped": 0.5, "skipped_in_anomalies": 0.25}
    without = skipped_shares(skipped, np.zeros(20), 8)
    assert without["skipped"] == 0.5 and math.isnan(without["skipped_in_anomalies"])


def test_a_report_has_the_shares_only_in_dynamic_mode(model_path):
    t = np.arange(1600)[:, None]
    x = np.sin(t / 3).astype(np.float32)
    x[1200:1230] += 6
    labels = np.zeros(1600, np.uint8)
    labels[1200:1230] = 1
    series = [Series("s", "a", x, labels, 600, 1.0)]
    plain = evaluate_scores(series, DetectorScorer(model_path))
    assert not set(SHARES) & set(plain["sets"]["s"]) and dynamic_lines(plain) == []
    asked = []

    def saved(*given):
        asked.append(given)
        return given[0] / 2

    found = evaluate_scores(series, DetectorScorer(model_path, dynamic=True, macs_saved=saved))
    of_set = found["sets"]["s"]
    assert of_set["skipped_in_anomalies"] < of_set["skipped"] and 0.2 < of_set["skipped"] < 0.9
    assert of_set["macs_saved"] == of_set["skipped"] / 2 and asked == [(of_set["skipped"], 75, 1)]
    assert len(dynamic_lines(found)) == 3 and f"{of_set['macs_saved']:.3f}" in dynamic_lines(found)[-1]
