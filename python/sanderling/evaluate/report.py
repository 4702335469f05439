"""An evaluation's report as text, Markdown and JSON."""

from __future__ import annotations

import json
import math
import os
from typing import Any

from sanderling.evaluate.dynamic import dynamic_lines
from sanderling.evaluate.float32 import float32_lines
from sanderling.files import write_file

# metric -> heading; point-adjusted F1 stands beside that of random scores in one cell, never alone.
COLUMNS = {
    "vus_pr": "VUS-PR",
    "vus_roc": "VUS-ROC",
    "auc_pr": "AUC-PR",
    "event_f1": "event F1",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "false_alarms_per_day": "FA/day",
    "false_alarms_per_10k": "FA/10k",
    "delay": "delay",
    "ucr_top1": "UCR top-1",
}
NOTES = (
    "95 % intervals: bootstrap over series. Event F1, precision, recall and F1 at the label-free threshold; FA = false "
    "alarms there, alarms within one receptive field merged; delay in samples, of the events found."
)
ADJUSTED = ("point_adjusted_f1", "random_point_adjusted_f1")
ADJUSTED_HEADING = "PA-F1 (random)"


def table(report: dict[str, Any]) -> str:
    """One row a set, the mean, then the baselines' VUS-PR, as aligned text."""
    headings = ["set", "n", *COLUMNS.values(), ADJUSTED_HEADING]
    rows = [[name, str(of_set["n"]), *_cells(of_set, brief=True)] for name, of_set in report["sets"].items()]
    widths = [max(len(row[i]) for row in [headings, *rows]) for i in range(len(headings))]
    lines = []
    for first, *others in [headings, *rows]:
        cells = [text.rjust(width) for text, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]))
    lines.append(f"mean VUS-PR over {len(report['sets'])} sets: {_headline(report)}")
    lines += dynamic_lines(report) + float32_lines(report)
    for name, result in report.get("baselines", {}).items():
        by_set = "  ".join(f"{key} {cell(of_set['vus_pr'])}" for key, of_set in result["sets"].items())
        lines.append(f"{name}: {cell(result['mean_vus_pr'])}  ({by_set})")
    return "\n".join(lines)


def markdown(report: dict[str, Any]) -> str:
    """Two tables: every metric per set; VUS-PR of the model and the baselines per set, with intervals."""
    lines = [
        f"## {report['model']}, {report['mode']}",
        "",
        f"Model sha256 `{report['sha256']}`; {sum(s['n'] for s in report['sets'].values())} series with an anomaly in "
        f"{len(report['sets'])} sets; mean VUS-PR over the sets {_headline(report)}.",
        "",
        *_grid(
            ["set", "n", *COLUMNS.values(), ADJUSTED_HEADING],
            [[name, str(of_set["n"]), *_cells(of_set)] for name, of_set in report["sets"].items()],
        ),
        "",
        NOTES,
    ]
    if said := dynamic_lines(report) + float32_lines(report):
        lines += ["", *(f"- {line}" for line in said)]
    if report.get("baselines"):
        results = {report["model"]: report, **report["baselines"]}
        body = [
            [name, *(_ranged(result["sets"][key], "vus_pr") for key in report["sets"]), _headline(result)]
            for name, result in results.items()
        ]
        lines += ["", "VUS-PR beside the baselines, same series:", "", *_grid(["", *report["sets"], "mean"], body)]
    return "\n".join(lines) + "\n"


def write_json(report: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Writes the report, NaN as null, in one step. Raises StorageError."""
    text = json.dumps(plain(report), indent=1, allow_nan=False) + "\n"
    write_file(path, lambda file: file.write(text.encode()))


def write_text(text: str, path: str | os.PathLike[str]) -> None:
    """Writes text in one step. Raises StorageError."""
    write_file(path, lambda file: file.write(text.encode()))


def plain(value: Any) -> Any:
    """value with NaN and infinities as None, as JSON wants it."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def cell(value: float | None) -> str:
    """Three decimals; - where it is not defined."""
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"


def _cells(of_set: dict[str, Any], brief: bool = False) -> list[str]:
    adjusted = "-" if math.isnan(of_set[ADJUSTED[0]]) else "{} ({})".format(*(cell(of_set[key]) for key in ADJUSTED))
    wide = ("vus_pr",) if brief else tuple(of_set["intervals"])
    return [_ranged(of_set, key) if key in wide else cell(of_set[key]) for key in COLUMNS] + [adjusted]


def _ranged(of_set: dict[str, Any], key: str) -> str:
    return _with_interval(of_set[key], of_set["intervals"][key])


def _headline(result: dict[str, Any]) -> str:
    return _with_interval(result["mean_vus_pr"], result["mean_vus_pr_interval"])


def _with_interval(value: float, interval: list[float]) -> str:
    low, high = interval
    return cell(value) if math.isnan(low) else f"{cell(value)} [{low:.2f}, {high:.2f}]"


def _grid(headings: list[str], rows: list[list[str]]) -> list[str]:
    rule = ["---", *["---:"] * (len(headings) - 1)]
    return ["| " + " | ".join(row) + " |" for row in [headings, rule, *rows]]
