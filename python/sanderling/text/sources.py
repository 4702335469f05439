"""Live lines: the journal, a syslog file that rotates, standard input. Bytes in, bytes out; a line is at most `MOST`
bytes."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from sanderling.errors import DependencyError, ReadError

MOST = 1 << 20
WAIT_S = 0.5


def from_stream(stream: IO[bytes]) -> Iterator[bytes]:
    """Lines without their end; what goes beyond `MOST` bytes of one is left out."""
    while line := stream.readline(MOST):
        whole = line.endswith(b"\n")
        yield line.rstrip(b"\r\n")
        while not whole and (rest := stream.readline(MOST)):
            whole = rest.endswith(b"\n")


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
    """Lines of a log file. follow: go on with what is appended; a file that was renamed away is read to its end, then
    the
    new one from its start; a truncated one from its start. Raises ReadError where there is none at first."""
    path = Path(path)
    try:
        file = path.open("rb")
    except OSError as error:
        raise ReadError(f"expected a log file, found none at {path} ({error.strerror}); check the path") from error
    try:
        if follow and not from_start:
            file.seek(0, os.SEEK_END)
        part = b""
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
                    if part:
                        yield part
                    file.close()
                    file, part = path.open("rb"), b""
                elif then.st_size < file.tell():
                    file.seek(0)
                    part = b""
                else:
                    wait(WAIT_S)
        if part:
            yield part
    finally:
        file.close()


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None
