"""What comes out of a board's serial port, and what this machine makes of the same recording."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sanderling.firmware_sim import qemu

from sanderling.boards import Board
from sanderling.errors import BoardError
from sanderling.runtime.detector import Detector
from sanderling.runtime.readers import read

BOOT_TIMEOUT_S = 240.0
LINE_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Desktop:
    """This machine's result. scores: float32, of complete patches. alarms: (first, last) samples. patch: samples."""

    scores: NDArray[np.float32]
    alarms: list[tuple[int, int]]
    patch: int


def desktop(model: Path, recording: Path) -> Desktop:
    """This machine's scores and alarms of a CSV file."""
    found = read(recording)
    stream = Detector.load(model).stream(len(found.channels))
    scores = stream.update(found.values, found.timestamps)
    return Desktop(scores, runs(scores > stream.threshold), stream.patch)


def runs(above: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """(first, last) of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], above, [False])).astype(np.int8)))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]


@dataclass
class Watched:
    """A board's lines. scores, alarming: by sample, of the detector that runs now. events: all the other lines."""

    scores: dict[int, float | None] = field(default_factory=dict)
    alarming: dict[int, bool] = field(default_factory=dict)
    events: list[dict] = field(default_factory=list)

    def take(self, line: dict) -> None:
        """Sorts in one line."""
        if "i" in line:
            self.scores[line["i"]] = line["score"]
            self.alarming[line["i"]] = line["alarm"]
            return
        self.events.append(line)
        if line.get("event") == "running":
            self.scores, self.alarming = {}, {}

    def last(self, event: str) -> str:
        """The note of the newest event of that kind; empty without one."""
        return next((line.get("note", "") for line in reversed(self.events) if line.get("event") == event), "")

    def wait_for(self, machine: qemu.Machine, event: str, timeout_s: float = BOOT_TIMEOUT_S) -> str:
        """Reads lines until the event, and returns its note. Raises BoardError when it doesn't come."""
        until = time.monotonic() + timeout_s
        while True:
            self.take(machine.event(max(until - time.monotonic(), 0.1)))
            found = self.events[-1] if self.events else {}
            if found.get("event") == "error":
                raise BoardError(f"expected the board to say '{event}', found: {found.get('note', found)}")
            if found.get("event") == event:
                return found.get("note", "")

    def feed(self, machine: qemu.Machine, recording: bytes, samples: int) -> None:
        """Sends a recording and reads lines until that many samples have their scores. Raises BoardError."""
        machine.send(b"\n" + recording)  # a port's first line may be the end of one, and isn't read
        while len(self.scores) < samples:
            self.take(machine.event(LINE_TIMEOUT_S))

    def compare(self, wanted: Desktop) -> tuple[bool, list[tuple[int, int]]]:
        """Whether every score has the desktop's bits and the alarms are the desktop's, and the board's alarms."""
        n = len(wanted.scores)
        found = [self.scores.get(i) for i in range(n)]
        values = np.array([np.nan if value is None else value for value in found], np.float64).astype(np.float32)
        alarms = runs(np.array([self.alarming.get(i, False) for i in range(n)], bool))
        nan = np.isnan(wanted.scores)
        same = np.array_equal(nan, np.isnan(values)) and np.array_equal(values[~nan], wanted.scores[~nan])
        return bool(same and alarms == wanted.alarms and len(self.scores) == n), alarms


def score_card(
    board: Board, card: Path, folder: Path, options: qemu.Options, recording: bytes, wanted: Desktop
) -> Watched:
    """Starts a board from a card, which keeps what the board writes, and feeds it. Raises BoardError.

    folder: for the emulator's files. recording: CSV, of which the samples of `wanted` are waited for.
    """
    watched = Watched()
    with qemu.Machine(qemu.command(board, card, folder, options)) as machine:
        watched.wait_for(machine, "running")
        watched.feed(machine, recording, len(wanted.scores))
    return watched
