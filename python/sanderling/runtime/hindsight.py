"""Scores of a recording that is over: what came right after a sample counts too."""

import numpy as np
from numpy.typing import NDArray

from sanderling.errors import InputError

MOST = 512  # samples, or frames' samples: a receptive field of the shipped model


def hindsight_option(hindsight: int) -> int:
    """The samples that a batch call may look ahead. InputError unless a whole number of patches of 8, at most 512."""
    if isinstance(hindsight, bool) or not isinstance(hindsight, int) or not 0 <= hindsight <= MOST or hindsight % 8:
        raise InputError(f"expected hindsight from 0 to {MOST} samples in steps of 8, found {hindsight!r}")
    return hindsight


def with_hindsight(scores: NDArray[np.float32], hindsight: int, patch: int, cold: int) -> NDArray[np.float32]:
    """The mean of a sample's score and those up to `hindsight` samples later, a patch apart; float32 (time,).

    An event is fully in the window only when it ends: its score comes late, and the mean with what follows puts it
    back. NaN stays NaN and counts nothing elsewhere; the first `cold` samples keep their 0. patch: samples.
    """
    total, count = np.zeros(len(scores)), np.zeros(len(scores))
    for ahead in range(0, min(hindsight, len(scores) - 1) + 1, patch):
        later = scores[ahead:]
        there = ~np.isnan(later)
        total[: len(later)][there] += later[there]
        count[: len(later)] += there
    found = np.where(np.isnan(scores), np.nan, total / np.maximum(count, 1)).astype(np.float32)
    found[:cold] = scores[:cold]
    return found
