"""`sanderling watch`: CSV rows from standard input, one JSON line out for each patch of 8 samples that alarms.

A line: start, end (samples, both included), t_start, t_end (with a time column), score, threshold, alarm, channel,
component. With --live, or --input serial:, iio: or mqtt://, also events, a spool, MQTT and metrics: docs/live.md.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from sanderling.cli import options as shared
from sanderling.errors import InputError, StorageError
from sanderling.live.source import is_live, make_source
from sanderling.runtime.csv_reader import ColumnChoice, CsvParser
from sanderling.runtime.detector import Detector
from sanderling.runtime.explanation import Explanation
from sanderling.runtime.frames import output_names
from sanderling.runtime.signals import to_float32

HELP = "score samples as they come: CSV rows, a serial port, Linux IIO, MQTT"
_LIVE_ONLY = ("samples", "record", "spool", "publish", "metrics")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    shared.add_model(parser)
    shared.add_dynamic(parser)
    shared.add_columns(parser)
    shared.add_alarms(parser, period="unknown")
    shared.add_frames(parser)
    parser.add_argument("--all", action="store_true", help="a line for every patch; null: no score")
    parser.add_argument(
        "--input",
        default="-",
        metavar="SOURCE",
        help="a file, pipe or - (default), serial:DEVICE[,baud=N], iio:NAME[,rate=HZ], mqtt://host/topic",
    )
    live = parser.add_argument_group("live", "input that goes on, with events (docs/live.md)")
    live.add_argument("--live", action="store_true", help="bad lines are counted, what vanishes is opened again")
    live.add_argument("--stall", type=_seconds, default=10.0, metavar="S", help="silence that is an event; 0: none")
    live.add_argument("--retry", type=shared.positive, default=0.5, metavar="S", help="first delay before trying again")
    live.add_argument("--samples", type=_count, default=0, metavar="N", help="end after N samples")
    live.add_argument("--record", type=Path, metavar="FILE", help="the samples as CSV: what `calibrate` wants")
    live.add_argument("--spool", type=Path, metavar="DIR", help="alarms wait there until they are delivered")
    live.add_argument("--spool-bytes", type=_count, default=4 << 20, metavar="N", help="at most (default: 4 MiB)")
    live.add_argument("--publish", metavar="URL", help="alarms and state to mqtt[s]://[user@]host[:port]/base-topic")
    live.add_argument("--ca", type=Path, metavar="FILE", help="PEM file of the authority behind mqtts://")
    live.add_argument("--name", default="Sanderling", help="the device's name in Home Assistant")
    live.add_argument("--discovery", default="homeassistant", metavar="PREFIX", help="Home Assistant's; '' for none")
    live.add_argument("--metrics", metavar="[HOST:]PORT", help="Prometheus metrics (HOST default: 127.0.0.1)")


def run(options: argparse.Namespace) -> int:
    live = options.live or is_live(options.input)
    _check(options, live)
    detector = Detector.load(
        options.model,
        options.isa,
        false_alarms=options.false_alarms,
        period_s=options.period,
        frame_ms=options.frame_ms,
        dynamic=options.dynamic,
    )
    return _run_live(options, detector) if live else _run_recording(options, detector)


def _check(options: argparse.Namespace, live: bool) -> None:
    alone = [name for name in _LIVE_ONLY if getattr(options, name)]
    if alone and not live:
        raise InputError(f"--{alone[0]}: expected --live beside it, found none; add --live")
    if options.publish and not options.spool:
        raise InputError("--publish: expected --spool DIR, found none; say where alarms wait until they are delivered")
    if options.ca and not any(str(url).startswith("mqtts:") for url in (options.input, options.publish)):
        raise InputError("--ca: expected mqtts:// in --input or --publish, found none; use mqtts://")
    if options.spool_bytes < 4096:
        raise InputError(f"--spool-bytes: expected at least 4096, found {options.spool_bytes}; give more")


def _run_recording(options: argparse.Namespace, detector: Detector) -> int:
    from sanderling.runtime.readers import lines_of

    parser = CsvParser(ColumnChoice(options.time, options.columns, options.label))
    stream, lines = detector.stream(), PatchLines(every_patch=options.all)
    times: list[float] = []

    def write(explained: Explanation) -> None:
        count = len(explained.scores)
        lines.write(explained, parser, times[:count])
        del times[:count]

    with ExitStack() as stack:
        for raw in lines_of(_open(options.input, stack)):
            row = parser.line(raw)
            if row is not None:
                times.append(parser.time)
                write(stream.explain(to_float32(np.asarray([row], np.float64))))
    parser.finish()
    write(stream.explain_flush())
    return 0


def _open(path: str, stack: ExitStack) -> BinaryIO:
    if path == "-":
        if sys.stdin is None:
            raise StorageError("expected CSV rows on standard input, found it closed; pipe or redirect the samples")
        return sys.stdin.buffer
    try:
        return stack.enter_context(open(path, "rb"))
    except OSError as error:
        raise StorageError(f"{path}: expected a readable file, found: {error.strerror}; check the path") from error


def _run_live(options: argparse.Namespace, detector: Detector) -> int:
    from sanderling.live.metrics import MetricsServer
    from sanderling.live.mqtt import without_password
    from sanderling.live.mqtt_sink import MqttSink
    from sanderling.live.reader import LiveReader
    from sanderling.live.session import Session
    from sanderling.live.spool import Spool
    from sanderling.live.watcher import Watcher

    info, calibrated = detector.info, detector.calibrated
    reader = LiveReader(
        ColumnChoice(options.time, options.columns, options.label), int(str(info["channels"])) if calibrated else 0
    )
    source = make_source(options.input, options.ca)
    lines = PatchLines(every_patch=options.all)
    spool = Spool(options.spool, options.spool_bytes) if options.spool else None
    watcher = Watcher(
        detector.stream(),
        reader,
        say,
        spool=spool,
        period_s=float(str(info["period_s"])) if calibrated else options.period or 0.0,
        samples=options.samples,
        record=options.record,
        patches=lambda explained, times: lines.write(explained, reader.parser, times),
    )
    name = without_password(options.input)
    session = Session(source, name, watcher, say, stall_s=options.stall, retry_s=options.retry)
    with ExitStack() as stack:
        if spool is not None:
            stack.callback(spool.close)
            if spool.pending or spool.damaged:
                say({"event": "spool", "pending": spool.pending, "damaged": spool.damaged})
        if options.metrics:
            server = MetricsServer(options.metrics, session.figures)
            stack.callback(server.close)
            say({"event": "metrics", "url": server.url})
        if options.publish and spool is not None:
            session.sink = MqttSink(
                options.publish,
                spool,
                name=options.name,
                discovery=options.discovery,
                retry_s=options.retry,
                ca=options.ca,
            )
            stack.callback(session.sink.close)
        session.run()
        if session.sink is not None:
            session.sink.close()
        say(watcher.summary())
    return 0


def say(event: dict[str, Any]) -> None:
    """Writes one JSON line."""
    sys.stdout.write(json.dumps(event, allow_nan=False) + "\n")
    sys.stdout.flush()


class PatchLines:
    """The lines of a stream's patches: those that alarm, or every one."""

    def __init__(self, *, every_patch: bool) -> None:
        self._every_patch = every_patch
        self._scored = 0

    def write(self, explained: Explanation, parser: CsvParser, times: Sequence[float]) -> None:
        """Prints what the patches of `explained` are worth; times: one a sample."""
        for event in self._events(explained, parser, times):
            say(event)

    def _events(self, explained: Explanation, parser: CsvParser, times: Sequence[float]) -> Iterator[dict[str, Any]]:
        patch = explained.patch
        for first in range(0, len(explained.scores), patch):
            part = times[first : first + patch]
            if bool(explained.labels[first]) or self._every_patch:
                yield self._event(explained, first, parser, part)
            self._scored += len(part)

    def _event(
        self, explained: Explanation, first: int, parser: CsvParser, times: Sequence[float]
    ) -> dict[str, Any]:
        alarms = explained.alarms()
        at = next((a for a in alarms if a.start <= first <= a.end), None)
        event: dict[str, Any] = {"start": self._scored, "end": self._scored + len(times) - 1}
        if parser.has_time:
            event |= {"t_start": times[0], "t_end": times[-1]}
        event |= {
            "score": _finite(float(explained.scores[first])),
            "threshold": _finite(explained.threshold),
            "alarm": at is not None,
        }
        if at is not None and at.channel >= 0:
            names = output_names(parser.names, explained.frame_samples)
            event |= {"channel": names[at.channel], "component": at.component}
        return event


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _seconds(text: str) -> float:
    return 0.0 if text.strip() in ("0", "0.0") else shared.positive(text)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, found {text!r}")
    return int(text)
