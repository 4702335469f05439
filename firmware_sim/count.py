"""Instructions of one patch on an emulated board, kernel and CSV included, and the same at every run.

A board without a card starts, runs the detector over a short and a long recording in a control group each, and tells
the groups' processor time: with `-icount shift=0` a nanosecond is an instruction. The difference is patches alone. It
is a count, not a time: the emulator has no caches and every instruction costs the same.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from sanderling.export import bundle
from sanderling.firmware_sim import initramfs, qemu

from sanderling.boards import Board
from sanderling.errors import InputError

PATCHES = (16, 80)  # of the two recordings
TIMEOUT_S = 240.0
SCRIPT = """\
mkdir -p /run/cgroup
mount -t cgroup2 none /run/cgroup
for name in short long; do
  mkdir /run/cgroup/$name
  run="exec /sim/run --scores-bin /dev/null /sim/model.gguf"
  sh -c "echo 0 >/run/cgroup/$name/cgroup.procs; $run </sim/$name.csv >/dev/null"
  read -r key value </run/cgroup/$name/cpu.stat
  say "count $name" "$value"
done
sleep 1000
"""


def enough(recording: bytes, patch: int) -> bool:
    """Whether a CSV with a row of names is long enough to be counted on."""
    return len(recording.splitlines()) > PATCHES[1] * patch


def instructions_per_patch(board: Board, image: Path, carried: bundle.Bundle, recording: bytes, patch: int) -> int:
    """The count, for a patch of all channels.

    Args:
        board: a profile that images are for.
        image: whose kernel and initramfs start; no card is there.
        carried: runner and model.
        recording: CSV with a row of names and at least 80 patches.
        patch: samples a patch.

    Raises:
        InputError: the recording is too short.
        BoardError: the board did not start.
    """
    if not enough(recording, patch):
        raise InputError(f"expected a row of names and at least {PATCHES[1] * patch} samples to count on, found fewer")
    lines = recording.splitlines(keepends=True)
    files = {
        "sim/start.sh": (SCRIPT.encode(), initramfs.FILE),
        "sim/run": (carried.parts[bundle.RUNNER], initramfs.PROGRAM),
        "sim/model.gguf": (carried.parts[bundle.MODEL], initramfs.FILE),
    }
    for name, patches in zip(("short", "long"), PATCHES, strict=True):
        files[f"sim/{name}.csv"] = (b"".join(lines[: 1 + patches * patch]), initramfs.FILE)
    found: dict[str, int] = {}
    with tempfile.TemporaryDirectory(prefix="sanderling-count-") as scratch:
        options = qemu.Options(initramfs=initramfs.archive(files, ("sim",)), counting=True)
        with qemu.Machine(qemu.command(board, image, Path(scratch), options)) as machine:
            while len(found) < 2:
                event = machine.event(TIMEOUT_S)
                found[event["event"].split()[-1]] = int(event["note"])
    return round((found["long"] - found["short"]) * 1000 / (PATCHES[1] - PATCHES[0]))
