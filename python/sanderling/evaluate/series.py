"""What every reader yields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

NO_SPLIT = -1

# keep(set name, series name) -> False skips a series before its values are unpacked.
Keep = Callable[[str, str], bool]


@dataclass(frozen=True)
class Series:
    """One recording: x (time, channels) float32, NaN = missing; labels (time,) uint8 of 0 and 1, or None.

    train_end: first sample of the test part, -1 where there is no split. period_s: seconds a sample, NaN = unknown.
    """

    set_name: str
    name: str
    x: np.ndarray
    labels: np.ndarray | None
    train_end: int = NO_SPLIT
    period_s: float = float("nan")
