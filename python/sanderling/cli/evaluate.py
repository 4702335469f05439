"""`sanderling evaluate`: detection quality on labelled recordings, beside simple baselines."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

HELP = "detection quality on labelled sets"

COLUMNS = ("n", "vus_pr", "vus_roc", "auc_pr", "event_f1", "ucr_top1", "false_alarms_per_10k")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help=".npz, .csv, UCR .txt, aeon .whl, or folders")
    parser.add_argument("--mode", choices=("cold", "calibrated"), default="calibrated")
    parser.add_argument("--model", help="native file or shipped name (default: the shipped model)")
    parser.add_argument("--json", metavar="FILE", help="write the results to this file")
    parser.add_argument("--sample", type=int, metavar="N", help="at most N series a set, evenly spread")
    lists = parser.add_mutually_exclusive_group()
    lists.add_argument("--tuning-only", action="store_true", help="only the committed tuning list")
    lists.add_argument("--held-out", action="store_true", help="everything but the tuning list")
    lists.add_argument("--list", metavar="NAME", help="only a committed list: tuning or six_sets")
    parser.add_argument("--baselines", action="store_true", help="add the simple detectors, same series")
    parser.add_argument("--false-alarms", type=float, default=1.0, metavar="N", help="wanted a day")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default: 1)")


def run(args: argparse.Namespace) -> int:
    """Scores, prints a table to stdout and writes the JSON file; progress goes to stderr."""
    from sanderling.errors import InputError, StorageError
    from sanderling.evaluate.baselines import BASELINES
    from sanderling.evaluate.run import evaluate_all
    from sanderling.evaluate.scorers import DetectorScorer
    from sanderling.evaluate.selection import chosen_series, names_of, only, sampled, without
    from sanderling.runtime.detector import Detector

    chosen_list = "tuning" if args.tuning_only else args.list
    keep = without("tuning") if args.held_out else only(chosen_list) if chosen_list else None
    chosen = sampled(names_of(args.paths, keep), args.sample)
    total = sum(map(len, chosen.values()))
    if not total:
        raise InputError("expected at least one series that the options select, found none; widen them")
    if args.workers < 1:
        raise InputError(f"expected at least 1 worker, found {args.workers}")

    model = Detector.load(args.model)
    scorers: dict[str, Any] = {
        "model": DetectorScorer(args.model, args.false_alarms),
        **(BASELINES if args.baselines else {}),
    }
    series = _labelled(chosen_series(args.paths, chosen))
    begun = time.monotonic()

    def progress(row: dict[str, Any], done: int) -> None:
        seconds = time.monotonic() - begun
        print(f"{done}/{total}  {seconds:.0f} s  {row['set']}/{row['name']}", file=sys.stderr, flush=True)

    results = evaluate_all(series, scorers, args.mode, workers=args.workers, progress=progress)
    report = results.pop("model")
    if not report["sets"]:
        raise InputError("expected labelled series, found labels in none of the selected ones")
    report.update(model=str(model.info["variant"]), sha256=model.sha256(), mode=args.mode)
    if args.baselines:
        report["baselines"] = results
    if args.json:
        try:
            write_json(report, args.json)
        except OSError as error:
            raise StorageError(f"cannot write {args.json}: {error.strerror}") from error
    print(table(report))
    return 0


def table(report: dict[str, Any]) -> str:
    """The report as text: one row a set, the mean, then the baselines' VUS-PR."""
    lines = ["  ".join(["set".ljust(16), *(name.rjust(9) for name in COLUMNS)])]
    for name, of_set in report["sets"].items():
        lines.append("  ".join([name.ljust(16), *(_cell(of_set[c]).rjust(max(9, len(c))) for c in COLUMNS)]))
    lines.append(f"mean VUS-PR over {len(report['sets'])} sets: {_cell(report['mean_vus_pr'])}")
    for name, result in report.get("baselines", {}).items():
        by_set = "  ".join(f"{key} {_cell(of_set['vus_pr'])}" for key, of_set in result["sets"].items())
        lines.append(f"{name}: {_cell(result['mean_vus_pr'])}  ({by_set})")
    return "\n".join(lines)


def write_json(report: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Writes the report, NaN as null, by a temporary file and a rename."""
    file = Path(path)
    partial = file.with_name(file.name + ".partial")
    partial.write_text(json.dumps(_plain(report), indent=1, allow_nan=False) + "\n")
    partial.replace(file)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cell(value: float | int | None) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def _labelled(series: Iterable[Any]) -> Iterator[Any]:
    for item in series:
        if item.labels is None:
            print(f"skipped {item.set_name}/{item.name}: no labels", file=sys.stderr)
        else:
            yield item
