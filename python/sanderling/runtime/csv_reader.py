"""CSV to float32 samples, by the rules that the C++ reader follows too (csrc/io/csv.h): the same text, the same bits.

Text: UTF-8, an optional byte order mark, lines ended by LF or CRLF; empty lines are skipped but counted.
Cells: separated by `,`, `;` or tab, whichever the first line has most of; spaces and tabs around a cell do not count.
Header: the first line when one of its cells is neither a number nor missing; else columns are named 0, 1, 2, ...
Missing (NaN): an empty cell, nan, na, null, none. Numbers: parsed as float64, then rounded to float32.
Time: the column asked for, else, with a header, the first one named time, timestamp, datetime, date, ts or t; seconds
or ISO 8601. Channels: the columns asked for, in that order, else every column but time and label.
"""

import re
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn

from sanderling.errors import InputError, ReadError, TimestampError
from sanderling.runtime.timestamps import parse_timestamp

MAX_LINE = 1 << 20  # bytes
MAX_COLUMNS = 1024
TIME_NAMES = ("time", "timestamp", "datetime", "date", "ts", "t")
_MISSING = frozenset(("", "nan", "+nan", "-nan", "na", "null", "none"))
_NUMBER = re.compile(
    r"[+-]?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[iI][nN][fF](?:[iI][nN][iI][tT][yY])?)"
)
# Characters that float() would let through and the rules do not: `_`, other scripts' digits, other white space.
_SUSPECT = re.compile(r"[^\t\x20-\x5e\x60-\x7e]")
_SHOWN = 40  # characters of a cell in a message


@dataclass(frozen=True)
class ColumnChoice:
    """Which columns play which role. time "", label "", columns (): chosen by the rules above."""

    time: str = ""
    columns: tuple[str, ...] = ()
    label: str = ""


@dataclass
class _Columns:
    """Which column is what, by the first line."""

    delimiter: str = ""
    header: list[str] = field(default_factory=list)
    picked: list[int] = field(default_factory=list)
    time: int | None = None
    label: int | None = None
    named: bool = False  # the first line was a header


