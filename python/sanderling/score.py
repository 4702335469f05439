"""A scored recording and its forms: a summary to read, JSON, CSV. `sanderling score` is a thin layer over this."""

import csv
import io
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import numpy as np

from sanderling.files import write_file
from sanderling.runtime.detector import Detector
from sanderling.runtime.explanation import Alarm, Explanation
from sanderling.runtime.frames import output_names
from sanderling.runtime.recording import Recording

_LISTED = 20  # alarms in a summary
# Numeric times from here on are dates (2001-09-09) rather than seconds since a start.
_DATES_FROM = 1e9


@dataclass(frozen=True)
class ScoredRecording:
    """A recording, its scores and who computed them."""

    recording: Recording
    explanation: Explanation
    alarms: tuple[Alarm, ...]
    calibrated: bool
    cold_samples: int
    isa: str
    variant: str
    model_sha256: str | None
    frame_samples: int = 0  # samples a frame (docs/frames.md); 0: no frames

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what the model sees: the channels, or with frames their features."""
        return output_names(self.recording.channels, self.frame_samples)

    @property
    def mode(self) -> str:
        return "calibrated" if self.calibrated else "cold"

    @property
    def unscored(self) -> int:
        """Samples whose score is NaN."""
        return int(np.isnan(self.explanation.scores).sum())

    def channel_summary(self) -> list[dict[str, Any]]:
        """Per output (channel): its name, the largest score of its own, and how many alarms are blamed on it."""
        scores = self.explanation.channel_scores
        filled = np.where(np.isnan(scores), -np.inf, scores)
        top = filled.max(axis=0)
        return [
            {
                "channel": name,
                "max_score": _number(top[i]) if np.isfinite(top[i]) else None,
                "alarms": sum(alarm.channel == i for alarm in self.alarms),
            }
            for i, name in enumerate(self.outputs)
        ]

    def to_dict(self) -> dict[str, Any]:
        """What `--json` writes: every value is JSON; NaN is null; `end` is an alarm's last sample."""
        recording = self.recording
        return {
            "recording": None if recording.path is None else str(recording.path),
            "samples": recording.samples,
            "channels": list(recording.channels),
            "period_s": recording.period_s,
            "mode": self.mode,
            "frame_samples": self.frame_samples,
            "threshold": _number(self.explanation.threshold),
            "unscored": self.unscored,
            "isa": self.isa,
            "model": self.variant,
            "model_sha256": self.model_sha256,
            "alarms": [self._alarm(alarm) for alarm in self.alarms],
            "blame": self.channel_summary(),
            "scores": [_number(s) for s in self.explanation.scores],
        }

    def _alarm(self, alarm: Alarm) -> dict[str, Any]:
        row = {
            "start": alarm.start,
            "end": alarm.end,
            "peak": alarm.peak,
            "score": _number(alarm.score),
            "channel": self.channel_name(alarm),
            "component": alarm.component,
        }
        times = self.recording.timestamps
        if times is not None:
            row |= {"t_start": float(times[alarm.start]), "t_end": float(times[alarm.end])}
        return row

    def channel_name(self, alarm: Alarm) -> str | None:
        return self.outputs[alarm.channel] if alarm.channel >= 0 else None

    def summary(self) -> str:
        """A few lines for a person."""
        name = self.recording.path.name if self.recording.path else "recording"
        threshold = self.explanation.threshold
        lines = [
            f"{name}: {self.recording.samples} samples, {len(self.recording.channels)} channel(s), "
            f"{self.mode}, model {self.variant}, isa {self.isa}",
        ]
        if math.isnan(threshold):
            lines.append(
                f"no threshold: a cold start learns from {self.cold_samples} samples, found "
                f"{self.recording.samples}; every score is 0 (calibrate on a normal recording first)"
            )
            return "\n".join(lines)
        lines.append(f"threshold {threshold:.4g}, {len(self.alarms)} alarm(s)")
        if not self.calibrated:
            lines.append(f"the first {self.cold_samples} samples are the reference and score 0")
        if self.unscored:
            lines.append(f"{self.unscored} samples have no score: too much is missing there")
        lines += self._table()
        return "\n".join(lines)

    def _table(self) -> list[str]:
        if not self.alarms:
            return []
        rows = [("start", "end", "peak", "score", "channel", "because of")]
        for alarm in self.alarms[:_LISTED]:
            where = (self._when(alarm.start), self._when(alarm.end), self._when(alarm.peak))
            reason = (alarm.component or "-").replace("_", " ")
            rows.append((*where, f"{alarm.score:.4g}", self.channel_name(alarm) or "-", reason))
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        text = [
            "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        more = len(self.alarms) - _LISTED
        return text + ([f"  ... and {more} more"] if more > 0 else [])

    def _when(self, sample: int) -> str:
        times = self.recording.timestamps
        return str(sample) if times is None else format_time(float(times[sample]))

    def write_csv(self, path: Path) -> None:
        """One row a sample: sample, time (if known), score, label, channel. Raises StorageError."""
        times = self.recording.timestamps
        scores, labels = self.explanation.scores, self.explanation.labels
        top, names = self.explanation.top_channel, self.outputs
        header = ["sample"] + (["time"] if times is not None else []) + ["score", "label", "channel"]

        def rows() -> Iterable[list[object]]:
            for i in range(len(scores)):
                when = [repr(float(times[i]))] if times is not None else []
                score = "" if np.isnan(scores[i]) else str(scores[i])
                yield [i, *when, score, labels[i], names[top[i]] if top[i] >= 0 else ""]

        def write(binary: BinaryIO) -> None:
            file = io.TextIOWrapper(binary, "utf-8", newline="")
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(rows())
            file.detach()

        write_file(path, write)

    def write_json(self, file: TextIO) -> None:
        """The dictionary of `to_dict` on one line, to an open text file."""
        json.dump(self.to_dict(), file, allow_nan=False)
        file.write("\n")

    def save_json(self, path: Path) -> None:
        """The same to a file. Raises StorageError."""

        def write(binary: BinaryIO) -> None:
            file = io.TextIOWrapper(binary, "ascii")
            self.write_json(file)
            file.detach()

        write_file(path, write)


def score_recording(detector: Detector, recording: Recording) -> ScoredRecording:
    """Scores `recording` and finds its alarms. Raises InputError."""
    explanation = detector.explain(recording)
    info = detector.info
    patch = int(str(info["patch"]))
    return ScoredRecording(
        recording=recording,
        explanation=explanation,
        alarms=tuple(explanation.alarms()),
        calibrated=detector.calibrated,
        cold_samples=int(str(info["cold_samples"])) * explanation.patch // patch,
        isa=detector.isa,
        variant=str(info["variant"]),
        model_sha256=detector.sha256() if detector.path else None,
        frame_samples=explanation.frame_samples,
    )


def format_time(seconds: float) -> str:
    """A date (UTC) for seconds since 1970, the plain number for small ones."""
    if not _DATES_FROM <= seconds < 253402300800:  # year 10000
        return f"{seconds:g}"
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return moment.isoformat(sep=" ", timespec="milliseconds" if moment.microsecond else "seconds")[:-6]


def _number(value: float | np.floating[Any]) -> float | None:
    """float32 as the shortest decimal that reads back to it; None for NaN and infinities."""
    return float(str(np.float32(value))) if np.isfinite(value) else None
