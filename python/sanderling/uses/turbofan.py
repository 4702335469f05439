"""Turbofan wear: `python -m sanderling.uses.turbofan -o OUT`.

NASA's C-MAPSS FD001 (`eval/cmapss_fd001.npz`, itself a simulation): engines run to failure, one sample a flight. The
first flights of the first 20 engines, joined, are normal; the detector scores each of the other 80 from its first
flight. Per engine: Spearman's rank correlation of the score with the negated remaining useful life (RUL), and how many
flights before the end it alarms. Beside it the plain mean of the sensors' |z|.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from sanderling.errors import InputError
from sanderling.evaluate.baselines import scaled
from sanderling.evaluate.datasets import open_series
from sanderling.evaluate.metrics import alarms_at
from sanderling.uses import common

RECORDS = ("eval", "cmapss_fd001.npz")
SETTINGS = 3  # the first channels are no sensors
FLEET = 20  # engines whose first flights are the reference
HEALTHY = 40  # flights an engine; wear shows in the last hundred or so
EARLY = 125  # flights: what is alarmed earlier is no warning of the end (the field's usual cap on RUL)
SHOWN = 4  # engines in the picture's left half


def run(inputs: common.Inputs) -> common.Outcome:
    engines = [s.x[:, SETTINGS:] for s in open_series(inputs.file(*RECORDS), lambda _, name: name.startswith("train_"))]
    if len(engines) <= FLEET:
        raise InputError(f"expected more than {FLEET} engines run to failure, found {len(engines)}")
    start = np.concatenate([x[:HEALTHY] for x in engines[:FLEET]])
    live = start.std(axis=0) > 1e-4 * np.abs(start.mean(axis=0))
    reference = np.ascontiguousarray(start[:, live])
    detector = inputs.detector().fit(reference)
    rows = []
    for number, x in enumerate(engines[FLEET:], FLEET + 1):
        rows.append(engine(number, np.ascontiguousarray(x[:, live]), reference, detector))
    measures = {"score": "rho", "mean of the sensors' absolute z": "plain_rho"}
    trend = [[name, *_five([row[key] for row in rows], ".2f")] for name, key in measures.items()]
    leads = [float(row["lead"]) for row in rows if row["lead"] is not None]
    early = sum(lead > EARLY for lead in leads)
    text = "\n".join(
        [
            f"{len(rows)} engines, {int(live.sum())} sensors, reference: {HEALTHY} flights of each of {FLEET} other "
            "engines. Spearman's correlation with -RUL, over the patches of 8 flights of an engine:\n",
            common.grid(["over the engines", "least", "10 %", "median", "90 %", "most", "mean"], trend),
            "Flights left at the first alarm (label-free threshold, one false alarm in 10,000 flights wanted):\n",
            common.grid(
                [
                    "engines that alarm",
                    f"more than {EARLY} flights early",
                    "least",
                    "10 %",
                    "median",
                    "90 %",
                    "most",
                    "mean",
                ],
                [[f"{len(leads)} of {len(rows)}", early, *_five(leads, ".0f")]],
            ),
        ]
    )
    kept = ("number", "flights", "rho", "plain_rho", "lead")
    figures = {"threshold": detector.threshold_, "engines": [{key: row[key] for key in kept} for row in rows]}
    return common.Outcome(text, figures, picture(rows, detector.threshold_))


def engine(number: int, x: np.ndarray, reference: np.ndarray, detector: Any) -> dict[str, Any]:
    """A row: rho and plain_rho, Spearman of a patch's score with -RUL; lead: flights left at the first alarm, or None.

    x (flights, sensors), the last flight is the engine's last: RUL is then 0.
    """
    patch = int(detector.info["patch"])
    whole = len(x) // patch * patch
    scores = detector.decision_function(x)[:whole]
    by_patch = scores[::patch]
    z = np.abs(scaled(np.concatenate([reference, x]), len(reference), robust=True)[len(reference) :])
    plain = z[:whole].reshape(-1, patch * z.shape[1]).mean(axis=1)
    at = np.flatnonzero(alarms_at(by_patch, detector.threshold_))
    left = len(x) - patch * (np.arange(len(by_patch)) + 1)  # a patch is scored when its last flight has landed
    return {
        "number": number,
        "flights": len(x),
        "rho": spearman(by_patch, -left),
        "plain_rho": spearman(plain, -left),
        "lead": int(left[at[0]]) if at.size else None,
        "left": left,
        "scores": by_patch,
    }


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Rank correlation of two (n,); ties share their mean rank; NaN where one is constant."""
    ra, rb = (_ranks(v) - (len(v) - 1) / 2 for v in (np.asarray(a), np.asarray(b)))
    norm = np.sqrt((ra @ ra) * (rb @ rb))
    return float(ra @ rb / norm) if norm > 0 else float("nan")


def picture(rows: list[dict[str, Any]], threshold: float) -> Any:
    """Left: the score of some engines and the fleet's median over flights left. Right: flights left at the alarm."""
    figure = common.figure(12, 4.2)
    left, right = figure.subplots(1, 2, width_ratios=[1.7, 1])
    for row in rows:
        left.plot(row["left"], row["scores"], color="#c9cdd2", linewidth=0.4, zorder=1)
    colours = ("#d9a441", "#8f6bb1", "#5b9a68", "#7f8c8d")
    for row, colour in zip(rows[:: max(1, len(rows) // SHOWN)], colours, strict=False):
        left.plot(row["left"], row["scores"], color=colour, linewidth=1.0, zorder=2, label=f"engine {row['number']}")
    bins = np.arange(0, 200, 8)
    at, value = (np.concatenate([row[key] for row in rows]) for key in ("left", "scores"))
    inside = [value[(at >= low) & (at < low + 8)] for low in bins]
    middle = [np.median(part) if part.size else np.nan for part in inside]
    left.plot(bins + 4, middle, color=common.SIGNAL, linewidth=2.2, zorder=4, label="median of the engines")
    left.axhline(threshold, color=common.ALARM, linestyle="--", linewidth=0.9, zorder=3, label="threshold")
    left.set_xlim(200, 0)
    left.set_xlabel("flights left (RUL)")
    left.set_ylabel("score")
    left.legend(loc="upper left", fontsize=8, frameon=False)
    right.hist([row["lead"] for row in rows if row["lead"] is not None], bins=20, color=common.SIGNAL)
    right.set_xlabel("flights left at the first alarm")
    right.set_ylabel("engines")
    right.invert_xaxis()
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def _ranks(values: np.ndarray) -> np.ndarray:
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts + 1) / 2)[which]


def _five(values: list[float], how: str) -> list[str]:
    if not values:
        return ["-"] * 6
    found = [*np.percentile(values, [0, 10, 50, 90, 100]), float(np.mean(values))]
    return [format(value, how) for value in found]


if __name__ == "__main__":
    sys.exit(common.main("turbofan", run, __doc__))
