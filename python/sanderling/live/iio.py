"""A Linux IIO device as a source (Documentation/ABI/testing/sysfs-bus-iio); csrc/tool/iio.cpp follows the same rules.

A channel's value is (raw + offset) * scale in float64, in the ABI's units (m/s^2, rad/s, mV, ...).
"""

import errno
import math
import os
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path

from sanderling.errors import InputError
from sanderling.live.source import Lost, Source, Spec

_TYPE = re.compile(r"([lb])e:([su])([0-9]{1,3})/(8|16|32|64)>>([0-9]{1,3})")
_GONE = (errno.ENOENT, errno.ENODEV, errno.ENXIO)
_MAX_RATE = 1e5


@dataclass(frozen=True)
class Layout:
    """Where a channel lies in a scan: bytes and bits, from scan_elements/in_NAME_type and _index."""

    index: int
    size: int
    bits: int
    shift: int
    signed: bool
    order: str
    at: int = 0

    def value(self, scan: bytes) -> int:
        """The raw value in a scan."""
        word = int.from_bytes(scan[self.at : self.at + self.size], "big" if self.order == "b" else "little")
        word = word >> self.shift & (1 << self.bits) - 1
        return word - (word >> self.bits - 1 << self.bits) if self.signed else word


@dataclass(frozen=True)
class Channel:
    """One input channel: `name` of in_NAME_raw, the file that holds its value, and its place in a scan."""

    name: str
    file: str
    scale: float = 1.0
    offset: float = 0.0
    layout: Layout | None = None


