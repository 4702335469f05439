"""Reads FlatBuffers that may be damaged or hostile: every offset and count is checked before it is followed.

The encoding is the public one (flatbuffers.dev, "FlatBuffer Internals"), little-endian. Nothing is copied but small
integers, and a budget bounds the work: offsets that point to one table a million times cost an error, not an hour.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from sanderling.errors import FormatError

MAX_STEPS = 1 << 20  # tables visited and numbers read, all together


@dataclass
class Buffer:
    """The file's bytes, and what reading it may still cost."""

    data: memoryview
    steps: int = field(default=MAX_STEPS)

    def spend(self, steps: int) -> None:
        """FormatError when the file takes more work than any real one."""
        self.steps -= steps
        if self.steps < 0:
            raise FormatError(f"expected fewer than {MAX_STEPS} tables and numbers, found more; the file is damaged")

    def number(self, code: str, at: int) -> int | float:
        """The number with the struct code `code` at byte `at`."""
        if not 0 <= at <= len(self.data) - struct.calcsize(code):
            raise FormatError(
                f"expected an offset inside the file's {len(self.data)} bytes, found {at}; it is truncated or damaged"
            )
        return struct.unpack_from("<" + code, self.data, at)[0]

    def integer(self, code: str, at: int) -> int:
        """As `number`, for integer codes."""
        return int(self.number(code, at))

    def root(self) -> Table:
        """The root table."""
        return Table(self, self.integer("I", 0))


class Table:
    """A table; fields are named by their position in the schema, 0 the first."""

    def __init__(self, buffer: Buffer, at: int) -> None:
        buffer.spend(1)
        self.buffer, self.at = buffer, at
        self.vtable = at - buffer.integer("i", at)
        self.vtable_size = buffer.integer("H", self.vtable)
        self.size = buffer.integer("H", self.vtable + 2)
        if self.vtable_size < 4 or self.vtable + self.vtable_size > len(buffer.data):
            raise FormatError(f"expected a table at byte {at}, found none; the file is damaged")
        if self.size < 4 or at + self.size > len(buffer.data):
            raise FormatError(f"expected a table inside the file, found one across its end at byte {at}; truncated")

    def _field(self, index: int, size: int) -> int | None:
        """Byte of a field of `size` bytes; None where the table leaves it out."""
        slot = 4 + 2 * index
        if slot + 2 > self.vtable_size:
            return None
        offset = self.buffer.integer("H", self.vtable + slot)
        if offset == 0:
            return None
        if offset < 4 or offset + size > self.size:
            raise FormatError(f"expected field {index} inside the table at byte {self.at}, found it outside; damaged")
        return self.at + offset

    def integer(self, index: int, code: str = "i", default: int = 0) -> int:
        """An integer field; code: of struct."""
        at = self._field(index, struct.calcsize(code))
        return default if at is None else self.buffer.integer(code, at)

    def _target(self, index: int) -> int | None:
        """What an offset field points to."""
        at = self._field(index, 4)
        return None if at is None else at + self.buffer.integer("I", at)

    def table(self, index: int) -> Table | None:
        """A table field; None where it is left out."""
        at = self._target(index)
        return None if at is None else Table(self.buffer, at)

    def span(self, index: int, size: int) -> tuple[int, int]:
        """First byte and count of a vector of elements of `size` bytes; (0, 0) where it is left out."""
        at = self._target(index)
        if at is None:
            return 0, 0
        count = self.buffer.integer("I", at)
        if count * size > len(self.buffer.data) - at - 4:
            raise FormatError(
                f"expected a vector inside the file, found {count} elements of {size} bytes at byte {at}; truncated"
            )
        return at + 4, count

    def tables(self, index: int) -> Iterator[Table]:
        """The tables of a vector field, one after the other."""
        start, count = self.span(index, 4)
        for at in range(start, start + 4 * count, 4):
            yield Table(self.buffer, at + self.buffer.integer("I", at))

    def count(self, index: int, size: int) -> int:
        """Number of elements of `size` bytes of a vector field."""
        return self.span(index, size)[1]

    def integers(self, index: int, code: str = "i") -> tuple[int, ...]:
        """A vector field of numbers."""
        start, count = self.span(index, struct.calcsize(code))
        self.buffer.spend(count)
        return struct.unpack_from(f"<{count}{code}", self.buffer.data, start) if count else ()

    def data(self, index: int) -> memoryview:
        """A vector field of bytes, not copied."""
        start, count = self.span(index, 1)
        return self.buffer.data[start : start + count]

    def text(self, index: int) -> str:
        """A string field, UTF-8; empty where it is left out."""
        data = self.data(index)
        self.buffer.spend(len(data) // 8)
        try:
            return bytes(data).decode()
        except UnicodeDecodeError as error:
            raise FormatError(f"expected UTF-8 text at a name, found {error.reason}; the file is damaged") from error
