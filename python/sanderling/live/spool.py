"""Alarms on disk until they are delivered: at least once, in order, each with a number that no other has.

docs/live.md has the format, which csrc/tool/spool.cpp reads and writes too.
"""

import errno
import fcntl
import json
import os
import re
import threading
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sanderling.errors import StorageError

MAX_RECORD = 1 << 15  # bytes of a line, its checksum included
SEGMENTS = 8  # what goes when the folder is full: an eighth
_SEGMENT = re.compile(r"([0-9]{20})\.jsonl")
_RECORD = re.compile(rb'([0-9a-f]{8}) (\{"seq": ([0-9]{1,20}),.*\})')
_ID = re.compile(r"[0-9a-f]{16}")


@dataclass
class _Segment:
    first: int
    size: int = 0


def _number_of(line: bytes) -> int:
    """The record's number, or 0 for a line that isn't one."""
    match = _RECORD.fullmatch(line)
    return int(match[3]) if match and int(match[1], 16) == zlib.crc32(match[2]) else 0


class Spool:
    """A folder of records, for this process alone. Threads may share it. Raises StorageError.

    pending, dropped, damaged: records to be delivered; undelivered ones that had to go; lines that could not be read
    at the start.
    """

    def __init__(self, folder: Path, max_bytes: int = 4 << 20) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self._mutex = threading.RLock()
        self._segments: list[_Segment] = []
        self._last = self._delivered = self.dropped = self.damaged = 0
        self._cursor = (0, 0)  # segment and place where `oldest` looks first
        self._file: int | None = None
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.id = self._read_id()
            self._recover()
        except BlockingIOError as error:
            raise self._failed(error, "a spool that no other process uses") from error
        except OSError as error:
            raise self._failed(error, "a folder to keep alarms in") from error

    def _failed(self, error: OSError, wanted: str) -> StorageError:
        found = error.strerror or str(error)
        return StorageError(f"{self._folder}: expected {wanted}, found: {found}; check the path, rights and space")

    def _read_id(self) -> str:
        with suppress(OSError, UnicodeDecodeError):
            found = (self._folder / "id").read_text("ascii").strip()
            if _ID.fullmatch(found):
                return found
        made = os.urandom(8).hex()
        self._store("id", made)
        return made

    def _recover(self) -> None:
        with suppress(OSError, ValueError):
            self._delivered = int((self._folder / "delivered").read_text("ascii"))
        names = sorted(filter(_SEGMENT.fullmatch, os.listdir(self._folder)))
        self._segments = [_Segment(int(name[:20])) for name in names]
        for segment in self._segments:
            self._recover_segment(segment, is_last=segment is self._segments[-1])
        self._last = max(self._last, self._delivered)
        if self._segments:
            self._file = os.open(self._path(self._segments[-1]), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def _recover_segment(self, segment: _Segment, *, is_last: bool) -> None:
        good = end = 0
        for line, end in self._lines(segment, 0):
            number = _number_of(line)
            if number > self._last:
                self._last, good = number, end
            else:
                self.damaged += 1
        size = self._path(segment).stat().st_size
        self.damaged += end < size
        segment.size = good if is_last else size
        if is_last and good < size:
            # Only the end can be torn by a power cut; what comes next must not be glued to it.
            with self._path(segment).open("r+b") as file:
                file.truncate(good)
                os.fsync(file.fileno())

    def _lines(self, segment: _Segment, at: int) -> Iterator[tuple[bytes, int]]:
        """Lines from `at` on, without their ends, and where the next one begins."""
        with self._path(segment).open("rb") as file:
            file.seek(at)
            while raw := file.readline(MAX_RECORD):
                if not raw.endswith(b"\n") and len(raw) < MAX_RECORD:
                    return
                at += len(raw)
                yield raw.removesuffix(b"\n"), at

    def _path(self, segment: _Segment) -> Path:
        return self._folder / f"{segment.first:020}.jsonl"

    def append(self, fields: dict[str, Any]) -> dict[str, Any]:
        """The record of `fields`: with the number seq and the id of the spool. Durable when it returns; when the folder
        is full, the oldest go."""
        with self._mutex:
            record = {"seq": self._last + 1, "spool": self.id, **fields}
            text = json.dumps(record, allow_nan=False).encode()
            line = b"%08x %s\n" % (zlib.crc32(text), text)
            try:
                self._write(line)
            except OSError as error:
                raise self._failed(error, "to keep an alarm") from error
            self._last += 1
            return record

    def _write(self, line: bytes) -> None:
        if len(line) > MAX_RECORD:
            raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
        while True:
            while self._segments and self._total() + len(line) > self._max_bytes:
                self._drop_oldest()
            last = self._segments[-1] if self._segments else None
            if last is None or (last.size and last.size + len(line) > self._max_bytes // SEGMENTS):
                last = self._start_segment()
            assert self._file is not None
            try:
                left = line
                while left:  # a disk that fills up takes a part, and says why it doesn't take the rest
                    left = left[os.write(self._file, left) :]
                os.fdatasync(self._file)
            except OSError as error:
                os.ftruncate(self._file, last.size)
                if error.errno != errno.ENOSPC or len(self._segments) < 2:
                    raise
                self._drop_oldest()  # a full disk: what is new counts for more
                continue
            last.size += len(line)
            return

    def _total(self) -> int:
        return sum(segment.size for segment in self._segments)

    def _start_segment(self) -> _Segment:
        segment = _Segment(self._last + 1)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        opened = os.open(self._path(segment), flags, 0o600)
        self._sync_folder()
        if self._file is not None:
            os.close(self._file)
        self._file = opened
        self._segments.append(segment)
        return segment

    def _drop_oldest(self) -> None:
        gone = self._segments.pop(0)
        end = self._segments[0].first if self._segments else self._last + 1
        self.dropped += max(0, end - max(gone.first, self._delivered + 1))
        self._path(gone).unlink(missing_ok=True)
        if not self._segments and self._file is not None:
            os.close(self._file)
            self._file = None

    def oldest(self) -> tuple[int, str] | None:
        """Number and JSON text of the oldest record that is not delivered, or None."""
        with self._mutex:
            for segment in self._segments:
                at = self._cursor[1] if segment.first == self._cursor[0] else 0
                if segment.first < self._cursor[0]:
                    continue
                with suppress(OSError):
                    for line, end in self._lines(segment, at):
                        number = _number_of(line)
                        if number > self._delivered:
                            self._cursor = (segment.first, at)
                            return number, line[9:].decode()
                        at = end
            self._delivered = self._last  # what is left, if anything, can't be read
            return None

    def acknowledge(self, number: int) -> None:
        """`number` and all before it are delivered."""
        with self._mutex:
            self._delivered = number
            try:
                self._store("delivered", str(number))
            except OSError as error:
                raise self._failed(error, "to note what was delivered") from error
            while len(self._segments) > 1 and self._segments[1].first <= number + 1:
                self._drop_oldest()

    @property
    def pending(self) -> int:
        with self._mutex:
            if not self._segments:
                return 0
            return max(0, self._last - max(self._delivered, self._segments[0].first - 1))

    def _store(self, name: str, text: str) -> None:
        """Temporary file, fsync and rename: the old text or the new one, whenever the power goes."""
        temporary = self._folder / f"{name}.new"
        with temporary.open("wb") as file:
            file.write(text.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self._folder / name)
        self._sync_folder()

    def _sync_folder(self) -> None:
        opened = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)

    def close(self) -> None:
        with self._mutex:
            for opened in (self._file, self._lock):
                if opened is not None:
                    os.close(opened)
            self._file = None
