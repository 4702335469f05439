"""Patches in, alarms out: a run of samples above the threshold is told at its first and after its last sample."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import numpy as np

from sanderling.runtime.explanation import Explanation
from sanderling.runtime.frames import output_names

_MAX_NAME = 200  # bytes of a channel's name in a record


def now_text() -> str:
    """ISO 8601, UTC; what the clock says, be it 1970."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def short_name(name: str) -> str:
    raw = name.encode()
    return name if len(raw) <= _MAX_NAME else raw[:_MAX_NAME].decode(errors="ignore") + "..."


def _spans(explained: Explanation) -> Iterator[tuple[int, int]]:
    """First sample and length of what has one score: a patch, or the parts of one in which values are missing."""
    scores, patch = explained.scores, explained.patch
    missing = np.isnan(scores)
    edge = np.arange(len(scores)) % patch == 0
    edge[1:] |= missing[1:] != missing[:-1]
    starts = np.flatnonzero(edge)
    yield from zip(starts.tolist(), np.diff(starts, append=len(scores)).tolist(), strict=True)


@dataclass
class _Run:
    start: int
    end: int
    t_start: float
    t_end: float
    peak: float
    channel: int


class AlarmRuns:
    """The runs in a stream of explanations. count: alarms begun. score: the last one."""

    def __init__(self) -> None:
        self.count = 0
        self.score = 0.0
        self.nan = 0
        self._scored = 0
        self._run: _Run | None = None

    @property
    def on(self) -> bool:
        return self._run is not None

    @property
    def scored(self) -> int:
        return self._scored

    def take(
        self, explained: Explanation, names: tuple[str, ...], times: deque[float], *, timed: bool
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """("alarm_on" or "alarm_off", its fields) for each; drops the times that it has used."""
        outputs = output_names(names, explained.frame_samples)
        labels, top = explained.labels, explained.top_channel
        for first, count in _spans(explained):
            t_first, t_last = times[0], times[count - 1]
            for _ in range(count):
                times.popleft()
            score = float(explained.scores[first])
            self.score = score
            self.nan += count * (score != score)
            if not labels[first]:
                yield from self.end(outputs, timed=timed)
            else:
                fresh = self._run is None
                self._grow(count, score, int(top[first]), t_first, t_last)
                if fresh:
                    yield "alarm_on", self._began(explained.threshold, outputs, timed=timed)
            self._scored += count

    def _grow(self, count: int, score: float, channel: int, t_first: float, t_last: float) -> None:
        if self._run is None:
            self.count += 1
            self._run = _Run(self._scored, 0, t_first, t_last, float("-inf"), channel)
        self._run.end, self._run.t_end = self._scored + count - 1, t_last
        if score > self._run.peak:
            self._run.peak, self._run.channel = score, channel

    def _began(self, threshold: float, outputs: tuple[str, ...], *, timed: bool) -> dict[str, Any]:
        run = self._run
        assert run is not None
        fields: dict[str, Any] = {"alarm": self.count, "start": run.start}
        if timed:
            fields["t_start"] = run.t_start
        return fields | {"score": run.peak, "threshold": threshold, "channel": short_name(outputs[run.channel])}

    def end(self, outputs: tuple[str, ...], *, timed: bool) -> Iterator[tuple[str, dict[str, Any]]]:
        """The end of the run that is going on, if one is."""
        run, self._run = self._run, None
        if run is None:
            return
        fields: dict[str, Any] = {"alarm": self.count, "start": run.start, "end": run.end}
        if timed:
            fields |= {"t_start": run.t_start, "t_end": run.t_end}
        yield "alarm_off", fields | {"peak": run.peak, "channel": short_name(outputs[run.channel])}
