"""Where live samples come from: each source delivers CSV text, so that one reader makes the samples of all."""

import errno
import os
import stat
import sys
import termios
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sanderling.errors import InputError, StorageError
from sanderling.runtime.positive import is_positive_float32

_READ_BYTES = 1 << 16


class Lost(Exception):
    """The source went away; it may come back when it is opened again. The text says why, empty: it ended."""


class Ended(Exception):
    """The source has come to its end."""


class Source(ABC):
    """A file descriptor that poll() can wait for, or a time (`due`), and text."""

    returns = True  # it may come back after it was lost: a standard input may not

    def __init__(self) -> None:
        self.fd: int | None = None

    @abstractmethod
    def open(self) -> None:
        """Raises Lost when it isn't there now."""

    def read(self) -> bytes:
        """After poll() found `fd` readable, or at `due`. Raises Lost, Ended."""
        assert self.fd is not None
        try:
            data = os.read(self.fd, _READ_BYTES)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise Lost(error.strerror or str(error)) from error
        if not data:
            raise Lost("")
        return data

    def due(self) -> float | None:
        """When `read` wants to be called though the descriptor is quiet, in time.monotonic() seconds."""
        return None

    def close(self) -> None:
        if self.fd is not None and self.fd > 0:
            os.close(self.fd)
        self.fd = None


class TextSource(Source):
    """Standard input ("-"), a file, a pipe or a character device as it is."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path
        self._ends = True
        self.returns = path != "-"

    def open(self) -> None:
        self.close()
        if self._path == "-":
            if sys.stdin is None:
                raise StorageError("expected samples on standard input, found it closed; pipe or redirect them")
            self.fd = sys.stdin.fileno()
            return
        try:
            mode = os.stat(self._path).st_mode
            if stat.S_ISDIR(mode):
                raise Lost(os.strerror(errno.EISDIR))
            self._ends = stat.S_ISREG(mode)
            self.fd = self._open(stat.S_ISFIFO(mode))
        except OSError as error:
            raise Lost(error.strerror or str(error)) from error

    def _open(self, is_pipe: bool) -> int:
        flags = os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        if is_pipe:
            # Held open for writing too, a pipe doesn't end when its writer leaves.
            try:
                return os.open(self._path, os.O_RDWR | flags)
            except PermissionError:
                pass
        return os.open(self._path, os.O_RDONLY | flags)

    def read(self) -> bytes:
        try:
            return super().read()
        except Lost as lost:
            if self._ends and not str(lost):
                raise Ended from lost
            raise


class SerialSource(Source):
    """A serial port: raw bytes, 8N1, no flow control."""

    def __init__(self, path: str, speed: int, *, whole: bool) -> None:
        super().__init__()
        self._path, self._speed, self._whole = path, speed, whole
        self._skipping = False

    def open(self) -> None:
        self.close()
        try:
            self.fd = os.open(self._path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
            self._set_up(self.fd)
        except (OSError, termios.error) as error:
            self.close()
            raise Lost(os.strerror(error.args[0]) if error.args else str(error)) from error
        self._skipping = not self._whole

    def _set_up(self, fd: int) -> None:
        settings: list[Any] = termios.tcgetattr(fd)
        settings[0] &= ~(
            termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP | termios.INLCR | termios.IGNCR
            | termios.ICRNL | termios.IXON
        )
        settings[1] &= ~termios.OPOST
        # Without HUPCL, closing leaves DTR alone: a board that resets on DTR runs on while we restart.
        settings[2] &= ~(
            termios.CSIZE | termios.PARENB | termios.CSTOPB | getattr(termios, "CRTSCTS", 0) | termios.HUPCL
        )
        settings[2] |= termios.CS8 | termios.CLOCAL | termios.CREAD
        settings[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
        settings[4] = settings[5] = self._speed
        settings[6][termios.VMIN], settings[6][termios.VTIME] = 1, 0
        termios.tcsetattr(fd, termios.TCSANOW, settings)

    def read(self) -> bytes:
        try:
            data = super().read()
        except Lost as lost:
            raise Lost(str(lost) or "hung up") from lost
        if self._skipping:
            # A port opened in the middle of a line would give a wrong number.
            _, end, data = data.partition(b"\n")
            self._skipping = not end
        return data


@dataclass(frozen=True)
class Spec:
    """KIND:TARGET[,key=value...]"""

    kind: str
    target: str
    settings: dict[str, str]

    def number(self, key: str, otherwise: str) -> float:
        """A setting above 0. Raises InputError."""
        text = self.settings.get(key, otherwise)
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        if not is_positive_float32(value):
            raise InputError(f"--input: expected {key}=NUMBER above 0, found '{text[:80]}'; see docs/live.md")
        return value

    def choice(self, key: str, *names: str) -> str:
        """One of `names`, the first by default. Raises InputError."""
        name = self.settings.get(key, names[0])
        if name not in names:
            wanted = " or ".join(f"{key}={n}" for n in names)
            raise InputError(f"--input: expected {wanted}, found '{name[:40]}'; see docs/live.md")
        return name


def _make_serial(spec: Spec) -> Source:
    baud = spec.number("baud", "115200")
    whole = spec.choice("first", "drop", "keep") == "keep"
    speed = getattr(termios, f"B{baud:.0f}", None)
    if speed is None or baud != int(baud) or baud < 1200:
        raise InputError(
            "--input: expected one of the usual rates from 1200 to 4000000 as baud, "
            f"found {baud:.10g}; set the sender to one"
        )
    return SerialSource(spec.target, speed, whole=whole)


def _make_iio(spec: Spec) -> Source:
    from sanderling.live.iio import make_iio

    return make_iio(spec)


_KINDS: dict[str, tuple[tuple[str, ...], Callable[[Spec], Source]]] = {
    "serial": (("baud", "first"), _make_serial),
    "iio": (("rate", "mode", "channels", "trigger", "length", "root"), _make_iio),
}


def is_live(text: str) -> bool:
    """Whether an input is a source that doesn't end by itself."""
    return text.partition(":")[0] in (*_KINDS, "mqtt", "mqtts") and ":" in text


def make_source(text: str, ca: Path | None = None) -> Source:
    """The source that `text` names: -, a path, serial:..., iio:..., mqtt://...; ca: PEM file for mqtts://.

    Raises InputError, DependencyError.
    """
    kind, _, rest = text.partition(":")
    if not is_live(text):
        return TextSource(text)
    if kind not in _KINDS:
        from sanderling.live.mqtt_source import MqttSource

        return MqttSource(text, ca)
    keys, make = _KINDS[kind]
    target, *items = rest.split(",")
    if not target:
        raise InputError(f"--input: expected a device after the colon, found '{text[:80]}'; see docs/live.md")
    settings = {}
    for item in items:
        key, _, value = item.partition("=")
        if key not in keys or not value:
            raise InputError(
                f"--input: expected settings key=value with a key of {','.join(keys)}, found '{item[:80]}'; "
                "see docs/live.md"
            )
        settings[key] = value
    return make(Spec(kind, target, settings))
