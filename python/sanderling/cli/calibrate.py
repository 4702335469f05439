"""`sanderling calibrate`: a normal recording in, a calibrated model out."""

import argparse
from pathlib import Path

from sanderling.cli import options as shared

HELP = "learn what normal looks like from a recording"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    parser.add_argument("recording", type=Path, help="normal behaviour, at least 256 samples")
    parser.add_argument("--output", "-o", type=Path, required=True, help="the calibrated model")
    shared.add_model(parser)
    shared.add_columns(parser)
    shared.add_alarms(parser)
    shared.add_frames(parser)
    parser.add_argument(
        "--scaling", choices=("robust", "standard"), default="robust", help="median and MAD, or mean and spread"
    )


def run(options: argparse.Namespace) -> int:
    from sanderling.runtime.detector import Detector

    recording = shared.read_recording(options.recording, options)
    detector = Detector.load(options.model, options.isa)
    detector.fit(
        recording,
        scaling=options.scaling,
        false_alarms=options.false_alarms,
        period_s=recording.period_s,
        frame_ms=options.frame_ms,
    )
    detector.save(options.output)
    frame = int(str(detector.info["frame_samples"]))
    framed = f" in frames of {frame}" if frame else ""
    unit = "day" if recording.period_s else "10,000 samples (period unknown)"
    print(
        f"{options.output}: calibrated on {recording.samples} samples{framed}, {detector.channels} channel(s), "
        f"{options.scaling} scaling, threshold {detector.threshold_:.4g} "
        f"for {options.false_alarms:g} false alarm(s) per {unit}, isa {detector.isa}"
    )
    return 0
