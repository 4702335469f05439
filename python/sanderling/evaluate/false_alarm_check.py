"""Does the label-free threshold keep its promise? False alarms on normal data, measured against what was requested.

Protocol: the detector is calibrated on the first half of a series' normal part (the samples before train_end) and
scores the whole normal part as one stream; alarms are counted in the second half, which it has not seen. Alarms at
most `MERGE_SAMPLES` apart are one; samples that are labelled as anomalies count neither as alarms nor as normal time.
Requested: one a day where the period is known, else one per 10,000 samples. Measured / requested is formed from sums,
so long series weigh more and a series without an alarm is no division by zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from sanderling.errors import InputError
from sanderling.evaluate.bootstrap import interval_of_ratio
from sanderling.evaluate.metrics import alarms_at, false_alarms
from sanderling.evaluate.run import MERGE_SAMPLES
from sanderling.evaluate.scorers import DetectorScorer
from sanderling.evaluate.series import Series

DAY_S = 86400.0
UNIT_SAMPLES = 10000.0
POOLED = ("smap", "smd", "asd")
LOW, HIGH = 0.3, 3.0
NAN = float("nan")

Row = dict[str, Any]


def check_series(item: Series, scorer: DetectorScorer, mode: str = "calibrated") -> Row:
    """One row: set, name, alarms, requested (how many were asked for in that time), samples, alarming (how many of
    these alarm), unit, threshold; or "left_out", the reason.

    mode: "calibrated" or "adapted"; a cold start is never told what is normal, so there is nothing to check.
    """
    if mode == "cold":
        raise InputError("expected mode calibrated or adapted for the check of false alarms, found cold")
    row: Row = {"set": item.set_name, "name": item.name}
    normal = item.x[: max(item.train_end, 0)]
    half = len(normal) // 2
    detector, notes = scorer.detector(normal[:half], item.period_s, mode)
    if notes["scored"] == "cold":
        return {**row, "left_out": f"half of its normal part: {notes['reason']}" if half else "no normal part"}
    labels = np.zeros(len(normal), np.uint8) if item.labels is None else item.labels[: len(normal)]
    counted = int(np.sum(labels[half:] == 0))
    if not counted:
        return {**row, "left_out": "every sample of the second half is labelled as an anomaly"}
    alarms = alarms_at(detector.decision_function(normal), detector.threshold_)
    found = false_alarms(labels, alarms, merge=MERGE_SAMPLES, start=half)["false_alarms"]
    known = item.period_s > 0
    units = counted * item.period_s / DAY_S if known else counted / UNIT_SAMPLES
    return {
        **row,
        "alarms": found,
        "requested": scorer.false_alarms * units,
        "samples": counted,
        "alarming": int(np.sum(alarms[half:] & (labels[half:] == 0))),
        "unit": "day" if known else "10,000 samples",
        "threshold": detector.threshold_,
    }


def summarise_check(rows: Sequence[Row]) -> dict[str, Any]:
    """Sums and ratios per set and pooled over SMAP, SMD and ASD (null where none of them was given).

    {"sets": {name: {alarms, requested, ratio, interval, alarm_share, n}}, "pooled": the same, "left_out": [rows],
    "series": rows}. alarm_share: of the counted samples; it tells one endless alarm from a short one.
    """
    counted = [row for row in rows if "left_out" not in row]
    names = dict.fromkeys(row["set"] for row in rows)
    pooled = [row for row in counted if row["set"] in POOLED]
    return {
        "sets": {name: _ratio(row for row in counted if row["set"] == name) for name in names},
        "pooled": _ratio(pooled) if pooled else None,
        "pooled_sets": [name for name in POOLED if any(row["set"] == name for row in pooled)],
        "left_out": [row for row in rows if "left_out" in row],
        "series": counted,
    }


def _ratio(rows: Iterable[Row]) -> dict[str, Any]:
    members = list(rows)
    alarms, requested = ([row[key] for row in members] for key in ("alarms", "requested"))
    return {
        "alarms": sum(alarms),
        "requested": sum(requested),
        "ratio": sum(alarms) / sum(requested) if members else NAN,
        "interval": list(interval_of_ratio(alarms, requested)),
        "alarm_share": sum(r["alarming"] for r in members) / sum(r["samples"] for r in members) if members else NAN,
        "n": len(members),
    }


def check_table(report: dict[str, Any]) -> str:
    """The summary as text, then the series that were left out."""
    columns = ("series", "alarms", "requested", "time", "ratio")
    lines = ["".join(["set".ljust(16), *(column.rjust(10) for column in columns), "  95 % interval"])]
    rows = {**report["sets"]}
    if report["pooled"]:
        rows["+".join(report["pooled_sets"])] = report["pooled"]
    for name, of_set in rows.items():
        share = "-" if np.isnan(of_set["alarm_share"]) else f"{of_set['alarm_share']:.2%}"
        counts = (str(of_set["n"]), f"{of_set['alarms']:.0f}", f"{of_set['requested']:.1f}")
        cells = (*counts, share, _number(of_set["ratio"]))
        bounds = " to ".join(_number(bound) for bound in of_set["interval"])
        lines.append("".join([name.ljust(16), *(cell.rjust(10) for cell in cells), f"  {bounds}"]))
    lines.append(f"time = share of the samples in alarm; ratio = measured / requested; the bar is {LOW} to {HIGH:g}")
    lines += [f"left out: {row['set']}/{row['name']}: {row['left_out']}" for row in report["left_out"]]
    return "\n".join(lines)


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"
