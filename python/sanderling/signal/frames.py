"""Frames of a high-rate signal (docs/frames.md), in numpy: for tests, training data and exported graphs.

The engine does the same in C++ (csrc/model/frames.cpp) as the samples come; the results agree to float32 rounding.
Level-wise kurtosis as a sign of impacts: Dyer & Stewart 1978; the largest over the bands: Antoni & Randall 2006.
"""

from __future__ import annotations

import numpy as np

LEVELS = 5
TAPS = (0.25, 0.5, 0.25)
FEATURES = (*(f"level{level}_rms" for level in range(1, LEVELS + 1)), "smooth_rms", "kurtosis")
_LIMIT = 1e15


def frames(values: np.ndarray, samples: int) -> np.ndarray:
    """The features of every full frame.

    Args:
        values: float array (time, channels), raw samples; NaN and infinities are missing.
        samples: raw samples a frame, at least 16.

    Returns:
        float32 (time // samples, channels * len(FEATURES)), a channel's features side by side in the order of
        FEATURES; NaN for a channel of which more than half a frame is missing.
    """
    values = np.asarray(values, np.float32)
    if values.ndim != 2 or samples < 16:
        raise ValueError(
            f"expected values (time, channels) and frames of at least 16 samples, found {values.shape} and {samples}"
        )
    return Framer(values.shape[1], samples).take(values)


class Framer:
    """The same as the samples come: the cut into chunks never shows."""

    def __init__(self, channels: int, samples: int) -> None:
        self.samples = samples
        self._waiting = np.empty((0, channels), np.float32)
        self._channels = [_Channel() for _ in range(channels)]

    @property
    def pending(self) -> int:
        """Samples of the frame that is not full yet."""
        return len(self._waiting)

    def take(self, x: np.ndarray) -> np.ndarray:
        """x float32 (n, channels) -> the frames that it completes, float32 (k, channels * len(FEATURES))."""
        x = np.concatenate([self._waiting, x])
        n = len(x) // self.samples
        self._waiting = x[n * self.samples :].copy()
        cut = x[: n * self.samples].reshape(n, self.samples, len(self._channels))
        found = np.empty((n, len(self._channels), len(FEATURES)), np.float32)
        for i, c in np.ndindex(n, len(self._channels)):
            found[i, c] = self._channels[c].frame(cut[i, :, c])
        return found.reshape(n, len(self._channels) * len(FEATURES))

    def tail(self) -> np.ndarray:
        """The frame that is not full, with missing samples behind: as `take`, one row or none."""
        missing = np.full((-self.pending % self.samples, len(self._channels)), np.nan, np.float32)
        return self.take(missing)


class _Channel:
    """The filters' pasts of one channel; None where they start afresh with the next valid sample."""

    def __init__(self) -> None:
        self.pasts: list[np.ndarray] | None = None

    def frame(self, x: np.ndarray) -> np.ndarray:
        valid = np.isfinite(x)
        if 2 * valid.sum() < len(x):
            self.pasts = None
            return np.full(len(FEATURES), np.nan, np.float32)
        at = np.flatnonzero(valid)
        known = np.clip(x[at], np.float32(-_LIMIT), np.float32(_LIMIT))
        first, fresh = known[0], self.pasts is None
        if self.pasts is None:
            self.pasts = [np.full(_history(level), first, np.float32) for level in range(LEVELS)]
        # A straight line across a gap, from the past's last sample; the last valid value at the frame's end.
        grid, points = [-1, *at], [self.pasts[0][-1], *known]
        smooth = np.interp(np.arange(len(x)), grid, np.asarray(points, np.float64)).astype(np.float32)

        details, pasts, counts = [], [], valid
        for level in range(LEVELS):
            stride, past = 2**level, self.pasts[level]
            longer = np.concatenate([past, smooth])
            lower = np.zeros(len(x))
            for k, tap in enumerate(TAPS):
                start = len(past) - k * stride
                lower += tap * longer[start : start + len(x)].astype(np.float64)
            counts = _settled(valid, level, fresh)
            details.append((smooth - lower.astype(np.float32))[counts].astype(np.float64))
            pasts.append(longer[len(longer) - len(past) :])
            smooth = lower.astype(np.float32)
        self.pasts = pasts if valid[-1] else None
        return _features(details, smooth[counts].astype(np.float64))


def _history(level: int) -> int:
    return (len(TAPS) - 1) * 2**level


def _settled(valid: np.ndarray, level: int, fresh: bool) -> np.ndarray:
    """The valid samples whose filters see no gap longer than the level's stride, nor the start."""
    if valid.all() and not fresh:
        return valid
    reach = (len(TAPS) - 1) * (2 ** (level + 1) - 1)
    gap, wait = len(valid) if fresh else 0, 0
    counts = np.zeros(len(valid), bool)
    for i, ok in enumerate(valid):
        wait = max(wait - 1, 0)
        if ok and gap > 2**level:
            wait = reach
        gap = 0 if ok else gap + 1
        counts[i] = ok and wait == 0
    return counts if 2 * counts.sum() >= valid.sum() else valid


def _features(details: list[np.ndarray], smooth: np.ndarray) -> np.ndarray:
    m2 = np.array([np.mean(d**2) for d in details])
    m4 = np.array([np.mean(d**4) for d in details])
    slow = np.mean(smooth**2)
    floor = 1e-24 + 1e-8 * m2.sum() + 1e-12 * slow
    kurtosis = (m4 + 6 * m2 * floor + 3 * floor**2) / (m2 + floor) ** 2
    rms = 0.5 * np.log(np.append(m2, slow) + floor)
    return np.append(rms, np.log(kurtosis.max())).astype(np.float32)


__all__ = ["FEATURES", "LEVELS", "TAPS", "frames"]
