"""The engine of this package, through what a user calls."""

from __future__ import annotations

from pathlib import Path

from sanderling.bench.entries import PATCH
from sanderling.bench.peers import Float32
from sanderling.runtime.detector import Detector


def prepare(native: Path, variant: str, folder: Path) -> Path:
    return native


class NativeSession:
    """`Stream.update` on a calibrated file: raw samples in, cleaned and scaled inside.

    A window is timed on a stream that is open, as a peer's session is: the same work whatever came before.
    """

    takes_raw = True

    def __init__(self, path: Path, isa: str) -> None:
        self._detector = Detector.load(path, isa=isa)
        self._window = self._detector.stream()
        self.reset()

    def settings(self) -> dict[str, str]:
        return {"isa": self._detector.isa}

    def window(self, x: Float32) -> Float32:
        return self._window.update(x)[::PATCH]

    def fresh_window(self, x: Float32) -> Float32:
        return self._detector.decision_function(x)[::PATCH]

    def reset(self) -> None:
        self._step = self._detector.stream()

    def step(self, x: Float32) -> float:
        return float(self._step.update(x)[0])


def load(path: Path, variant: str, isa: str) -> NativeSession:
    return NativeSession(path, isa)
