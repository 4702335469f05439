"""`sanderling score`: scores of a recording or of a folder of them, alarms and blame."""

import argparse
import sys
from pathlib import Path

from sanderling.cli import options as shared
from sanderling.errors import InputError

HELP = "score a recording: alarms, blame, JSON, a plot"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    parser.add_argument("recording", type=Path, help="a recording, or a folder of them (with -o)")
    shared.add_model(parser)
    shared.add_dynamic(parser)
    shared.add_hindsight(parser)
    shared.add_threads(parser)
    shared.add_columns(parser)
    shared.add_alarms(parser)
    shared.add_frames(parser)
    parser.add_argument("--json", metavar="FILE", help="scores, alarms and blame; - for standard output")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="one row a sample")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="a picture (extra: plot)")
    parser.add_argument("-o", "--out", type=Path, metavar="FOLDER", help="of a folder: JSON files; resumes")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="of a folder: processes (default: 1)")
    parser.add_argument("--dask", metavar="ADDRESS", help="of a folder: a Dask scheduler or local (extra: distributed)")


def run(options: argparse.Namespace) -> int:
    if options.recording.is_dir():
        return _run_folder(options)
    if options.out or options.dask or options.workers != 1:
        raise InputError(f"expected a folder for --out, --workers and --dask, found {options.recording}")
    return _run_recording(options)


def _run_folder(options: argparse.Namespace) -> int:
    """One line a recording; exit status 2 where one failed."""
    from sanderling.evaluate.archive import Outcome, Request, find_recordings, score_archive

    if options.out is None or options.json or options.csv or options.plot:
        raise InputError("expected -o FOLDER for a folder, and no --json, --csv or --plot; every recording gets a JSON")
    names = {path: path.relative_to(options.recording) for path in find_recordings(options.recording, options.out)}

    def show(outcome: Outcome, done: int, total: int) -> None:
        said = {"scored": f"{outcome.alarms} alarm(s)", "kept": "kept", "failed": f"failed: {outcome.reason}"}
        stream = sys.stderr if outcome.status == "failed" else sys.stdout
        print(f"{done}/{total}  {names[outcome.recording]}: {said[outcome.status]}", file=stream, flush=True)

    choice = Request(
        columns=options.columns,
        time=options.time,
        label=options.label,
        period_s=options.period,
        false_alarms=options.false_alarms,
        frame_ms=options.frame_ms,
        dynamic=options.dynamic,
        hindsight=options.hindsight,
    )
    outcomes = score_archive(
        names,
        options.model,
        options.out,
        options.dask,
        options.workers,
        isa=options.isa,
        request=choice,
        progress=show,
    )
    return 2 if any(outcome.status == "failed" for outcome in outcomes) else 0


def _run_recording(options: argparse.Namespace) -> int:
    from sanderling.runtime.detector import Detector
    from sanderling.score import score_recording

    if options.plot is not None:
        # Before the work, not after it.
        from sanderling.extras import require

        require("matplotlib", "plot")
    recording = shared.read_recording(options.recording, options)
    detector = Detector.load(
        options.model,
        options.isa,
        false_alarms=options.false_alarms,
        period_s=recording.period_s,
        frame_ms=options.frame_ms,
        dynamic=options.dynamic,
        hindsight=options.hindsight,
        threads=options.threads,
    )
    scored = score_recording(detector, recording)
    if options.json == "-":
        scored.write_json(sys.stdout)
    else:
        print(scored.summary())
    if options.json not in (None, "-"):
        if not options.json:
            raise InputError("--json: expected a file's name or -, found nothing")
        scored.save_json(Path(options.json))
    if options.csv is not None:
        scored.write_csv(options.csv)
    if options.plot is not None:
        from sanderling.plot import plot_score

        plot_score(scored, options.plot)
    return 0