def parse_type(text: str, index: int) -> Layout | None:
    """`le:s12/16>>4`; None for what isn't of that form, repeated elements included."""
    match = _TYPE.fullmatch(text.strip())
    if match is None:
        return None
    order, sign, bits, storage, shift = match[1], match[2], *map(int, match.group(3, 4, 5))
    if bits == 0 or bits + shift > storage:
        return None
    return Layout(index, storage // 8, bits, shift, sign == "s", order)


def _read(path: Path) -> str:
    with path.open("rb", buffering=0) as file:
        return (file.read(4096) or b"").decode("latin-1").strip(" \n\0")


def _read_number(path: Path) -> float | None:
    try:
        value = float(_read(path))
    except (OSError, ValueError):
        return None
    return value if math.isfinite(value) else None


class IioSource(Source):
    """What both ways of reading share: the device's folder, its channels, values as CSV text."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self._target = spec.target
        self._root = spec.settings.get("root", "")
        self._wanted = [name for name in spec.settings.get("channels", "").split("+") if name]
        self._rate = spec.number("rate", "1") if "rate" in spec.settings else 0.0
        self._trigger = spec.settings.get("trigger", "")
        self._length = spec.settings.get("length", "128")
        spec.number("length", "128")
        self._folder = Path()
        self._channels: list[Channel] = []
        self._header = b""  # goes out before the first sample of a connection

    def _find(self, *, scan: bool) -> None:
        self.close()
        devices = Path(f"{self._root}/sys/bus/iio/devices")
        try:
            entries = sorted(entry for entry in os.listdir(devices) if entry.startswith("iio:device"))
        except OSError:
            entries = []
        for entry in entries:
            if entry == self._target or self._is_named(devices / entry):
                self._folder = devices / entry
                break
        else:
            raise Lost(f"no device {self._target} in {devices}")
        self._channels = self._list_channels(scan=scan)
        self._header = (",".join(channel.name for channel in self._channels) + "\n").encode()

    def _is_named(self, folder: Path) -> bool:
        try:
            return _read(folder / "name") == self._target
        except OSError:
            return False

    def _list_channels(self, *, scan: bool) -> list[Channel]:
        place = self._folder / "scan_elements" if scan else self._folder
        found: dict[str, str] = {}
        files = sorted(os.listdir(place)) if place.is_dir() else []
        for tail in ("_en",) if scan else ("_raw", "_input"):
            for file in files:
                name = file.removeprefix("in_").removesuffix(tail)
                if file == f"in_{name}{tail}" and name and name != "timestamp":
                    found.setdefault(name, file)
        order = self._wanted or sorted(found)
        if not 0 < len(order) <= 1024:
            raise Lost(f"no usable channels in {place}")
        missing = [name for name in order if name not in found]
        if missing:
            raise Lost(f"no channel {missing[0]} in {place}")
        return [self._channel(name, found[name], place if scan else None) for name in order]

    def _channel(self, name: str, file: str, scan: Path | None) -> Channel:
        layout = self._layout(name, scan) if scan is not None else None
        if file.endswith("_input"):
            return Channel(name, file)
        scale, offset = self._shared(name, "scale", 1.0), self._shared(name, "offset", 0.0)
        return Channel(name, file, scale, offset, layout)

    def _shared(self, name: str, what: str, otherwise: float) -> float:
        """A scale or offset may belong to the channel, its type or the device; the nearest counts."""
        kind = re.split(r"[0-9_]", name)[0]
        owners = (f"in_{name}_", f"in_{re.sub('[0-9]', '', name)}_", f"in_{kind}_", "in_", "")
        values = (_read_number(self._folder / f"{owner}{what}") for owner in owners)
        return next((value for value in values if value is not None), otherwise)

    def _layout(self, name: str, scan: Path) -> Layout:
        index = _read_number(scan / f"in_{name}_index")
        try:
            layout = None if index is None else parse_type(_read(scan / f"in_{name}_type"), int(index))
        except OSError:
            layout = None
        if layout is None:
            raise Lost(f"no usable type and index of {name} in {scan}")
        return layout


class PolledIio(IioSource):
    """One sample a period, through the device's attributes. A tick that finds the program busy gives no sample."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self._period = self._next = 0.0
        self._is_open = False

    def open(self) -> None:
        self._find(scan=False)
        kind = re.split(r"[0-9_]", self._channels[0].name)[0]
        rates = (_read_number(self._folder / f) for f in ("sampling_frequency", f"in_{kind}_sampling_frequency"))
        rate = self._rate or next((r for r in rates if r), 0.0)
        if not 0 < rate <= _MAX_RATE:
            raise Lost("no sampling_frequency of at most 100 kHz; add rate=HZ")
        self._period = 1.0 / rate
        self._next = time.monotonic() + self._period
        self._is_open = True

    def due(self) -> float | None:
        return self._next if self._is_open else None

    def read(self) -> bytes:
        now = time.monotonic()
        if now < self._next:
            return b""
        self._next += self._period * max(1, math.ceil((now - self._next) / self._period))
        line = ",".join(repr(self._sample(channel)) for channel in self._channels) + "\n"
        header, self._header = self._header, b""
        return header + line.encode()

    def _sample(self, channel: Channel) -> float:
        try:
            raw = float(_read(self._folder / channel.file))
        except OSError as error:
            # A device that is gone says so; anything else is one sample that its bus has lost.
            if error.errno in _GONE:
                raise Lost(error.strerror) from error
            raw = math.nan
        except ValueError:
            raw = math.nan
        return (raw + channel.offset) * channel.scale

    def close(self) -> None:
        super().close()
        self._is_open = False


class BufferedIio(IioSource):
    """The scans that the kernel's buffer hands out."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self._held = b""  # a scan that the last read cut
        self._size = 0
        self._ours = False

    def open(self) -> None:
        self._find(scan=True)
        self._start()
        self._size = self._lay_out()
        device = Path(f"{self._root}/dev/{self._folder.name}")
        try:
            self.fd = os.open(device, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            self.close()
            raise Lost(f"{device}: {error.strerror}") from error
        self._held = b""

    def _start(self) -> None:
        """A buffer that runs already was set up by somebody else, for a service that may not write to sysfs: it is read
        as it is."""
        if _read_number(self._folder / "buffer" / "enable") == 1:
            return
        values = {f"scan_elements/in_{channel.name}_en": "1" for channel in self._channels}
        values |= {"trigger/current_trigger": self._trigger, "buffer/length": self._length}
        values |= {"sampling_frequency": f"{self._rate:.10g}" if self._rate else "", "buffer/enable": "1"}
        for file, value in values.items():
            try:
                if value:
                    (self._folder / file).write_text(value)
            except OSError as error:
                raise Lost(f"{self._folder / file}: {error.strerror}") from error
        self._ours = True

    def _lay_out(self) -> int:
        """Places the channels that are switched on (a timestamp too) as the kernel packs them: in the order of their
        index, each at a multiple of its size. Returns the bytes of a scan."""
        scan = self._folder / "scan_elements"
        names = [f[3:-3] for f in sorted(os.listdir(scan)) if f.startswith("in_") and f.endswith("_en")]
        on = {name: self._layout(name, scan) for name in names if _read_number(scan / f"in_{name}_en")}
        size, widest, at = 0, 1, {}
        for name, layout in sorted(on.items(), key=lambda item: item[1].index):
            at[name] = size = -(-size // layout.size) * layout.size
            size += layout.size
            widest = max(widest, layout.size)
        missing = [channel.name for channel in self._channels if channel.name not in at]
        if missing:
            raise Lost(f"channel {missing[0]} is not switched on in {scan}")
        self._channels = [replace(c, layout=replace(on[c.name], at=at[c.name])) for c in self._channels]
        return -(-size // widest) * widest

    def read(self) -> bytes:
        try:
            self._held += super().read()
        except Lost as lost:
            raise Lost(str(lost) or "the buffer ended") from lost
        whole = len(self._held) // self._size * self._size
        scans, self._held = self._held[:whole], self._held[whole:]
        lines = [self._line(scans[at : at + self._size]) for at in range(0, whole, self._size)]
        header = b""
        if lines:
            header, self._header = self._header, b""
        return header + "".join(lines).encode()

    def _line(self, scan: bytes) -> str:
        values = [(float(c.layout.value(scan)) + c.offset) * c.scale for c in self._channels if c.layout is not None]
        return ",".join(map(repr, values)) + "\n"

    def close(self) -> None:
        super().close()
        if self._ours:
            try:
                (self._folder / "buffer" / "enable").write_text("0")
            except OSError:
                pass  # the device is gone, and its buffer with it
        self._ours = False


def make_iio(spec: Spec) -> Source:
    """The source of an `iio:` input. Raises InputError."""
    if not spec.target:
        raise InputError("--input: expected iio:DEVICE, found no device; see docs/live.md")
    return BufferedIio(spec) if spec.choice("mode", "poll", "buffer") == "buffer" else PolledIio(spec)
