"""Lines of texts: of a file, live from the journal, a syslog file that rotates, standard input. Bytes in, bytes out; a
line is at most `MOST` bytes."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from sanderling.errors import DependencyError, ReadError, StorageError

MOST = 1 << 20
MOST_BYTES = 1 << 28  # of texts that are held together, and of one line: /dev/zero is a line without an end
WAIT_S = 0.5
HEAD = 1 << 16  # bytes by which texts are told from other files
MOST_LOST = 0.1  # share of them that may be no text; a few lines with NUL bytes or in Latin-1 are still a log
_LOST = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f\ufffd]")

# How other files begin -> what they are, and what to do.
_OTHERS = {
    b"\x1f\x8b": ("a gzip file", "unpack it (gzip -dc)"),
    b"\x28\xb5\x2f\xfd": ("a zstd file", "unpack it (zstd -dc)"),
    b"\xfd7zXZ": ("an xz file", "unpack it (xz -dc)"),
    b"PK\x03\x04": ("a zip file", "unpack it"),
    b"PAR1\x15": ("a Parquet file", "write its column of texts as lines"),
    b"GGUF\x03\x00": ("a model's GGUF file", "name the texts"),
    b"%PDF-": ("a PDF file", "extract its text (pdftotext)"),
    b"\xff\xfe": ("UTF-16 text", "convert it (iconv -f UTF-16 -t UTF-8)"),
    b"\xfe\xff": ("UTF-16 text", "convert it (iconv -f UTF-16 -t UTF-8)"),
}


def from_stream(stream: IO[bytes]) -> Iterator[bytes]:
    """Lines without their end; what goes beyond `MOST` bytes of one is left out. Raises ReadError for a line that has
    no end within `MOST_BYTES`."""
    while line := stream.readline(MOST):
        whole, size = line.endswith(b"\n"), len(line)
        yield line.rstrip(b"\r\n")
        while not whole and (rest := stream.readline(MOST)):
            whole, size = rest.endswith(b"\n"), size + len(rest)
            if size > MOST_BYTES:
                raise ReadError(f"expected lines of text, found none that ends in {size >> 20} MiB; check the input")


def from_texts(path: str | os.PathLike[str]) -> Iterator[bytes]:
    """Lines of a file of texts, or of standard input (`-`), to its end. A line may be any bytes; raises ReadError for a
    file of another format or mostly of what is no UTF-8 text, StorageError where standard input is closed."""
    if str(path) == "-":
        if sys.stdin is None:
            raise StorageError("expected texts on standard input, found it closed; pipe or redirect them")
        yield from _checked(from_stream(sys.stdin.buffer), "standard input")
        return
    try:
        with open(path, "rb") as file:
            yield from _checked(from_stream(file), str(path))
    except OSError as error:
        raise ReadError(f"expected texts, found no file at {path} ({error.strerror}); check the path") from error


def read_texts(path: str | os.PathLike[str]) -> list[bytes]:
    """All lines of `from_texts`. Raises ReadError beyond `MOST_BYTES`, too."""
    lines, size = [], 0
    for line in from_texts(path):
        lines.append(line)
        size += len(line) + 1
        if size > MOST_BYTES:
            raise ReadError(f"expected at most {MOST_BYTES >> 20} MiB of texts, found more in {path}; give a part")
    return lines


def _checked(lines: Iterator[bytes], name: str) -> Iterator[bytes]:
    head, size = [], 0
    for line in lines:
        head.append(line)
        size += len(line) + 1
        if size >= HEAD:
            break
    _expect_text(b"\n".join(head)[:HEAD], name)
    yield from head
    yield from lines


def _expect_text(head: bytes, name: str) -> None:
    for start, (kind, advice) in _OTHERS.items():
        if head.startswith(start):
            raise ReadError(f"expected UTF-8 text in {name}, found {kind}; {advice}")
    lost = len(_LOST.findall(head.decode("utf-8", "replace")))
    if lost > max(MOST_LOST * len(head), 32):
        raise ReadError(
            f"expected UTF-8 text in {name}, found {lost} of its first {len(head)} bytes to be none (NUL, control or"
            " another encoding); name a text file, or convert it (iconv -t UTF-8)"
        )


def message(entry: bytes) -> bytes | None:
    """The message of a line of `journalctl -o json`; None without one. A binary message is a list of bytes."""
    try:
        value = json.loads(entry).get("MESSAGE")
    except (ValueError, AttributeError):
        return None
    if isinstance(value, list) and all(isinstance(byte, int) and 0 <= byte < 256 for byte in value):
        return bytes(value)
    return value.encode("utf-8", "replace") if isinstance(value, str) else None


def from_journal(command: tuple[str, ...] = ("journalctl", "-f", "-o", "json", "-n", "0")) -> Iterator[bytes]:
    """Messages of the systemd journal as they come. Raises DependencyError without journalctl, ReadError where it
    fails."""
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except OSError as error:
        raise DependencyError(
            f"expected {command[0]}, found none ({error.strerror}); give a file or standard input"
        ) from error
    assert process.stdout is not None and process.stderr is not None
    try:
        for entry in from_stream(process.stdout):
            if (text := message(entry)) is not None:
                yield text
        said = process.stderr.read().decode("utf-8", "replace").strip().replace("\n", "; ")
        if process.wait():
            raise ReadError(f"expected the journal, found that {command[0]} ended with {process.returncode}: {said}")
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def from_file(
    path: str | os.PathLike[str],
    follow: bool = True,
    from_start: bool = False,
    wait: Callable[[float], None] = time.sleep,
) -> Iterator[bytes]:
    """Lines of a log file. follow: go on with what is appended; a file that was renamed away is read to its end (its
    writer has one more wait to leave it), then the new one from its start; a truncated one from its start. Raises
    ReadError where there is none at first, or one that cannot be read."""
    path = Path(path)
    file = _open(path)
    try:
        if follow and not from_start:
            file.seek(0, os.SEEK_END)
        part, leaving = b"", False
        while True:
            chunk = file.readline(MOST)
            part = (part + chunk)[:MOST]
            if chunk.endswith(b"\n"):
                yield part.rstrip(b"\r\n")
                part = b""
            elif not chunk:
                if not follow:
                    break
                now, then = _stat(path), os.fstat(file.fileno())
                if now is not None and (now.st_ino, now.st_dev) != (then.st_ino, then.st_dev):
                    if not leaving:
                        leaving = True
                        wait(WAIT_S)
                        continue
                    if part:
                        yield part
                    file.close()
                    file, part, leaving = _open(path), b"", False
                elif then.st_size < file.tell():
                    file.seek(0)
                    part = b""
                else:
                    wait(WAIT_S)
        if part:
            yield part
    finally:
        file.close()


def _open(path: Path) -> IO[bytes]:
    if path.exists() and not path.is_file():  # opening a pipe waits for its writer, and a device may have no end
        raise ReadError(f"expected a log file, found {path} to be no regular file; name one, or pipe it")
    try:
        return path.open("rb")
    except OSError as error:
        raise ReadError(f"expected a log file, found none at {path} ({error.strerror}); check the path") from error


def _stat(path: Path) -> os.stat_result | None:
    """Of a regular file; None while there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found if stat.S_ISREG(found.st_mode) else None
