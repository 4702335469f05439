"""Generated recordings, as arrays and as the CSV text that brings back the same float32 values."""

import numpy as np
from numpy.typing import NDArray

COLD = 512  # samples a model without calibration learns from


def recording(samples: int, channels: int, seed: int = 3) -> NDArray[np.float32]:
    """Waves and noise, a step at three quarters, short and long gaps and an infinity."""
    rng = np.random.default_rng(seed)
    time = np.arange(samples)[:, None]
    x = np.sin(time / (5.0 + np.arange(channels))) * 3 + rng.normal(0, 0.3, (samples, channels))
    x[samples * 3 // 4 : samples * 3 // 4 + 24] += 12.0
    x[samples // 3, :] = np.nan
    x[samples // 2, 0] = np.inf
    x[samples // 4 : samples // 4 + 50, channels - 1] = np.nan
    return x.astype(np.float32)


def to_csv(x: NDArray[np.float32], times: list[str] | None = None) -> str:
    """9 significant digits bring a float32 back; NaN is an empty cell, quoted where the line would be blank."""
    empty = '""' if x.shape[1] == 1 and not times else ""
    names = [f"c{i}" for i in range(x.shape[1])]
    lines = [",".join((["time"] if times else []) + names)]
    for i, row in enumerate(x):
        cells = [empty if np.isnan(v) else f"{v:.9g}" for v in row]
        lines.append(",".join(([times[i]] if times else []) + cells))
    return "\n".join(lines) + "\n"
