"""`sanderling score`: scores of a recording, alarms and blame."""

import argparse
import sys
from pathlib import Path

from sanderling.cli import options as shared
from sanderling.errors import InputError

HELP = "score a recording: alarms, blame, JSON, a plot"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    parser.add_argument("recording", type=Path)
    shared.add_model(parser)
    shared.add_columns(parser)
    shared.add_alarms(parser)
    parser.add_argument("--json", metavar="FILE", help="scores, alarms and blame; - for standard output")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="one row a sample")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="a picture (extra: plot)")


def run(options: argparse.Namespace) -> int:
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
