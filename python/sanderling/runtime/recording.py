"""A recording: values, names, times."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Recording:
    """What a reader returns.

    values: float32 (time, channels), NaN = missing. channels: one name a column. timestamps: float64 (time,)
    seconds (since 1970-01-01 UTC for dates), never falling, or None. period_s: seconds a sample, or None when
    unknown. labels: int8 (time,), 1 = anomalous, or None. path: where it was read from, or None.
    """

    values: NDArray[np.float32]
    channels: tuple[str, ...]
    timestamps: NDArray[np.float64] | None = None
    period_s: float | None = None
    labels: NDArray[np.int8] | None = None
    path: Path | None = field(default=None, compare=False)

    @property
    def samples(self) -> int:
        return self.values.shape[0]
