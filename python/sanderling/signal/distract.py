"""Distractors: rare behaviour that is normal because the clean prefix shows it too. Unlabelled."""

from __future__ import annotations

import numpy as np

from .blocks import Rng, log_uniform, smooth_noise
from .inject import measure

IN_PREFIX = (2, 5)  # how often at least and at most (exclusive) in the prefix
AFTER = (1, 5)


def _motif(rng: Rng, spread: float, floor: float) -> tuple[np.ndarray, bool]:
    """A shape (k,) and whether it replaces the signal (a dropout) or is added to it."""
    size = spread * log_uniform(rng, 1.0, 8.0) * rng.choice([-1.0, 1.0])
    kind = rng.integers(5)
    if kind == 0:
        return np.full(int(rng.integers(1, 3)), size), False
    length = int(log_uniform(rng, 4.0, 60.0))
    if kind == 1:
        return np.full(length, floor), True
    u = np.linspace(0.0, 1.0, length)
    if kind == 2:
        return size * np.sin(np.pi * u), False
    if kind == 3:
        return size * np.exp(-4.0 * u), False
    return 0.5 * size * smooth_noise(rng, length, 3.0), False


def distract(rng: Rng, x: np.ndarray, prefix: int) -> np.ndarray:
    """Put one motif at two or more places in the prefix of x (time, channels) and some after it.

    One random channel gets it; heights vary a little from place to place. Returns a new array.
    """
    time, channels = x.shape
    channel = int(rng.integers(channels))
    y = x.copy()
    spread, _ = measure(x[:prefix, channel].astype(np.float64))
    shape, replaces = _motif(rng, spread, float(x[:prefix, channel].min()))
    span = len(shape)
    places = np.concatenate(
        [
            rng.integers(0, prefix - span, int(rng.integers(*IN_PREFIX))),
            rng.integers(prefix, time - span, int(rng.integers(*AFTER))),
        ]
    )
    for at in places:
        piece = slice(at, at + span)
        height = 1.0 + 0.1 * rng.standard_normal()
        y[piece, channel] = shape if replaces else y[piece, channel] + shape * height
    return y
