"""The demo's recordings: what the aeon wheel carries, with the part that calibrates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sanderling.evaluate.baselines import amplitude, random_scores, raw_knn
from sanderling.evaluate.datasets import Series, read_aeon
from sanderling.evaluate.metrics import curve_metrics
from sanderling.evaluate.vus import acf_period

# aeon 1.6.0 ships this recording with labels of zeros throughout: no detection quality can be had
# of it; it stands for several channels, for parity and for false alarms.
UNLABELLED_REFERENCE = 2048


@dataclass(frozen=True)
class DemoRecording:
    """A recording and where its normal part ends."""

    series: Series
    reference: int  # samples at the start that calibrate

    @property
    def name(self) -> str:
        return self.series.name

    @property
    def labels(self) -> np.ndarray:
        """uint8 (time,); zeros where there are none."""
        labels = self.series.labels
        return np.zeros(len(self.series.x), np.uint8) if labels is None else labels

    @property
    def labelled(self) -> bool:
        return bool(self.labels.any())

    def vus_pr(self, scores: np.ndarray) -> float:
        """VUS-PR of the whole series, window = the period of channel 0."""
        return curve_metrics(self.labels, scores, acf_period(self.series.x))["vus_pr"]

    def baselines(self) -> dict[str, float]:
        """VUS-PR of the simple detectors, calibrated on the same part."""
        detectors = {"random": random_scores, "amplitude": amplitude, "raw_knn": raw_knn}
        return {
            name: self.vus_pr(detector(self.series.x, self.reference, "calibrated"))
            for name, detector in detectors.items()
        }

    def write_csv(self, path: Path, samples: int | None = None) -> None:
        """The first `samples` rows (all if None); nine digits give the same float32 back."""
        columns = ",".join(f"c{i}" for i in range(self.series.x.shape[1]))
        np.savetxt(
            path, self.series.x[:samples], fmt="%.9g", delimiter=",", header=columns, comments=""
        )


def load(wheel: Path) -> list[DemoRecording]:
    """The recordings out of an aeon wheel. Raises ReadError."""
    return [
        DemoRecording(s, s.train_end if s.train_end > 0 else UNLABELLED_REFERENCE)
        for s in read_aeon(wheel)
    ]
