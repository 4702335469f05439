"""The samples that every row gets: a reference to calibrate on, windows to check and to time.

A sum of two periods with noise, and anomalies in a third of the windows, so that the scores have an order to agree on.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .entries import WINDOW_SAMPLES

REFERENCE = 4096  # samples: 512 metric rows a head, 4,033 raw rows
SEED = 20
_Float32 = NDArray[np.float32]


def make(windows: int, seed: int = SEED) -> tuple[_Float32, _Float32]:
    """reference (4096,), raw windows (windows, 512); the same bytes for the same count and seed."""
    rng = np.random.default_rng(seed)
    t = np.arange(REFERENCE + windows * WINDOW_SAMPLES)
    x = np.sin(t / 7.3) + 0.4 * np.sin(t / 31 + 0.5) + 0.05 * rng.standard_normal(t.size)
    live = x[REFERENCE:].reshape(windows, WINDOW_SAMPLES)
    for i in range(0, windows, 3):
        at, length = rng.integers(64, WINDOW_SAMPLES - 96), rng.integers(4, 64)
        live[i, at : at + length] += rng.choice((-3.0, -1.0, 1.0, 3.0))
        live[i, at + 96 :] *= rng.uniform(0.7, 1.5)
    return x[:REFERENCE].astype(np.float32), live.astype(np.float32)


def scaled(raw: _Float32, location: float, spread: float, clip: float) -> _Float32:
    """What the engine makes of raw samples first (docs/model.md, section 2), bit for bit."""
    x = (raw - np.float32(location)) / np.float32(spread)
    return np.clip(x, np.float32(-clip), np.float32(clip))


def scaling_of(native: Path) -> tuple[float, float, float]:
    """location, spread, clip of a calibrated file of one channel."""
    from sanderling.extras import require

    reader = require("gguf", "bench").GGUFReader(native)
    values = {t.name: t.data for t in reader.tensors if t.name in ("cal.location", "cal.spread")}
    clip = reader.get_field("sanderling.clip").contents()
    return float(values["cal.location"][0]), float(values["cal.spread"][0]), float(clip)
