"""What the uses share: the command line, where the data lies, tables and pictures."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sanderling.errors import InputError, SanderlingError, StorageError
from sanderling.evaluate.baselines import raw_knn
from sanderling.evaluate.labels import segments
from sanderling.evaluate.metrics import acf_period, threshold_metrics
from sanderling.evaluate.run import MERGE_SAMPLES
from sanderling.evaluate.series import Series
from sanderling.evaluate.vus import vus
from sanderling.extras import require
from sanderling.files import write_file
from sanderling.runtime.detector import Detector

SIGNAL, SCORE, ALARM, LABEL, NORMAL = "#1f4e79", "#444444", "#d1495b", "#edae49", "#eef3f7"
OTHER = "#8fa9bf"
NAN = float("nan")


@dataclass(frozen=True)
class Inputs:
    """data: the folder of the recordings, None = $SANDERLING_DATA. model: a file or shipped name, None = default."""

    data: Path | None = None
    model: str | None = None

    def detector(self, **wanted: Any) -> Detector:
        return Detector.load(self.model, **wanted)

    def file(self, *parts: str) -> Path:
        """A file below the data folder. InputError in one line when the folder is unknown or the file missing."""
        named = self.data or os.environ.get("SANDERLING_DATA")
        wanted = Path(*parts)
        if not named:
            raise InputError(f"expected {wanted} below --data or $SANDERLING_DATA, found neither set; give the folder")
        if not (Path(named) / wanted).is_file():
            raise InputError(f"expected the file {wanted} below {named}, found none; see docs/uses.md")
        return Path(named) / wanted


@dataclass(frozen=True)
class Outcome:
    """markdown: the measured tables. figures: the same numbers for a JSON file. picture: a matplotlib Figure."""

    markdown: str
    figures: dict[str, Any]
    picture: Any


Use = Callable[[Inputs], Outcome]


def write(name: str, use: Use, inputs: Inputs, out: Path) -> Outcome:
    """Runs a use and writes OUT/name.md, .json and .png. Raises what it raises, and StorageError."""
    require("matplotlib", "plot")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"expected to make the folder {out}, found: {error.strerror}") from error
    outcome = use(inputs)
    model = inputs.detector()
    figures = {"use": name, "model": model.info["variant"], "sha256": model.sha256(), **outcome.figures}
    text = json.dumps(_plain(figures), indent=1) + "\n"
    write_file(out / f"{name}.md", lambda file: file.write(outcome.markdown.encode()))
    write_file(out / f"{name}.json", lambda file: file.write(text.encode()))
    write_file(out / f"{name}.png", lambda file: outcome.picture.savefig(file, format="png", dpi=100))
    return outcome


def parser(description: str | None) -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    found.add_argument("--data", type=Path, metavar="FOLDER", help="the recordings (default: $SANDERLING_DATA)")
    found.add_argument("--model", "-m", help="a model's file or name (default: the shipped one)")
    found.add_argument("-o", "--out", type=Path, required=True, help="folder for the table, figures and picture")
    return found


def main(name: str, use: Use, description: str | None, arguments: Sequence[str] | None = None) -> int:
    """The command line of one use: 0, 2 for the user's mistakes, 1 for ours; one line on standard error."""
    options = parser(description).parse_args(arguments)
    return guarded(name, lambda: print(write(name, use, Inputs(options.data, options.model), options.out).markdown))


def guarded(name: str, work: Callable[[], object]) -> int:
    try:
        work()
    except SanderlingError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1 if isinstance(error, StorageError) else 2
    return 0