class CsvParser:
    """A push parser: `line` takes one line after the other. After an error it is spent, unless it is live.

    Live (csrc/io/csv.h): a bad line raises and the next one is taken; until the first row any line whose cells are all
    text or all numbers may set the columns anew, later a line like the header is skipped; times may fall. channels: how
    many there must be then, 0 for any number.
    """

    def __init__(
        self,
        choice: ColumnChoice = ColumnChoice(),  # noqa: B008 (frozen)
        *,
        live: bool = False,
        channels: int = 0,
    ) -> None:
        self._choice = choice
        self._live = live
        self._channels = channels
        self._now = _Columns()
        self._time_is_iso = False
        self._last_time = 0.0
        self._line = 0
        self.rows = 0
        self.equal_timestamps = 0
        self.time = 0.0  # seconds, of the last row
        self.label = 0.0  # of the last row

    @property
    def names(self) -> tuple[str, ...]:
        """The channels, known once the first line has been read."""
        return tuple(self._now.header[i] for i in self._now.picked)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column's name."""
        return tuple(self._now.header)

    @property
    def named(self) -> bool:
        """By a header, not by numbers."""
        return self._now.named

    @property
    def has_time(self) -> bool:
        return self._now.time is not None

    @property
    def has_label(self) -> bool:
        return self._now.label is not None

    @property
    def time_name(self) -> str:
        return "" if self._now.time is None else self._now.header[self._now.time]

    def line(self, raw: bytes) -> list[float] | None:
        """The channels' values (float64) of a line, or None for a header or an empty line.

        Raises ReadError, TimestampError (naming the row), InputError (a column that is not there).
        """
        self._line += 1
        if not self._live or self.rows > 0:
            return self._parse(raw)
        before = replace(self._now)
        try:
            return self._parse(raw)
        except InputError:
            self._now = before
            raise

    def start_anew(self, raw: bytes) -> list[float] | None:
        """Live, before the first row: the line that was refused just now, as the first one. Raises as `line`."""
        before, self._now = self._now, _Columns()
        try:
            return self._parse(raw)
        except InputError:
            self._now = before
            raise

    def skip(self, message: str) -> ReadError:
        """Live: counts a line that did not come whole; the error that says so."""
        self._line += 1
        return ReadError(f"row {self._line}: {message}")

    def _parse(self, raw: bytes) -> list[float] | None:
        if len(raw.removesuffix(b"\n")) > MAX_LINE:
            self._fail(f"expected lines of at most {MAX_LINE} bytes, found a longer one; check that it is CSV text")
        text = self._decode(raw)
        if not text.strip(" "):
            return None
        first = not self._now.header
        if first:
            self._now = _Columns(_sniff(text))
        cells = self._split(text)
        if first and self._choose(cells):
            return None
        if self._live and self._now.named and cells == self._now.header:
            return None
        return self._row(cells, text)

    def finish(self) -> None:
        """Raises ReadError when there was no row."""
        if self.rows == 0:
            found = "a header and nothing after it" if self._now.header else "an empty input"
            raise ReadError(f"expected CSV rows of samples, found {found}; give at least one row")

    def _decode(self, raw: bytes) -> str:
        if self._line == 1 and raw.startswith(b"\xef\xbb\xbf"):
            raw = raw[3:]
        raw = raw.removesuffix(b"\n").removesuffix(b"\r")
        if b"\0" in raw:
            self._fail("expected text, found a NUL byte; save the file as UTF-8 CSV")
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            self._fail("expected UTF-8 text, found other bytes; save the file as UTF-8 CSV")

    def _split(self, text: str) -> list[str]:
        if '"' in text:
            cells = self._split_quoted(text)
        else:
            cells = [cell.strip(" \t") for cell in text.split(self._now.delimiter)]
        if len(cells) > MAX_COLUMNS:
            self._fail(f"expected at most {MAX_COLUMNS} columns, found more; split the file")
        return cells

    def _split_quoted(self, text: str) -> list[str]:
        blanks = " \t".replace(self._now.delimiter, "")
        cells: list[str] = []
        at = 0
        while True:
            while at < len(text) and text[at] in blanks:
                at += 1
            if at < len(text) and text[at] == '"':
                inside, at = self._quoted_cell(text, at + 1, len(cells) + 1)
                cells.append(inside.strip(" \t"))
                while at < len(text) and text[at] in blanks:
                    at += 1
                if at < len(text) and text[at] != self._now.delimiter:
                    shown = "tab" if self._now.delimiter == "\t" else self._now.delimiter
                    self._fail(
                        f"expected '{shown}' after the closing quote of column {len(cells)}, "
                        "found other text; quote the whole cell"
                    )
            else:
                end = text.find(self._now.delimiter, at)
                end = len(text) if end < 0 else end
                cells.append(text[at:end].strip(" \t"))
                at = end
            if at >= len(text):
                return cells
            at += 1

    def _quoted_cell(self, text: str, at: int, column: int) -> tuple[str, int]:
        parts: list[str] = []
        while True:
            end = text.find('"', at)
            if end < 0:
                self._fail(
                    f"expected a closing quote in column {column}, found the end of the line; close the cell"
                )
            parts.append(text[at:end])
            if text[end + 1 : end + 2] != '"':
                return '"'.join(parts), end + 1
            at = end + 2

    def _choose(self, cells: Sequence[str]) -> bool:
        texts = sum(
            _parse_number(cell) is None and not (self._live and parse_timestamp(cell) is not None) for cell in cells
        )
        is_header = self._now.named = texts > 0
        if self._live and 0 < texts < len(cells):
            self._fail(
                f"expected names or numbers, found both in one line, '{_shown(cells[0])}' at first; correct the line"
            )
        self._now.header = list(cells) if is_header else [str(i) for i in range(len(cells))]
        if self._choice.time:
            self._now.time = self._find(self._choice.time, "time")
        elif is_header:
            known = (i for i, name in enumerate(self._now.header) if _ascii_lower(name) in TIME_NAMES)
            self._now.time = next(known, None)
        if self._choice.label:
            self._now.label = self._find(self._choice.label, "label")
        if self._choice.columns:
            self._now.picked = [self._find(name, "columns") for name in self._choice.columns]
        else:
            others = (self._now.time, self._now.label)
            self._now.picked = [i for i in range(len(self._now.header)) if i not in others]
        if not 1 <= len(self._now.picked) <= MAX_COLUMNS:
            self._fail(
                f"expected 1 to {MAX_COLUMNS} channels beside time and label, found {len(self._now.picked)}; "
                "check the columns"
            )
        if self._channels and len(self._now.picked) != self._channels:
            self._fail(
                f"expected {self._channels} channel(s) as in the model, found {len(self._now.picked)}; "
                "check the sender and --columns (a decimal comma splits a number)"
            )
        return is_header

    def _find(self, name: str, option: str) -> int:
        if name not in self._now.header:
            raise InputError(
                f"{option}: expected one of the columns ({_shown(', '.join(self._now.header))}), "
                f"found '{_shown(name)}'; check the name"
            )
        return self._now.header.index(name)

    def _row(self, cells: Sequence[str], text: str) -> list[float]:
        if len(cells) != len(self._now.header):
            self._fail(
                f"expected {len(self._now.header)} columns as in the first line, found {len(cells)}; "
                "repair or drop the row"
            )
        if self._now.time is not None:
            self._take_time(cells[self._now.time])
        if self._now.label is not None:
            self.label = self._number(cells, self._now.label)
        try:
            if _SUSPECT.search(text):
                raise ValueError
            values = [float(cells[i]) for i in self._now.picked]
        except ValueError:  # a missing cell or a wrong one: look at each
            values = [self._number(cells, i) for i in self._now.picked]
        self.rows += 1
        return values

    def _number(self, cells: Sequence[str], column: int) -> float:
        value = _parse_number(cells[column])
        if value is None:
            self._fail(
                f"expected a number in column '{_shown(self._now.header[column])}', "
                f"found '{_shown(cells[column])}'; correct it or leave the cell empty"
            )
        return value

    def _take_time(self, cell: str) -> None:
        number = _parse_number(cell)
        is_number = number is not None and abs(number) < float("inf")  # False for NaN
        if self.rows == 0:
            self._time_is_iso = not is_number
        seconds = parse_timestamp(cell) if self._time_is_iso else number if is_number else None
        if seconds is None:
            kind = "an ISO 8601 time" if self._time_is_iso else "seconds"
            kind = "seconds or an ISO 8601 time" if self.rows == 0 else kind
            self._fail_time(
                f"expected {kind} in time column '{_shown(self.time_name)}', found '{_shown(cell)}'; "
                "correct it or name another column as time"
            )
        if not self._live and self.rows > 0 and seconds < self._last_time:
            self._fail_time(
                f"expected a time not before the previous row's in column '{_shown(self.time_name)}', "
                f"found '{_shown(cell)}'; sort the rows by time"
            )
        self.equal_timestamps += self.rows > 0 and seconds == self._last_time
        self._last_time = self.time = seconds

    def _fail(self, message: str) -> NoReturn:
        raise ReadError(f"row {self._line}: {message}")

    def _fail_time(self, message: str) -> NoReturn:
        raise TimestampError(f"row {self._line}: {message}")


