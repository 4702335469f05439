"""`sanderling evaluate`: detection quality on labelled recordings, beside simple baselines."""

from __future__ import annotations

import argparse
import copy
import functools
import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sanderling.cli.options import add_hindsight, positive

HELP = "detection quality on labelled sets"
FULL = "full model"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    add = parser.add_argument
    add("paths", nargs="+", metavar="PATH", help=".npz, .csv, UCR .txt, aeon .whl, or folders (NAB, SMD, SMAP, any)")
    modes = ("cold", "calibrated", "adapted")
    add("--mode", choices=modes, default=modes[1], help="what the model sees before it scores (default: calibrated)")
    add("--model", "-m", help="native file or shipped name (default: the shipped model)")
    add("--adapt-seconds", type=positive, default=60.0, metavar="S", help="of adapting a series, at most (default: 60)")
    add("--adapt-steps", type=int, metavar="N", help="adapt by this many steps instead: the same figures each time")
    add("--json", metavar="FILE", help="write the results to this file; run again after an interrupt to continue")
    add("--markdown", metavar="FILE", help="write tables with intervals to this file")
    add("--plots", metavar="FOLDER", help="write pictures to this folder (extra: plot), and the scores")
    add("--plot-series", type=int, default=2, metavar="N", help="best and worst series a set (default: 2)")
    add("--sample", type=int, metavar="N", help="at most N series a set, evenly spread")
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--tuning-only", action="store_true", help="only the committed tuning list")
    part.add_argument("--held-out", action="store_true", help="nothing of the tuning list")
    lists = parser.add_mutually_exclusive_group()
    lists.add_argument("--list", metavar="NAME", help="only a committed list: tuning, six_sets or adapted_sample")
    lists.add_argument("--tsb-ad-list", metavar="FILE", help="only the files of one of TSB-AD's official lists")
    add("--dynamic", action="store_true", help="dynamic mode, the full model beside it, and the work saved")
    add("--float32", action="store_true", help="the same weights in float32 beside, and how the ranks agree (torch)")
    add_hindsight(parser)
    add("--baselines", action="store_true", help="add the simple detectors, same series")
    add("--false-alarms", type=positive, default=1.0, metavar="N", help="wanted a day (default: 1)")
    add("--false-alarms-check", action="store_true", help="only: measure false alarms against those requested")
    add("--workers", type=int, default=1, metavar="N", help="processes (default: 1)")
    add("--dask", metavar="ADDRESS", help="a Dask scheduler, or local (extra: distributed)")


def run(args: argparse.Namespace) -> int:
    """Scores, prints a table to stdout and writes the files; progress goes to stderr."""
    from sanderling.errors import InputError
    from sanderling.extras import require

    if args.workers < 1:
        raise InputError(f"expected at least 1 worker, found {args.workers}")
    if args.plot_series < 0:
        raise InputError(f"expected 0 or more series a set to draw, found {args.plot_series}")
    # Before the work, not after it.
    if args.plots is not None:
        require("matplotlib", "plot")
    if args.dask is not None:
        require("distributed", "distributed")
    if args.float32:
        if args.mode == "adapted" or args.dynamic or args.hindsight or args.false_alarms_check:
            wrong = "mode adapted, --dynamic, --hindsight or --false-alarms-check"
            raise InputError(f"expected --float32 with mode cold or calibrated alone, found it with {wrong}")
        require("torch", "train")
        require("gguf", "export")
    for file in filter(None, (args.json, args.markdown)):
        if not Path(file).resolve().parent.is_dir():
            raise InputError(f"cannot write {file}: expected an existing folder, found none; make it first")
    chosen = _chosen(args)
    return _check(args, chosen) if args.false_alarms_check else _evaluate(args, chosen)


def _evaluate(args: argparse.Namespace, chosen: dict[str, list[str]]) -> int:
    from sanderling.errors import InputError
    from sanderling.evaluate import plots, report
    from sanderling.evaluate.baselines import BASELINES
    from sanderling.evaluate.float32 import FLOAT32, Float32Scorer
    from sanderling.evaluate.partial import Rows, collect
    from sanderling.evaluate.run import evaluate_each, summarise_all
    from sanderling.evaluate.selection import chosen_series

    scorer, identity = _model(args)
    others = {**({FULL: copy.copy(scorer)} if args.dynamic else {}), **(BASELINES if args.baselines else {})}
    if args.float32:
        others[FLOAT32] = Float32Scorer(scorer)
    if args.dynamic:
        others[FULL].dynamic = False
    scorers: dict[str, Any] = {"model": scorer, **others}
    kept = plots.KeptScores(args.plots) if args.plots is not None else None

    def each(series: Iterator[Any], finished: Any) -> None:
        keep = "model" if kept else None
        many = {"workers": args.workers, "dask": args.dask}
        evaluate_each(_labelled(series), scorers, args.mode, finished, keep_scores=keep, **many)

    def keep_scores(rows: Rows) -> None:
        row = rows["model"]
        if kept:
            kept.put(row["set"], row["name"], row.pop("scores"))

    partial = _partial(args, identity)
    found = collect(
        args.paths,
        chosen,
        each,
        partial,
        usable=lambda *key: kept is None or kept.path(*key).is_file(),
        before=keep_scores,
        after=_progress(sum(map(len, chosen.values()))),
        notice=_say,
    )
    if not found:
        raise InputError("expected labelled series, found labels in none of the selected ones")
    results = summarise_all(found, scorers)
    result = {**results.pop("model"), **identity, "mode": args.mode, "hindsight": args.hindsight}
    if others:
        result["baselines"] = results
    if args.json:
        report.write_json(result, args.json)
    if args.markdown:
        report.write_text(report.markdown(result), args.markdown)
    if kept:
        drawn: dict[str, list[str]] = {}
        for set_name, name in plots.extremes(result, args.plot_series):
            drawn.setdefault(set_name, []).append(name)
        plots.write_plots(result, chosen_series(args.paths, drawn), kept, args.plots)
    if partial:
        partial.remove()
    print(report.table(result))
    return 0


