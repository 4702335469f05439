"""One file an engine: `prepare` writes the files that it loads, `load` opens them with the engine's best settings.

    prepare(native: Path, variant: str, folder: Path) -> Path     untimed, in a process of its own
    load(path: Path, variant: str, isa: str) -> Session           timed as the engine's load time

`path` is what `prepare` returned. Everything runs on one thread.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


class Session(Protocol):
    """An open engine. Samples are float32: scaled for the peers, raw for the native engine, which scales them."""

    takes_raw: bool

    def settings(self) -> dict[str, str]:
        """What was set, and the versions, for the record."""

    def window(self, x: Float32) -> Float32:
        """Samples (512,) -> scores (64,), from a fresh state or, in the native engine, going on."""

    def fresh_window(self, x: Float32) -> Float32:
        """The same from a fresh state: what is checked."""

    def reset(self) -> None:
        """A fresh state for `step`."""

    def step(self, x: Float32) -> float:
        """Samples (8,) -> the score of the patch."""
