"""The shipped detector as a scorer for `run.evaluate_scores`."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np

from sanderling.evaluate.datasets import Series


class DetectorScorer:
    """Scores with `sanderling.Detector`; opens the model per series, so that it pickles to workers.

    calibrated: fits on the samples before train_end, or scores cold where these are fewer than the model needs.
    model: a path, a shipped name, None = the default. false_alarms: wanted per day, or per 10,000 samples where the
    series has no period.
    """

    def __init__(self, model: str | os.PathLike[str] | None = None, false_alarms: float = 1.0) -> None:
        self.model = model
        self.false_alarms = false_alarms

    def score_series(self, item: Series, mode: str) -> tuple[np.ndarray, float]:
        """Scores (time,) float32 of the whole series and the label-free threshold."""
        from sanderling.runtime.detector import Detector

        period_s = item.period_s if math.isfinite(item.period_s) and item.period_s > 0 else None
        detector = Detector.load(self.model, false_alarms=self.false_alarms, period_s=period_s)
        needed: Any = detector.info["min_reference"]
        if mode == "calibrated" and item.train_end >= needed:
            reference = item.x[: item.train_end]
            detector.fit(reference, false_alarms=self.false_alarms, period_s=period_s)
        return detector.decision_function(item.x), detector.threshold_

    def __call__(self, x: np.ndarray, train_end: int, mode: str) -> tuple[np.ndarray, float]:
        return self.score_series(Series("", "", x, None, train_end), mode)
