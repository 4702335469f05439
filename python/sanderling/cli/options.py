"""Options that several verbs share."""

import argparse
from pathlib import Path

from sanderling.runtime.positive import is_positive_float32
from sanderling.runtime.recording import Recording


def add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", "-m", help="a model's file or name (default: the shipped one)")
    parser.add_argument("--isa", help="force an instruction set (default: $SANDERLING_ISA, else the best)")


def add_dynamic(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dynamic", action="store_true", help="patches that a cheap look finds ordinary skip the network: less work"
    )


def add_hindsight(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--hindsight",
        type=int,
        default=0,
        metavar="SAMPLES",
        help="of what is over: a score may wait for so many samples after it: sharper (0 to 512 by 8; default: 0)",
    )


def add_threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--threads", type=whole, default=1, help="at most so many share the work; the same scores (default: 1)"
    )


def add_columns(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--columns", type=_names, default=(), help="channels by name: a,b,c")
    parser.add_argument("--time", default="", help="the time column (default: by its name)")
    parser.add_argument("--label", default="", help="a column of labels: no channel")


def add_alarms(parser: argparse.ArgumentParser, period: str = "from the recording") -> None:
    parser.add_argument("--period", type=positive, help=f"seconds a sample (default: {period})")
    parser.add_argument(
        "--false-alarms",
        type=positive,
        default=1.0,
        help="wanted per day, or per 10,000 samples where the period is unknown (default: 1)",
    )


def add_frames(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--frame-ms",
        type=_not_negative,
        help="milliseconds a frame of a high-rate signal; 0: no frames (default: by the period, above 1 kHz)",
    )


def read_recording(path: Path, options: argparse.Namespace) -> Recording:
    """The recording at `path`, read as the options say."""
    from sanderling.runtime.readers import read

    return read(
        path,
        columns=options.columns,
        time=options.time,
        label=options.label,
        period_s=options.period,
    )


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip(" \t") for name in text.split(","))
    if not all(names):
        raise argparse.ArgumentTypeError(f"expected names like a,b, found '{text}'")
    return names


def _not_negative(text: str) -> float:
    return 0.0 if text.strip() in ("0", "0.0") else positive(text)


def positive(text: str) -> float:
    """An argument's number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not is_positive_float32(value):
        raise argparse.ArgumentTypeError(f"expected a number above 0, found '{text}'")
    return value


def whole(text: str) -> int:
    """Of a count: a whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, found {text!r}")
    return int(text)
