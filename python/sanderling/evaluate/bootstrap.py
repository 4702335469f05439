"""95 % intervals by the percentile bootstrap over series (Efron 1979): what other series of the kind could give."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

DRAWS = 2000
LEVEL = 0.95
SEED = 0
NAN = float("nan")


def resampled_means(values: Sequence[float] | np.ndarray, seed: int = SEED) -> np.ndarray:
    """Means of DRAWS samples with replacement of values (n,): float64 (DRAWS,). Equal seeds give equal draws."""
    v = np.asarray(values, np.float64)
    chosen = np.random.default_rng(seed).integers(0, len(v), (DRAWS, len(v)))
    return v[chosen].mean(axis=1)


def interval(values: Iterable[float | None], seed: int = SEED) -> tuple[float, float]:
    """The interval of the mean of the values that are defined; (NaN, NaN) for fewer than two: nothing to resample."""
    v = defined(values)
    return _quantiles(resampled_means(v, seed)) if len(v) > 1 else (NAN, NAN)


def interval_over_sets(sets: Iterable[Iterable[float | None]], seed: int = SEED) -> tuple[float, float]:
    """The interval of the mean over sets of their means: every set's series are drawn anew, the sets stay."""
    members = [v for v in map(defined, sets) if len(v)]
    if not any(len(v) > 1 for v in members):
        return NAN, NAN
    # A seed a set, or sets of one size would be drawn alike and their errors would add up.
    return _quantiles(np.mean([resampled_means(v, seed + i) for i, v in enumerate(members)], axis=0))


def interval_of_ratio(above: Sequence[float], below: Sequence[float], seed: int = SEED) -> tuple[float, float]:
    """The interval of sum(above) / sum(below), pairs drawn together."""
    a, b = np.asarray(above, np.float64), np.asarray(below, np.float64)
    if len(a) < 2:
        return NAN, NAN
    return _quantiles(resampled_means(a, seed) / resampled_means(b, seed))


def defined(values: Iterable[float | None]) -> np.ndarray:
    """The values without None and NaN, float64."""
    v = np.array([NAN if value is None else value for value in values], np.float64)
    return v[~np.isnan(v)]


def _quantiles(means: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
