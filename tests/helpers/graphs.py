"""Signals with something to find, for tests of exported graphs."""

from __future__ import annotations

import numpy as np


def recording(samples: int = 1500, channels: int = 3, seed: int = 0) -> np.ndarray:
    """float32 (samples, channels): waves and walks, with a jump, a slow part and a long gap in the last third."""
    rng = np.random.default_rng(seed)
    t = np.arange(samples)
    waves = [np.sin(t / (5 + 6 * c)) + 0.1 * rng.standard_normal(samples) for c in range(channels)]
    x = np.stack(waves, axis=1)
    x[:, -1] += np.cumsum(rng.standard_normal(samples)) * 0.05
    start = samples * 2 // 3
    x[start : start + 30, 0] += 3
    x[start + 100 : start + 140, -1] = x[start + 100, -1]
    if channels > 1:
        x[start + 200 : start + 260, 1] = np.nan
    return x.astype(np.float32)
