"""`sanderling watch`: CSV rows from standard input, one JSON line out for each patch of 8 samples that alarms.

A line: start, end (samples, both included), t_start, t_end (with a time column), score, threshold, alarm, channel,
component.
"""

import argparse
import json
import math
import sys
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np

from sanderling.cli import options as shared
from sanderling.errors import StorageError
from sanderling.runtime.csv_reader import ColumnChoice, CsvParser
from sanderling.runtime.explanation import Explanation
from sanderling.runtime.frames import output_names
from sanderling.runtime.signals import to_float32
from sanderling.runtime.stream import Stream

HELP = "score CSV rows from standard input as they come"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    shared.add_model(parser)
    shared.add_dynamic(parser)
    shared.add_columns(parser)
    shared.add_alarms(parser, period="unknown")
    shared.add_frames(parser)
    parser.add_argument("--all", action="store_true", help="a line for every patch; null: no score")


def run(options: argparse.Namespace) -> int:
    from sanderling.runtime.detector import Detector
    from sanderling.runtime.readers import lines_of

    if sys.stdin is None:
        raise StorageError("expected CSV rows on standard input, found it closed; pipe or redirect the samples")
    detector = Detector.load(
        options.model,
        options.isa,
        false_alarms=options.false_alarms,
        period_s=options.period,
        frame_ms=options.frame_ms,
        dynamic=options.dynamic,
    )
    parser = CsvParser(ColumnChoice(options.time, options.columns, options.label))
    watch = Watch(detector.stream(), parser, every_patch=options.all)
    for raw in lines_of(sys.stdin.buffer):
        row = parser.line(raw)
        if row is not None:
            watch.write(watch.take(row))
    parser.finish()
    watch.write(watch.end())
    return 0


class Watch:
    """Rows in, events out."""

    def __init__(self, stream: Stream, parser: CsvParser, *, every_patch: bool) -> None:
        self._stream = stream
        self._parser = parser
        self._every_patch = every_patch
        self._scored = 0
        self._times: deque[float] = deque()

    def take(self, row: list[float]) -> Iterator[dict[str, Any]]:
        """The events of the patches that this row completes."""
        self._times.append(self._parser.time)
        chunk = to_float32(np.asarray([row], np.float64))
        yield from self._events(self._stream.explain(chunk))

    def end(self) -> Iterator[dict[str, Any]]:
        """The event of the last, incomplete patch."""
        yield from self._events(self._stream.explain_flush())

    def write(self, events: Iterator[dict[str, Any]]) -> None:
        for event in events:
            sys.stdout.write(json.dumps(event, allow_nan=False) + "\n")
            sys.stdout.flush()

    def _events(self, explained: Explanation) -> Iterator[dict[str, Any]]:
        patch = explained.patch
        for first in range(0, len(explained.scores), patch):
            count = min(patch, len(explained.scores) - first)
            times = [self._times.popleft() for _ in range(count)]
            alarm = bool(explained.labels[first])
            if alarm or self._every_patch:
                yield self._event(explained, first, count, times)
            self._scored += count

    def _event(
        self, explained: Explanation, first: int, count: int, times: list[float]
    ) -> dict[str, Any]:
        alarms = explained.alarms()
        at = next((a for a in alarms if a.start <= first <= a.end), None)
        event: dict[str, Any] = {"start": self._scored, "end": self._scored + count - 1}
        if self._parser.has_time:
            event |= {"t_start": times[0], "t_end": times[-1]}
        event |= {
            "score": _finite(float(explained.scores[first])),
            "threshold": _finite(explained.threshold),
            "alarm": at is not None,
        }
        if at is not None and at.channel >= 0:
            names = output_names(self._parser.names, explained.frame_samples)
            event |= {"channel": names[at.channel], "component": at.component}
        return event


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
