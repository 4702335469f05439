"""The shipped detector as a scorer for `run.evaluate_scores`."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sanderling.errors import CalibrationError, InputError, ModelError
from sanderling.evaluate.baselines import MODES
from sanderling.evaluate.dynamic import skipped_shares
from sanderling.evaluate.series import Series

# adapt(model, reference (time, channels) float32, out) writes an adapted model to `out`; a dataclass that it returns
# goes into the series' row.
Adapt = Callable[[Any, np.ndarray, Path], Any]
# macs_saved(share of the patches skipped, patches of the reference, channels) -> share of the model's work saved.
MacsSaved = Callable[[float, int, int], float]


class DetectorScorer:
    """Scores with `sanderling.Detector`; opens the model per series, so that it pickles to workers.

    calibrated: fits on the samples before train_end, or scores cold where calibration refuses them (too few).
    adapted: calls `adapt` on them first and fits the file that it writes; the mode needs `adapt`. model: a path,
    a shipped name, None = the default. false_alarms: wanted per day, or per 10,000 samples where the series has no
    period. sha256: that of the model's file, checked where a worker opens it (ModelError). dynamic: score in dynamic
    mode, and note what it skipped, and where `macs_saved` is given the share of the work saved. hindsight: see
    `Detector.load`.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        false_alarms: float = 1.0,
        *,
        adapt: Adapt | None = None,
        sha256: str | None = None,
        dynamic: bool = False,
        hindsight: int = 0,
        macs_saved: MacsSaved | None = None,
    ) -> None:
        self.model = model
        self.false_alarms = false_alarms
        self.adapt = adapt
        self.sha256 = sha256
        self.dynamic = dynamic
        self.hindsight = hindsight
        self.macs_saved = macs_saved

    def detector(self, reference: np.ndarray, period_s: float, mode: str) -> tuple[Any, dict[str, Any]]:
        """A detector for what follows reference (time, channels), and notes: "scored", the mode it is in; "reason"."""
        from sanderling.runtime.detector import Detector

        if mode not in MODES:
            raise InputError(f"expected mode {', '.join(MODES)}, found {mode!r}")
        known = period_s if math.isfinite(period_s) and period_s > 0 else None
        wanted: dict[str, Any] = {"false_alarms": self.false_alarms, "period_s": known}
        ways: dict[str, Any] = {"dynamic": self.dynamic, "hindsight": self.hindsight}
        detector = Detector.load(self.model, **wanted, **ways)
        if self.sha256 is not None and detector.sha256() != self.sha256:
            raise ModelError(f"expected the model {self.sha256[:12]}, found {detector.sha256()[:12]} on this worker")
        if mode == "adapted" and self.adapt is None:
            raise InputError("expected a function that adapts the model for mode adapted, found none")
        if mode == "cold":
            return detector, {"scored": "cold"}
        try:
            return self._prepared(detector, reference, wanted, ways, mode)
        except CalibrationError as error:
            return detector, {"scored": "cold", "reason": str(error)}

    def _prepared(
        self, detector: Any, reference: np.ndarray, wanted: dict[str, Any], ways: dict[str, Any], mode: str
    ) -> tuple[Any, dict[str, Any]]:
        from sanderling.runtime.detector import Detector

        needed = int(detector.info["min_reference"])
        if len(reference) < needed:
            raise CalibrationError(f"calibration needs {needed} samples, found {len(reference)}")
        if mode == "adapted" and self.adapt is not None:
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "adapted.gguf"
                report = self.adapt(self.model, reference, file)
                adapted = Detector.load(file, **wanted, **ways).fit(reference, **wanted)
            notes = {"adapt": asdict(report)} if is_dataclass(report) and not isinstance(report, type) else {}
            return adapted, {"scored": mode, **notes}
        return detector.fit(reference, **wanted), {"scored": mode}

    def score_series(self, item: Series, mode: str) -> tuple[np.ndarray, float, dict[str, Any]]:
        """Scores (time,) float32 of the whole series, the label-free threshold, and notes."""
        detector, notes = self.detector(item.x[: max(item.train_end, 0)], item.period_s, mode)
        if not self.dynamic:
            return detector.decision_function(item.x), detector.threshold_, notes
        found = detector.explain(item.x)
        notes.update(skipped_shares(found.skipped, item.labels, found.patch))
        if self.macs_saved is not None:
            reference = int(detector.info["reference_samples"]) or int(detector.info["cold_samples"])
            channels = found.channel_scores.shape[1]
            notes["macs_saved"] = self.macs_saved(notes["skipped"], reference // found.patch, channels)
        return found.scores, detector.threshold_, notes

    def __call__(self, x: np.ndarray, train_end: int, mode: str) -> tuple[np.ndarray, float, dict[str, Any]]:
        return self.score_series(Series("", "", x, None, train_end), mode)
