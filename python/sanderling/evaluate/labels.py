"""What every metric shares: checked labels, their segments, and scores that can be ranked."""

from __future__ import annotations

import numpy as np

from sanderling.errors import InputError


def check_labels(labels: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """labels as (time,) bool and values as (time,) array; InputError names what does not fit."""
    y, v = np.asarray(labels), np.asarray(values)
    if y.ndim != 1 or v.shape != y.shape:
        raise InputError(f"expected labels and scores of one shape (time,), found {y.shape} and {v.shape}")
    positive = y != 0
    if not np.array_equal(y, positive):
        raise InputError("expected labels of 0 and 1 only; map other classes to these two first")
    return positive, v


def segments(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last index (both included) of every run of ones in labels (time,); int64 arrays (runs,)."""
    edges = np.diff(np.concatenate([[0], np.asarray(labels) != 0, [0]]).astype(np.int8))
    return np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1


def ranked(scores: np.ndarray) -> np.ndarray:
    """scores with NaN as -inf: a sample without a score is the least anomalous one. Only the order matters."""
    s = np.asarray(scores)
    s = s if s.dtype.kind == "f" else s.astype(np.float64)
    return np.where(np.isnan(s), -np.inf, s)
