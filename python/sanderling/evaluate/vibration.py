"""Bearing faults through frames: `python -m sanderling.evaluate.vibration [--model M] [--json out.json]`.

Reads the 48 kHz records of one bearing rig (`eval/cwru_1797.npz` in the folder that SANDERLING_DATA names): the
detector is calibrated on the first part of the only normal record and scores the rest of it and every faulty record.
Per faulty record: AUROC of its frames against the normal ones, and the share of them that alarm at the label-free
threshold; beside it the AUROC of the frames' plain RMS, the larger of the channels'. The first 8 patches of every
record are left out for both: scores there come from a history that is not full. Evaluation only: it chooses nothing.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from sanderling.errors import InputError
from sanderling.evaluate.datasets import open_series
from sanderling.evaluate.series import Series
from sanderling.runtime.detector import Detector
from sanderling.runtime.recording import Recording

RECORDS = Path("eval", "cwru_1797.npz")
REFERENCE = 64_000  # samples of the normal record: 1.33 s, 266 frames of 5 ms
START = 8 * 8  # frames left out


def auroc(normal: np.ndarray, faulty: np.ndarray) -> float:
    """The chance that a faulty value is above a normal one; ties count half."""
    ordered = np.sort(normal)
    below = np.searchsorted(ordered, faulty, "left") + np.searchsorted(ordered, faulty, "right")
    return float(below.mean() / (2 * len(normal)))


def frame_scores(detector: Detector, x: np.ndarray, period_s: float) -> np.ndarray:
    """One score a full frame, the start left out."""
    length = int(str(detector.info["frame_samples"]))
    scores = detector.decision_function(Recording(x, ("de", "fe")[: x.shape[1]], period_s=period_s))
    return scores[: len(x) // length * length : length][START:]


def frame_rms(x: np.ndarray, length: int) -> np.ndarray:
    """The plain baseline: RMS of each full frame, the larger of the channels', the start left out."""
    cut = x[: len(x) // length * length].astype(np.float64)
    return np.sqrt((cut.reshape(-1, length, x.shape[1]) ** 2).mean(axis=1)).max(axis=1)[START:]


def evaluate(series: list[Series], model: str | None, channels: slice) -> dict[str, Any]:
    """The table of one choice of channels."""
    normal = next(s for s in series if "Normal" in s.name)
    period = float(normal.period_s)
    x = normal.x[:, channels]
    detector = Detector.load(model).fit(x[:REFERENCE], period_s=period)
    length = int(str(detector.info["frame_samples"]))
    calm, calm_rms = frame_scores(detector, x[REFERENCE:], period), frame_rms(x[REFERENCE:], length)
    rows = {}
    for record in series:
        if record is normal:
            continue
        y = record.x[:, channels]
        scores = frame_scores(detector, y, period)
        rows[record.name] = {
            "auroc": auroc(calm, scores),
            "rms_auroc": auroc(calm_rms, frame_rms(y, length)),
            "alarming": float((scores > detector.threshold_).mean()),
        }
    return {
        "frame_samples": length,
        "reference_frames": REFERENCE // length,
        "threshold": detector.threshold_,
        "false_alarming": float((calm > detector.threshold_).mean()),
        "normal_frames": len(calm),
        "records": rows,
        "mean": {k: float(np.mean([r[k] for r in rows.values()])) for k in ("auroc", "rms_auroc", "alarming")},
        "least": {k: float(np.min([r[k] for r in rows.values()])) for k in ("auroc", "rms_auroc", "alarming")},
    }


def markdown(name: str, table: dict[str, Any]) -> str:
    """The table as Markdown."""
    lines = [
        f"{name}: frames of {table['frame_samples']} samples, {table['reference_frames']} for reference, "
        f"{100 * table['false_alarming']:.1f} % of {table['normal_frames']} normal frames above the threshold",
        "",
        "| record | AUROC | RMS AUROC | frames above the threshold |",
        "|---|---|---|---|",
    ]
    rows = {**table["records"], "mean": table["mean"], "least": table["least"]}
    for name, row in rows.items():
        share = f"{100 * row['alarming']:.0f} %"
        lines.append(f"| {name} | {row['auroc']:.3f} | {row['rms_auroc']:.3f} | {share} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="bearing faults through frames")
    parser.add_argument("--model", "-m", help="a model's file or name (default: the shipped one)")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args(arguments)
    folder = os.environ.get("SANDERLING_DATA")
    if not folder:
        raise InputError("expected the evaluation recordings in the folder of SANDERLING_DATA, found it unset; set it")
    series = list(open_series(Path(folder) / RECORDS))
    tables = {
        "drive end": evaluate(series, options.model, slice(0, 1)),
        "both ends": evaluate(series, options.model, slice(0, 2)),
    }
    for name, table in tables.items():
        print(markdown(name, table))
    if options.json:
        model = Detector.load(options.model)
        result = {"model": model.info["variant"], "sha256": model.sha256(), "tables": tables}
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
