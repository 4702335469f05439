"""Cleaning, imputation and scaling of a recording (docs/model.md, sections 1 and 2), in numpy.

The engine does the same in C++; these functions serve the trainer and the INT8 reference.
"""

from __future__ import annotations

from typing import Any

import numpy as np

CLIP = 20.0
SQUASH = 8.0


def clean(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fill missing samples from the past.

    Args:
        values: float array (time, channels); NaN and infinities are missing.

    Returns:
        filled (time, channels) float32: each missing sample has the last valid value of its channel
        (NaN before the channel's first valid sample), and valid (time, channels) bool.
    """
    values = np.asarray(values, dtype=np.float32)
    valid = np.isfinite(values)
    if valid.all():
        return values, valid
    rows = np.where(valid, np.arange(len(values))[:, None], -1)
    last = np.maximum.accumulate(rows, axis=0)
    filled = np.take_along_axis(values, np.maximum(last, 0), axis=0)
    return np.where(last >= 0, filled, np.float32(np.nan)).astype(np.float32), valid


def gap_mask(valid: np.ndarray, max_gap: int) -> np.ndarray:
    """Samples whose score is NaN: beyond `max_gap` in a run of missing ones, or before any valid one.

    Args:
        valid: bool (time, channels).
        max_gap: longest run of missing samples that is filled, in samples.
    """
    steps = np.arange(len(valid))[:, None]
    last = np.maximum.accumulate(np.where(valid, steps, -1), axis=0)
    return ~valid & ((steps - last > max_gap) | (last < 0))


def whole_windows(missing: np.ndarray, warm: int, patch: int = 8, window: int = 64) -> np.ndarray:
    """Tokens from `warm` on that count in a calibration's tail and threshold (docs/model.md, section 8, step 5).

    Args:
        missing: bool (samples,); a token's raw window, the `window` samples that end with it, must hold none.

    Returns:
        bool (tokens - warm,); all True where fewer than half would be.
    """
    steps = np.arange(len(missing))
    last = np.maximum.accumulate(np.where(missing, steps, -window))
    ends = np.arange(1, len(missing) // patch + 1) * patch - 1
    whole = (ends - last[ends] >= window)[warm:]
    return whole if 2 * whole.sum() >= len(whole) else np.ones_like(whole)


def lower_median(values: np.ndarray) -> np.float32:
    """Element (n - 1) // 2 of the sorted values; no averaging, so that every engine agrees."""
    middle = (len(values) - 1) // 2
    return np.partition(values, middle)[middle]


def fit_scale(values: np.ndarray, method: str = "robust") -> tuple[np.ndarray, np.ndarray]:
    """Location and spread per channel of a reference part.

    Args:
        values: float32 (time, channels); NaN and infinities are left out.
        method: "robust" (median, 1.4826 MAD) or "standard" (mean, population deviation).

    Returns:
        location, spread: float32 (channels,), spread > 0.
    """
    if method not in ("robust", "standard"):
        raise ValueError(f"scaling: expected 'robust' or 'standard', found {method!r}")
    channels = values.shape[1]
    location = np.zeros(channels, np.float32)
    spread = np.ones(channels, np.float32)
    for c in range(channels):
        v = np.asarray(values[:, c], np.float32)
        v = v[np.isfinite(v)]
        if not len(v):
            continue
        # cumsum adds in sample order; np.sum adds pairwise, which the engine does not.
        mean = np.cumsum(v, dtype=np.float64)[-1] / len(v)
        square = np.cumsum((v.astype(np.float64) - mean) ** 2)[-1]
        deviation = np.float32(np.sqrt(square / len(v)))
        if method == "robust":
            location[c] = lower_median(v)
            spread[c] = np.float32(1.4826) * lower_median(np.abs(v - location[c]))
        else:
            location[c] = np.float32(mean)
            spread[c] = deviation
        floor = max(np.float32(1e-3) * abs(location[c]), np.float32(1e-5) * deviation)
        if spread[c] < floor:
            spread[c] = deviation
        # What float32 still resolves at that location is a signal: 50 Hz +- 0.01, pressure in pascals, picoamperes.
        if spread[c] < max(np.float32(5e-7) * abs(location[c]), np.float32(1e-30)):
            spread[c] = max(floor, np.float32(1e-3))
    return location, spread


def apply_scale(
    filled: np.ndarray, location: np.ndarray, spread: np.ndarray, clip: float = CLIP
) -> np.ndarray:
    """Scale a cleaned recording: (filled - location) / spread, clipped; NaN (no past) becomes 0.

    Args:
        filled: float32 (time, channels) from `clean`.
        location, spread: float32 (channels,).
    """
    with np.errstate(over="ignore", invalid="ignore"):
        x = (filled - location) / spread
    return np.clip(np.where(np.isnan(filled), np.float32(0), x), -clip, clip).astype(np.float32)


def squash(x: Any) -> Any:
    """x / (1 + |x| / 8): bounds a scaled sample by 5.72 and keeps its order (numpy or torch)."""
    return x / (1 + abs(x) / SQUASH)


def unsquash(y: Any) -> Any:
    """The inverse of `squash`, for |y| < 8."""
    return y / (1 - abs(y) / SQUASH)


def voices(values: np.ndarray) -> np.ndarray:
    """Which channels of a reference part speak in the mean over channels (docs/model.md section 8, step 1).

    A channel of at most two values is a switch: it says what somebody set, not what a sensor felt.

    Args:
        values: float (time, channels); NaN and infinities are left out.

    Returns:
        float32 (channels,): 0 for switches, 1 for the others, and 1 for all where all are switches.
    """
    voice = np.array([len(np.unique(v[np.isfinite(v)])) > 2 for v in np.asarray(values, np.float32).T], np.float32)
    return voice if voice.any() else np.ones_like(voice)
