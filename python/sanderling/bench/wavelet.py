"""The decimated transform beside PyWavelets' `wavedec`: db4, 3 levels, symmetric, float32, numpy in and out."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from .process import is_installed

# samples, channels (transformed along time), turns' calls
SIZES = ((512, 1, 200), (65536, 32, 1))
TOLERANCE = 1e-5  # of the coefficients' largest


def compare(rounds: int) -> list[dict[str, Any]] | str:
    """A row a size, or why there is none."""
    if not is_installed("pywt"):
        return "the package PyWavelets is not installed"
    import pywt

    from sanderling.signal.dwt import wavedec

    rng = np.random.default_rng(3)
    found = []
    for samples, channels, calls in SIZES:
        x = rng.standard_normal((samples, channels) if channels > 1 else samples).astype(np.float32)
        engines = {"native": wavedec, "pywavelets": pywt.wavedec}
        answers = {name: call(x, "db4", mode="symmetric", level=3, axis=0) for name, call in engines.items()}
        times: dict[str, list[float]] = {name: [] for name in engines}
        for _ in range(rounds):
            for name, call in engines.items():
                begin = time.perf_counter_ns()
                for _ in range(calls):
                    call(x, "db4", mode="symmetric", level=3, axis=0)
                times[name].append((time.perf_counter_ns() - begin) / calls / 1e3)
        median = {name: round(float(np.median(taken)), 3) for name, taken in times.items()}
        pairs = list(zip(*answers.values(), strict=True))
        equal = all(a.shape == b.shape and np.abs(a - b).max() <= TOLERANCE * np.abs(b).max() for a, b in pairs)
        found.append(
            {
                "samples": samples,
                "channels": channels,
                "native_us": median["native"],
                "pywavelets_us": median["pywavelets"],
                "ratio": round(median["pywavelets"] / median["native"], 3),
                "checked": bool(equal),
            }
        )
    return found
