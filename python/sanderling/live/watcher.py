"""What lies between the samples of a source and its events: missing values, gaps in time, scores, alarms."""

import math
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from sanderling.errors import StorageError
from sanderling.live.alarms import AlarmRuns, now_text, short_name
from sanderling.live.reader import LiveReader
from sanderling.live.spool import Spool
from sanderling.runtime.explanation import Explanation
from sanderling.runtime.frames import output_names
from sanderling.runtime.signals import to_float32
from sanderling.runtime.stream import Stream
from sanderling.runtime.timestamps import sample_period

_WHOLE = 64  # whole samples that end a period with missing ones: the raw window
_GAP = 4.0  # periods between neighbours that make a gap
_FIRST_TIMES = 65

Say = Callable[[dict[str, Any]], None]


class Occasion:
    """Something that may go on for ever is said the 1st, 2nd, 4th, 8th ... time."""

    def __init__(self) -> None:
        self.count = 0
        self._next = 1

    def worth_saying(self) -> bool:
        self.count += 1
        if self.count < self._next:
            return False
        self._next = self.count * 2
        return True


class Watcher:
    """Takes rows, says events.

    patches: called with each explanation and the times of its samples, before its alarms are said.
    """

    def __init__(
        self,
        stream: Stream,
        reader: LiveReader,
        say: Say,
        *,
        spool: Spool | None,
        period_s: float,
        samples: int,
        record: Path | None,
        patches: Callable[[Explanation, list[float]], None],
    ) -> None:
        self.stream, self.reader, self.spool = stream, reader, spool
        self.runs = AlarmRuns()
        self.samples = self.missing = self.unspooled = 0
        self.missing_open = False  # a period with missing samples goes on
        self.threshold = stream.threshold
        self._say, self._period, self._limit, self._patches = say, period_s, samples, patches
        self._times: deque[float] = deque()
        self._whole = self._missing_here = self._rejected_told = self._dropped_told = 0
        self._bad_lines, self._gaps, self._steps_back = Occasion(), Occasion(), Occasion()
        self._first_times: list[float] = []
        self._last_time = 0.0
        self._record = _open_record(record)
        self._recorded = False

    @property
    def full(self) -> bool:
        """As many samples as were asked for."""
        return 0 < self._limit <= self.samples

    def take(self, rows: list[list[float]], times: list[float]) -> None:
        """Records, looks at and scores rows."""
        if self._limit:
            rows = rows[: self._limit - self.samples]
        if rows:
            chunk = to_float32(np.asarray(rows, np.float64))
            self._write_record(chunk, times)
            self._look_at(chunk, times)
            self._times.extend(times[: len(rows)])
            self._scores(self.stream.explain(chunk))
        self._tell_rejected()

    def end(self, *, complete: bool) -> None:
        """The end. complete: the source has ended, so the last patch is as whole as it will be."""
        if complete and self.samples:
            self._scores(self.stream.explain_flush())
        for name, fields in self.runs.end(self._outputs(), timed=self.reader.parser.has_time):
            self._keep(name, fields)
        self._tell_rejected()
        if self._record is not None:
            self._record.close()

    def summary(self) -> dict[str, Any]:
        """The last line's fields: what the runner's summary has."""
        threshold = self.threshold if math.isfinite(self.threshold) else None
        fields: dict[str, Any] = {"samples": self.samples, "nan": self.runs.nan, "alarms": self.runs.count}
        fields |= {"threshold": threshold, "bad_lines": self.reader.rejected, "missing": self.missing}
        if self.spool is not None:
            fields |= {"pending": self.spool.pending, "dropped": self.spool.dropped + self.unspooled}
        return fields

    def _outputs(self) -> tuple[str, ...]:
        return output_names(self.reader.parser.names, self.stream.frame_samples)

    def _scores(self, explained: Explanation) -> None:
        self.threshold = explained.threshold
        self._patches(explained, list(self._times)[: len(explained.scores)])
        parser = self.reader.parser
        for name, fields in self.runs.take(explained, parser.names, self._times, timed=parser.has_time):
            self._keep(name, fields)

    def _keep(self, name: str, fields: dict[str, Any]) -> None:
        """The record goes to the spool before anybody hears of it."""
        record = {"at": now_text(), "event": name, **fields}
        if self.spool is None:
            self._say({"event": name, **fields})
            return
        try:
            self._say(self.spool.append(record))
        except StorageError as error:
            self.unspooled += 1
            self._say(record)
            self._say({"event": "spool_error", "lost": self.unspooled, "why": str(error)})
        if self.spool.dropped > self._dropped_told:
            self._dropped_told = self.spool.dropped
            self._say({"event": "spool_full", "dropped": self._dropped_told})

    def _look_at(self, chunk: NDArray[np.float32], times: list[float]) -> None:
        good = np.isfinite(chunk)
        names = self.reader.parser.names
        timed = self.reader.parser.has_time
        for i, whole in enumerate(np.all(good, axis=1).tolist()):
            if timed:
                self._look_at_time(times[i])
            if not whole:
                self.missing += 1
                self._missing_here += 1
                self._whole = 0
                if not self.missing_open:
                    gone = ", ".join(names[c] for c in np.flatnonzero(~good[i]))
                    self._say({"event": "missing", "sample": self.samples, "channels": short_name(gone)})
                self.missing_open = True
            elif self.missing_open:
                self._whole += 1
                if self._whole == _WHOLE:
                    self._say({"event": "complete", "sample": self.samples, "missing": self._missing_here})
                    self.missing_open, self._missing_here = False, 0
            self.samples += 1

    def _look_at_time(self, t: float) -> None:
        step = t - self._last_time
        self._last_time = t
        if self._period == 0.0 and len(self._first_times) < _FIRST_TIMES:
            self._first_times.append(t)
            if len(self._first_times) == _FIRST_TIMES:
                self._period = float(sample_period(np.asarray(self._first_times)) or 0.0)
        if self.samples == 0:
            return
        if 0.0 < self._period < step / _GAP and self._gaps.worth_saying():
            self._say({"event": "gap", "sample": self.samples, "t": t, "seconds": step, "gaps": self._gaps.count})
        if step < 0.0 and self._steps_back.worth_saying():
            times = self._steps_back.count
            self._say({"event": "clock_back", "sample": self.samples, "t": t, "seconds": -step, "times": times})

    def _tell_rejected(self) -> None:
        worth = False
        while self._rejected_told < self.reader.rejected:
            self._rejected_told += 1
            worth |= self._bad_lines.worth_saying()
        if worth:
            self._say({"event": "bad_line", "lines": self.reader.rejected, "why": self.reader.reason})

    def _write_record(self, chunk: NDArray[np.float32], times: list[float]) -> None:
        if self._record is None:
            return
        parser, lines = self.reader.parser, []
        timed = parser.has_time
        if not self._recorded and (parser.named or timed):  # without names numbers follow numbers
            quoted = ['"' + name.replace('"', '""') + '"' for name in parser.names]
            lines.append(",".join((["time"] if timed else []) + quoted))
        self._recorded = True
        for i, row in enumerate(chunk):
            lines.append(",".join(([repr(times[i])] if timed else []) + [str(value) for value in row]))
        try:
            self._record.write("".join(line + "\n" for line in lines).encode())
            self._record.flush()
        except OSError as error:
            # A full disk ends the recording, not the detector.
            self._record = None
            self._say({"event": "record_error", "why": str(error.strerror)})


def _open_record(path: Path | None) -> BinaryIO | None:
    if path is None:
        return None
    try:
        return path.open("wb")
    except OSError as error:
        raise StorageError(
            f"{path}: expected to create it, found: {error.strerror}; check the path, rights and space"
        ) from error
