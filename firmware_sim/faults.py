"""What may happen to a card and to a sensor, done to a copy of an image or to the samples."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sanderling.firmware_sim import image

MIB = 1 << 20
DATA_START = image.BOOT_START + image.BOOT_MIB * MIB


def _same(raw: bytes) -> bytes:
    return raw


def _nothing(card: Path) -> None:
    return None


@dataclass(frozen=True)
class Fault:
    """What to do, and when.

    what: one line for --help. card: changes the image, in place. samples: changes the recording's CSV. script: shell,
    run by the board's init before it mounts the card. stall: the sensor is silent in the middle of the recording.
    says: an event that the board must tell of, or "". clock: the board's date.
    """

    what: str
    card: Callable[[Path], None] = _nothing
    samples: Callable[[bytes], bytes] = _same
    script: str = ""
    stall: bool = False
    says: str = ""
    clock: str = "1970-01-01"


def flip_bits(card: Path, start: int, size: int, flips: int, seed: int = 1) -> None:
    """Flips single bits at seeded places of a range of bytes that hold anything but zeros."""
    rng = random.Random(seed)
    with card.open("r+b") as file:
        done = 0
        while done < flips:
            at = start + rng.randrange(size)
            file.seek(at)
            (byte,) = file.read(1)
            if byte:
                file.seek(at)
                file.write(bytes([byte ^ (1 << rng.randrange(8))]))
                done += 1


def _zero(card: Path, start: int, size: int) -> None:
    with card.open("r+b") as file:
        file.seek(start)
        file.write(bytes(size))


def _erase_data(card: Path) -> None:
    size = card.stat().st_size
    with card.open("r+b") as file:
        file.truncate(DATA_START)
        file.truncate(size)


NO_BOOT = "mount() { case $* in *vfat*) return 1 ;; *) busybox mount \"$@\" ;; esac; }"
STALL = 'EXTRA="$EXTRA --stall 2"'
# A program of that name that never says that it lives, once.
HUNG = """\
LIMIT=2
confirm_when_healthy() {
  [ -e /run/hung ] && return
  touch /run/hung
  usleep 300000
  for process in $(pidof sanderling-run); do
    grep -q guard "/proc/$process/cmdline" || kill -STOP "$process"
  done
}
"""
# The board's own mount, and then everything that is free is taken.
FULL = """\
mount_data() {
  mount -t ext4 "${CARD}2" /data
  while dd if=/dev/zero bs=64k count=64 >>/data/fill; do :; done 2>/dev/null
  true
}
"""


def _missing_values(raw: bytes) -> bytes:
    """Every seventh sample is NaN, and a stretch of 40 is empty: a sensor that answers, but says nothing."""
    lines = raw.splitlines()
    width = lines[0].count(b",") + 1
    for i in range(1, len(lines)):
        if i % 7 == 0 or 200 <= i < 240:
            lines[i] = b",".join([b"nan"] * width)
    return b"\n".join(lines) + b"\n"


# Every one of them must end with the desktop's scores for what was sent: a detector runs, whatever the card has lost.
FAULTS = {
    "none": Fault("an image as it was made"),
    "data-superblock": Fault("the data partition's first 64 KiB are gone", lambda c: _zero(c, DATA_START, 1 << 16)),
    "data-lost": Fault("nothing is left of the data partition", _erase_data, says="data"),
    "data-bit-flips": Fault(
        "200 bits of the data partition's tables are flipped", lambda c: flip_bits(c, DATA_START, MIB, 200)
    ),
    "boot-unreadable": Fault("the boot partition is gone once the kernel runs", script=NO_BOOT, says="settings"),
    "full-disk": Fault("no byte is free on the data partition", script=FULL, says="data"),
    "sensor-stall": Fault("the sensor stops in the middle, and goes on", script=STALL, stall=True, says="stall"),
    "clock-2099": Fault("the board's clock is far ahead", clock="2099-12-31"),
    "hung-detector": Fault("the detector hangs at its first start", script=HUNG, says="stopped"),
    "missing-values": Fault("the sensor says NaN now and then, and for 40 samples", samples=_missing_values),
}


def copy(source: Path, target: Path) -> Path:
    """A copy of an image with its holes."""
    with source.open("rb") as reading, target.open("wb") as writing:
        for block in iter(lambda: reading.read(MIB), b""):
            if block.strip(b"\0"):
                writing.write(block)
            else:
                writing.seek(len(block), 1)
        writing.truncate(source.stat().st_size)
    return target
