"""Scores that are wrong do not agree, whatever makes them wrong."""

from __future__ import annotations

import numpy as np
import pytest

from sanderling.bench.agree import agreement
from sanderling.bench.entries import BFLOAT, EXACT, FLOAT, PER_TENSOR, ROWS

BOUNDS = (FLOAT, BFLOAT, ROWS, PER_TENSOR)


@pytest.fixture
def native() -> np.ndarray:
    rng = np.random.default_rng(1)
    v = rng.standard_normal((6, 64)) * 3
    return np.where(v >= 0, 1 + v, 1 / (1 - np.minimum(v, 0))).astype(np.float32)


def test_the_same_scores_agree_exactly(native):
    found = agreement(native.copy(), native)
    assert (found.spearman, found.difference) == (1.0, 0.0)
    assert found.within(EXACT)


def test_rounding_agrees_with_a_float_bound_and_not_exactly(native):
    found = agreement(native * np.float32(1 + 1e-5), native)
    assert found.within(FLOAT)
    assert not found.within(EXACT)


WRONG = {
    "another window's": lambda s: s[::-1],
    "one token late": lambda s: np.roll(s, 1, axis=1),
    "upside down": lambda s: 1 / s,
    "constant": np.ones_like,
    "half of them silent": lambda s: np.where(np.arange(64) < 32, np.float32(0.01), s),
    "one alarm that is none": lambda s: np.where(np.arange(s.size).reshape(s.shape) == 77, s + 100, s),
    "not a number": lambda s: np.where(np.arange(64) == 5, np.float32(np.nan), s),
    "infinite": lambda s: np.where(np.arange(64) == 5, np.float32(np.inf), s),
    "zero, which no score is": lambda s: np.where(np.arange(64) == 5, np.float32(0), s),
    "too few": lambda s: s[:, :-1],
    "another layout": lambda s: s.T,
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_scores_agree_with_no_bound(native, what):
    found = agreement(WRONG[what](native), native)
    assert [bound for bound in BOUNDS if found.within(bound)] == []


def test_ties_share_their_rank(native):
    tied = np.round(native)
    assert agreement(tied, native).spearman == agreement(tied[::-1, ::-1], native[::-1, ::-1]).spearman