@dataclass
class CsvTable:
    """A parsed text: values float64, row after row."""

    values: array
    times: array
    labels: array
    parser: CsvParser


def parse_csv(lines: Iterable[bytes], choice: ColumnChoice) -> CsvTable:
    """All rows of `lines` (each with its line end). Raises ReadError, TimestampError, InputError."""
    parser = CsvParser(choice)
    values, times, labels = array("d"), array("d"), array("d")
    for raw in lines:
        row = parser.line(raw)
        if row is None:
            continue
        values.extend(row)
        times.append(parser.time)
        labels.append(parser.label)
    parser.finish()
    return CsvTable(values, times, labels, parser)


def _parse_number(cell: str) -> float | None:
    """float64; NaN for a missing cell, None for text."""
    if _ascii_lower(cell) in _MISSING:
        return float("nan")
    return float(cell) if _NUMBER.fullmatch(cell) else None


def _ascii_lower(text: str) -> str:
    return text.lower() if text.isascii() else text


def _sniff(line: str) -> str:
    outside = "".join(line.split('"')[::2])
    return max(",;\t", key=outside.count)  # the first of equals


def _shown(cell: str) -> str:
    short = cell if len(cell) <= _SHOWN else cell[:_SHOWN] + "..."
    return "".join(c if c.isprintable() else "?" for c in short)
