"""Whether a row's scores are the native ones, within its bound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .entries import Bound

_Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Agreement:
    """spearman: rank correlation; difference: the largest, as a share of the native scores' 1-99 % range."""

    spearman: float
    difference: float

    def within(self, bound: Bound) -> bool:
        """NaN is never within."""
        return self.spearman >= bound.spearman and self.difference <= bound.difference


def agreement(scores: _Floats, native: _Floats) -> Agreement:
    """Compares scores (windows, tokens) with the native ones of the same samples.

    A score is 1 + v above the offset and 1 / (1 - v) below (docs/model.md, section 7): differences are those of v,
    or nothing below 1 could differ. Another shape, a NaN or an infinity agrees with nothing.
    """
    if scores.shape != native.shape or not np.all(np.isfinite(scores)) or np.any(scores <= 0):
        return Agreement(-1.0, float("inf"))
    if np.array_equal(scores, native):
        return Agreement(1.0, 0.0)
    a, b = _signed(scores), _signed(native)
    low, high = np.percentile(b, (1, 99))
    return Agreement(_spearman(a, b), float(np.abs(a - b).max() / max(high - low, 1e-9)))


def _signed(scores: _Floats) -> NDArray[np.float64]:
    s = np.asarray(scores, np.float64).ravel()
    return np.where(s >= 1, s - 1, 1 - 1 / np.minimum(s, 1))


def _spearman(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    ranks = [_ranks(v) for v in (a, b)]
    if min(np.ptp(r) for r in ranks) == 0:  # a constant has no order
        return 0.0
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _ranks(v: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks, ties averaged."""
    values, inverse, count = np.unique(v, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return (last - (count - 1) / 2)[inverse.reshape(v.shape)]
