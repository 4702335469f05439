"""Bytes cut anywhere to rows; lines that can't be read are counted, not fatal."""

from sanderling.errors import InputError
from sanderling.runtime.csv_reader import MAX_LINE, ColumnChoice, CsvParser

_TOO_LONG = f"expected lines of at most {MAX_LINE} bytes, found a longer one; check that it is CSV text"
_CUT = "expected a whole line, found one cut by the end of the connection; check the cable and the sender"


class LiveReader:
    """rejected: lines refused so far; reason: why the last one was ("row N: expected ...")."""

    def __init__(self, choice: ColumnChoice, channels: int) -> None:
        self.parser = CsvParser(choice, live=True, channels=channels)
        self.rejected = 0
        self.reason = ""
        self._partial = bytearray()
        self._skipping = False  # the rest of a line that is too long

    def feed(self, data: bytes) -> tuple[list[list[float]], list[float]]:
        """The rows (float64) that these bytes complete, and their times (0 without a time column)."""
        rows: list[list[float]] = []
        times: list[float] = []
        *whole, rest = data.split(b"\n")
        for part in whole:
            line = self._line(part)
            row = None if line is None else self._take(line)
            if row is not None:
                rows.append(row)
                times.append(self.parser.time)
        self._keep(rest)
        return rows, times

    def finish(self) -> tuple[list[list[float]], list[float]]:
        """The end of the text takes a last line without a line end."""
        return self.feed(b"\n") if self._partial else ([], [])

    def cut(self) -> None:
        """The connection ended; what came of its last line is rejected."""
        self._skipping = False
        if self._partial:
            self._partial.clear()
            self._reject(self.parser.skip(_CUT))

    def _keep(self, part: bytes) -> None:
        if self._skipping:
            return
        self._partial += part
        if len(self._partial) > MAX_LINE:
            self._skipping = True
            self._partial.clear()
            self._reject(self.parser.skip(_TOO_LONG))

    def _line(self, part: bytes) -> bytes | None:
        self._keep(part)
        if self._skipping:
            self._skipping = False
            return None
        line = bytes(self._partial)
        self._partial.clear()
        return line

    def _take(self, line: bytes) -> list[float] | None:
        try:
            return self.parser.line(line)
        except InputError as error:
            self._reject(error)
        if self.parser.rows == 0 and self.parser.columns:
            try:
                return self.parser.start_anew(line)
            except InputError:
                pass  # neither a row nor a header: the columns stay
        return None

    def _reject(self, why: Exception) -> None:
        self.rejected += 1
        self.reason = str(why)
