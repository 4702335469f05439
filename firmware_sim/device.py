"""Writes an image to a card: what it is, whether it may be overwritten, the writing, and reading it all back."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path

from sanderling.errors import StorageError

CHUNK = 4 << 20
SECTOR = 512


@dataclass(frozen=True)
class Card:
    """A block device. size: bytes. removable: what Linux says; readers that are built in often say no."""

    path: Path
    size: int
    removable: bool
    model: str

    def describe(self) -> str:
        """One line to decide by."""
        kind = "removable" if self.removable else "NOT removable"
        return f"{self.path}: {self.size / 1e9:.1f} GB, {kind}, {self.model or 'no model name'}"


def examine(path: Path, sys: Path = Path("/sys"), proc: Path = Path("/proc")) -> Card:
    """What a device is, when it may be overwritten.

    Raises StorageError: no block device, a partition, in use (mounted, swap, or a part of something: RAID, LVM,
    encryption).
    """
    try:
        found = path.stat()
    except OSError as error:
        raise StorageError(f"{path}: expected a card's device, found: {error.strerror}; see lsblk") from error
    if not stat.S_ISBLK(found.st_mode):
        raise StorageError(f"{path}: expected a block device such as /dev/sdX, found another file; see --image")
    return card_of(path, f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}", sys, proc)


def card_of(path: Path, number: str, sys: Path, proc: Path) -> Card:
    """`examine`, for the device with that number (major:minor)."""
    block = (sys / "dev" / "block" / number).resolve()
    if not block.is_dir():
        raise StorageError(f"{path}: expected a device that Linux knows, found none with number {number}; see lsblk")
    if (block / "partition").exists():
        raise StorageError(f"{path}: expected a whole card, found a partition of {block.parent.name}; name that device")
    parts = [block, *(child for child in sorted(block.iterdir()) if (child / "partition").exists())]
    numbers = {_text(part / "dev") for part in parts} | {number}
    for line in _lines(proc / "self" / "mountinfo"):
        words = line.split()
        if len(words) > 4 and words[2] in numbers:
            raise StorageError(f"{path}: expected a card that is not in use, found it mounted: umount {words[4]}")
    names = {f"/dev/{part.name}" for part in parts}
    for line in _lines(proc / "swaps")[1:]:
        if names & set(line.split()[:1]):
            raise StorageError(f"{path}: expected a card that is not in use, found swap; it is the system's disk")
    for part in parts:
        holders = sorted(p.name for p in (part / "holders").glob("*"))
        if holders:
            raise StorageError(f"{path}: expected a card that is not in use, found {holders[0]} on it; stop that first")
    model = _text(block / "device" / "model") or _text(block / "device" / "name")
    return Card(path, int(_text(block / "size") or 0) * SECTOR, _text(block / "removable") == "1", model)


def write(image: Path, target: Path, progress: Callable[[str, int, int], object]) -> None:
    """Writes an image over a device (or a file of its size) and reads it back.

    The partition table goes last: a card that was interrupted has none, and doesn't half start.

    Args:
        image: the whole image.
        target: the device, examined before.
        progress: called with "writing" or "verifying", bytes done, bytes in all.

    Raises:
        StorageError: the device vanished, refused, or holds other bytes than were written.
    """
    size = image.stat().st_size
    try:
        with image.open("rb") as source, open(os.open(target, os.O_WRONLY | os.O_EXCL), "wb", buffering=0) as card:
            for at in [*range(CHUNK, size, CHUNK), 0]:
                source.seek(at)
                card.seek(at)
                _write_all(card, source.read(CHUNK))
                progress("writing", at or size, size)
            os.fsync(card.fileno())
        with image.open("rb") as source, target.open("rb", buffering=0) as card:
            os.posix_fadvise(card.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # or the cache would answer
            for at in range(0, size, CHUNK):
                wanted = source.read(CHUNK)
                found = _read_all(card, len(wanted))
                if hashlib.sha256(found).digest() != hashlib.sha256(wanted).digest():
                    where = f"other bytes near {at >> 20} MiB"
                    raise StorageError(f"{target}: expected what was written, found {where}; use another card")
                progress("verifying", min(at + CHUNK, size), size)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"{target}: expected to write the image, found: {error.strerror}; try again") from error


def _write_all(card: RawIOBase, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[card.write(view) or 0 :]


def _read_all(card: RawIOBase, size: int) -> bytes:
    found = b""
    while len(found) < size:
        more = card.read(size - len(found))
        if not more:
            break
        found += more
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _lines(path: Path) -> list[str]:
    return _text(path).splitlines()
