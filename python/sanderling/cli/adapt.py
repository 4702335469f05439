"""`sanderling adapt`: a normal recording in; a model whose adapters were trained on it, and calibrated on it, out."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sanderling.cli import options as shared

if TYPE_CHECKING:
    from sanderling.train.adapt import AdaptReport

HELP = "train adapters on a normal recording, then calibrate (train extra)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    parser.add_argument("recording", type=Path, help="normal behaviour, at least 256 samples; better some thousand")
    parser.add_argument("--output", "-o", type=Path, required=True, help="the adapted and calibrated model")
    shared.add_model(parser)
    shared.add_columns(parser)
    shared.add_alarms(parser)
    parser.add_argument(
        "--scaling", choices=("robust", "standard"), default="robust", help="median and MAD, or mean and spread"
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="of adapting, at most (default: 60)")
    parser.add_argument("--steps", type=int, help="adapt by this many steps instead: the same file each time")
    parser.add_argument("--threads", type=int, help="CPU threads (default: torch's choice)")
    parser.add_argument("--seed", type=int, default=0)


def run(options: argparse.Namespace) -> int:
    """Writes the model, adapted or (where that did not help) only calibrated, and says which."""
    begin = time.monotonic()
    from sanderling import _core
    from sanderling.extras import require
    from sanderling.runtime.detector import Detector

    recording = shared.read_recording(options.recording, options)
    wanted = {"scaling": options.scaling, "false_alarms": options.false_alarms, "period_s": recording.period_s}
    # First, so that what calibration refuses is refused before a minute of training.
    plain = Detector.load(options.model, options.isa).fit(recording, **wanted)
    frame = int(str(plain.info["frame_samples"]))
    reference = _core.frames(recording.values, frame) if frame else recording.values
    require("torch", "train")
    require("gguf", "train")
    from sanderling.train.adapt import adapt_file

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "adapted.gguf"
        report = adapt_file(
            options.model,
            reference,
            file,
            # Reading, calibrating and loading torch are part of what the user waits for.
            seconds=options.seconds - min(time.monotonic() - begin, options.seconds / 2),
            steps=options.steps,
            threads=options.threads,
            seed=options.seed,
            scaling=options.scaling,
            progress=_progress(),
        )
        detector = Detector.load(file, options.isa).fit(recording, **wanted)
    detector.save(options.output)
    unit = "day" if recording.period_s else "10,000 samples (period unknown)"
    print(
        f"{options.output}: {describe(report)}; calibrated on {recording.samples} samples, {detector.channels} "
        f"channel(s), {options.scaling} scaling, threshold {detector.threshold_:.4g} for {options.false_alarms:g} "
        f"false alarm(s) per {unit}, isa {detector.isa}"
    )
    return 0


def describe(report: AdaptReport) -> str:
    """The report in one clause."""
    if not report.adapted:
        return f"not adapted ({report.reason})"
    return (
        f"adapted with {report.trained:,} parameters ({report.share:.2%}) in {report.steps} steps and "
        f"{report.seconds:.0f} s, kept-back loss {report.loss_before:.3f} -> {report.loss_after:.3f}"
    )


def _progress() -> Callable[[float, float, float], None] | None:
    """A line on the terminal's stderr; none elsewhere."""
    if not sys.stderr.isatty():
        return None

    def show(done: float, loss: float, best: float) -> None:
        bar = "#" * int(20 * done)
        print(f"[{bar:.<20}] loss {loss:.3f}, kept-back {best:.3f}", end="\r", file=sys.stderr)

    return show
