"""Writes vus_fixture.json next to this file from the `tsb-ad` package (PyPI, 1.5), the reference implementation.

Run in an environment of its own, by the path of this file; no test imports it:
    pip install --no-deps tsb-ad==1.5 && pip install numpy scikit-learn scipy statsmodels
    python make_vus_fixture.py

Series are made by integer arithmetic only, so that they are the same under every numpy: see `make_case`, which the
test imports. Besides VUS it stores AUC-PR, AUC-ROC (scikit-learn) and the ACF period of a few waves.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

# name: (samples, labelled segments as (first, last), distinct score values, windows)
CASES = {
    "one segment": (400, [(150, 180)], 1 << 20, [0, 1, 2, 3, 10, 33]),
    "both ends": (300, [(0, 9), (290, 299)], 1 << 20, [0, 1, 8, 25]),
    "first sample, last sample": (257, [(0, 0), (256, 256)], 1 << 20, [0, 5, 40]),
    "single points closer than a window": (
        500,
        [(100, 100), (103, 103), (109, 109), (118, 118)],
        1 << 20,
        [0, 4, 7, 30],
    ),
    "gap of one": (300, [(100, 120), (122, 140), (200, 201)], 1 << 20, [1, 2, 3, 20]),
    "fewer samples than thresholds": (90, [(30, 40)], 1 << 20, [0, 6, 100]),
    "window longer than the series": (60, [(5, 8), (50, 55)], 1 << 20, [125]),
    "many ties": (600, [(50, 80), (300, 330), (590, 599)], 4, [0, 3, 50]),
    "constant scores": (200, [(20, 30)], 1, [0, 10]),
    "all but one": (200, [(0, 99), (101, 199)], 1 << 20, [0, 1, 2, 10]),
    "dense labels": (2000, [(i, i + 3) for i in range(0, 1990, 11)], 1 << 20, [0, 9, 24, 60]),
    "long": (6000, [(1000, 1099), (4000, 4300)], 1 << 20, [125]),
}
PERIODS = {"sine 50": 50, "sine 7": 7, "sine 310": 310, "sine 4": 4, "trend": 0}


def make_case(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels (uint8) and scores (float64) of a case: a 64-bit mixing of the index, raised inside the segments."""
    n, spans, values, _ = CASES[name]
    labels = np.zeros(n, np.uint8)
    for first, last in spans:
        labels[first : last + 1] = 1
    mixed = (np.arange(n, dtype=np.uint64) + np.uint64(len(name))) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)
    scores = (mixed >> np.uint64(40)) % np.uint64(values)
    return labels, scores.astype(np.float64) * (1.0 + 0.5 * labels)


def make_wave(period: int) -> np.ndarray:
    """3,000 samples: a triangle wave of this period with a slow drift; without a period the drift alone."""
    i = np.arange(3000)
    wave = np.abs((i * 2) % (2 * period) - period) / period if period else 0.0
    return wave + i / 9000.0


def main() -> None:
    from sklearn.metrics import average_precision_score, roc_auc_score
    from TSB_AD.evaluation.basic_metrics import generate_curve
    from TSB_AD.utils.slidingWindows import find_length_rank

    out: dict[str, dict] = {"cases": {}, "periods": {}}
    for name, (_, _, _, windows) in CASES.items():
        labels, scores = make_case(name)
        rows = {}
        for window in windows:
            *_, roc, pr = generate_curve(labels.astype(int), scores, window)
            rows[str(window)] = {"vus_pr": float(pr), "vus_roc": float(roc)}
        auc = {
            "auc_pr": float(average_precision_score(labels, scores)),
            "auc_roc": float(roc_auc_score(labels, scores)),
        }
        out["cases"][name] = {"windows": rows, **auc}
    for name, period in PERIODS.items():
        out["periods"][name] = int(find_length_rank(make_wave(period).reshape(-1, 1), rank=1))
    path = Path(__file__).with_name("vus_fixture.json")
    path.write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