def grid(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; floats with three decimals, NaN as a dash."""
    lines = [f"| {' | '.join(headings)} |", "|" + "---|" * len(headings)]
    lines += [f"| {' | '.join(map(cell, row))} |" for row in rows]
    return "\n".join(lines) + "\n"


def cell(value: object) -> str:
    if isinstance(value, (float, np.floating)):
        return "-" if math.isnan(value) else f"{value:.3f}"
    return str(value)


def share(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.0f} %"


def mean(rows: Iterable[dict[str, Any]], key: str) -> float:
    """Mean of what is defined; NaN where nothing is."""
    values = [row[key] for row in rows if not math.isnan(row[key])]
    return float(np.mean(values)) if values else NAN


def quality(item: Series, scores: np.ndarray, threshold: float, baseline: np.ndarray | None = None) -> dict[str, Any]:
    """One series' row: areas over the whole series, threshold metrics after the reference part.

    vus_pr; knn_vus_pr (raw-window kNN, or `baseline`'s scores); events and found; precision, recall, f1; delay
    (median, samples); false_alarms_per_day (alarms within one receptive field merged). labels must be there.
    """
    assert item.labels is not None
    window = acf_period(item.x)
    other = raw_knn(item.x, item.train_end, "calibrated") if baseline is None else baseline
    late, marked = scores[item.train_end :], item.labels[item.train_end :]
    found = threshold_metrics(marked, late, threshold, item.period_s, MERGE_SAMPLES)
    events = len(segments(marked)[0])
    return {
        "name": item.name,
        "vus_pr": vus(item.labels, scores, window)["vus_pr"],
        "knn_vus_pr": vus(item.labels, other, window)["vus_pr"],
        "events": events,
        "found": round(found["event_recall"] * events) if events else 0,
        **{key: found[key] for key in ("precision", "recall", "f1", "delay", "false_alarms_per_day")},
    }


COLUMNS = {"vus_pr": "VUS-PR", "knn_vus_pr": "kNN VUS-PR", "found": "events found", "precision": "precision"}
COLUMNS |= {"recall": "recall", "f1": "F1", "delay": "delay", "false_alarms_per_day": "FA/day"}


def quality_table(what: str, rows: Sequence[dict[str, Any]], *extra: str) -> str:
    """Rows of `quality` (with the keys `extra`, too) and their mean; events are summed."""
    total: dict[str, Any] = {key: mean(rows, key) for key in COLUMNS}
    total |= {"name": "mean", **{key: sum(row[key] for row in rows) for key in ("found", "events")}}
    total |= dict.fromkeys(extra, "")
    body = []
    for row in [*rows, total]:
        shown = row | {"found": f"{row['found']} of {row['events']}", "delay": f"{row['delay']:.0f}"}
        shown |= {"delay": "-" if math.isnan(row["delay"]) else shown["delay"]}
        shown |= {"false_alarms_per_day": f"{row['false_alarms_per_day']:.2f}"}
        body.append([shown[key] for key in ("name", *extra, *COLUMNS)])
    return grid([what, *extra, *COLUMNS.values()], body)


def figure(width: float, height: float) -> Any:
    return require("matplotlib.figure", "plot").Figure(figsize=(width, height), layout="constrained")


def shade(axis: Any, marks: np.ndarray, at: np.ndarray, colour: str, name: str, **how: Any) -> None:
    """Bands where marks (time,) is not 0; at (time,): the places on the axis. Thin ones stay visible."""
    least = (at[-1] - at[0]) / 500
    for i, (first, last) in enumerate(zip(*segments(marks), strict=True)):
        end = at[min(last + 1, len(at) - 1)]
        settings = {"alpha": 0.45, "linewidth": 0, "zorder": 1, **how}
        axis.axvspan(at[first], max(end, at[first] + least), color=colour, label="_" if i else name, **settings)


def tidy(axes: Iterable[Any]) -> None:
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(x=0.005)


def score_panel(axis: Any, at: np.ndarray, scores: np.ndarray, threshold: float) -> None:
    axis.plot(at, scores, color=SCORE, linewidth=0.8, label="score", zorder=3)
    axis.axhline(threshold, color=ALARM, linewidth=0.9, linestyle="--", label="threshold", zorder=4)
    axis.set_ylabel("score")


def _plain(value: Any) -> Any:
    """What json writes: numpy's numbers as Python's, NaN as None."""
    if isinstance(value, dict):
        return {str(key): _plain(inside) for key, inside in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inside) for inside in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