def _check(args: argparse.Namespace, chosen: dict[str, list[str]]) -> int:
    from sanderling.errors import InputError
    from sanderling.evaluate import false_alarm_check as protocol
    from sanderling.evaluate import report
    from sanderling.evaluate.jobs import run_jobs
    from sanderling.evaluate.partial import collect

    if args.markdown or args.plots is not None or args.baselines:
        raise InputError("expected --json alone with --false-alarms-check, found --markdown, --plots or --baselines")
    if args.mode == "cold":
        raise InputError("expected --mode calibrated or adapted with --false-alarms-check, found cold")
    scorer, identity = _model(args)

    def each(series: Iterator[Any], finished: Any) -> None:
        jobs = ((item, scorer, args.mode) for item in series)
        each_row = functools.partial(run_jobs, protocol.check_series, jobs, workers=args.workers, dask=args.dask)
        each_row(lambda index, row: finished(index, {"check": row}))

    partial = _partial(args, identity)
    after = _progress(sum(map(len, chosen.values())))
    found = collect(args.paths, chosen, each, partial, after=after, notice=_say)
    result = protocol.summarise_check([rows["check"] for rows in found])
    if args.json:
        wanted = {"mode": args.mode, "false_alarms": args.false_alarms}
        report.write_json({"false_alarms_check": result, **identity, **wanted}, args.json)
    if partial:
        partial.remove()
    print(protocol.check_table(result))
    return 0


def _chosen(args: argparse.Namespace) -> dict[str, list[str]]:
    """Set -> series that the options select."""
    from sanderling.errors import InputError
    from sanderling.evaluate.selection import both, listed, names_of, only, sampled, without

    keeps = [only(name) for name in (args.list, "tuning" if args.tuning_only else None) if name]
    keeps += [without("tuning")] if args.held_out else []
    wanted: list[str] = []
    if args.tsb_ad_list:
        keep, wanted = listed(args.tsb_ad_list)
        keeps.append(keep)
    names = names_of(args.paths, both(keeps))
    absent = set(wanted) - {name for members in names.values() for name in members}
    if absent:
        _say(f"{len(absent)} of {len(wanted)} listed files are not there, {min(absent)} for example")
    chosen = sampled(names, args.sample)
    if not any(chosen.values()):
        raise InputError("expected at least one series that the options select, found none; widen them")
    return chosen


def _model(args: argparse.Namespace) -> tuple[Any, dict[str, str]]:
    """The detector as a scorer, and what the report says about it."""
    from sanderling.errors import InputError
    from sanderling.evaluate.scorers import DetectorScorer
    from sanderling.runtime.detector import Detector

    model = Detector.load(args.model)
    identity = {"model": str(model.info["variant"]), "sha256": model.sha256()}
    adapt = None
    if args.mode == "adapted":
        if args.adapt_steps is not None and args.adapt_steps < 1:
            raise InputError(f"expected at least 1 step of adapting, found {args.adapt_steps}")
        from sanderling.extras import require

        require("torch", "train")
        from sanderling.train.adapt import adapt_file

        alone = args.workers == 1 and args.dask is None
        threads = os.cpu_count() if alone else 1
        adapt = functools.partial(adapt_file, seconds=args.adapt_seconds, steps=args.adapt_steps, threads=threads)
    # Workers may run in another folder; a shipped name is theirs to find.
    file = os.path.abspath(args.model) if args.model and os.path.isfile(args.model) else args.model
    ways = {"dynamic": args.dynamic, "hindsight": args.hindsight}
    scorer = DetectorScorer(file, args.false_alarms, adapt=adapt, sha256=identity["sha256"], **ways)
    if args.dynamic:
        from sanderling.extras import require

        require("torch", "train")
        from sanderling.compress.macs import macs_saved
        from sanderling.train.adapt_native import read_native

        assert model.path is not None
        scorer.macs_saved = functools.partial(macs_saved, read_native(model.path).config)
    return scorer, identity


def _partial(args: argparse.Namespace, identity: dict[str, str]) -> Any:
    """The file of finished series beside --json, keyed by all that their figures depend on; None without --json."""
    import sanderling
    from sanderling.evaluate.partial import PartialResults

    if not args.json:
        return None
    key = {
        **identity,
        "version": sanderling.__version__,
        "paths": [str(Path(path).resolve()) for path in args.paths],
        "mode": args.mode,
        "adapt": [args.adapt_seconds, args.adapt_steps] if args.mode == "adapted" else None,
        "false_alarms": args.false_alarms,
        "check": args.false_alarms_check,
        "baselines": args.baselines,
        "dynamic": args.dynamic,
        "float32": args.float32,
        "hindsight": args.hindsight,
        "plots": None if args.plots is None else str(Path(args.plots).resolve()),
    }
    return PartialResults(f"{args.json}.partial.jsonl", key)


def _progress(total: int) -> Any:
    begun = time.monotonic()

    def show(rows: dict[str, dict[str, Any]], done: int) -> None:
        row = next(iter(rows.values()))
        _say(f"{done}/{total}  {time.monotonic() - begun:.0f} s  {row['set']}/{row['name']}")

    return show


def _labelled(series: Iterable[Any]) -> Iterator[Any]:
    for item in series:
        if item.labels is None:
            _say(f"skipped {item.set_name}/{item.name}: no labels")
        else:
            yield item


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
