"""From s_bar to the score and its threshold (docs/model.md, sections 7 to 9), in numpy: part of the INT8 reference."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

TAIL_PERCENT, OFFSET_PERCENT = 90, 99
LEAST_TAIL = 0.5
PER_DECADE = 0.43429448  # 1 / ln 10
HOLD_DECAY = 0.9
TAIL_QUANTILE = 0.75
TAIL_BLOCK = 16  # tokens
UNKNOWN_PERIOD_UNIT = 10_000.0  # samples
DAY = 86_400.0  # seconds


@dataclass
class Tail:
    """What makes a channel's score of its s_bar, float32."""

    offset: np.float32
    spread: np.float32

    def values(self, s_bar: np.ndarray) -> np.ndarray:
        """v (T,) from s_bar (T,)."""
        return (s_bar - self.offset) / self.spread


def positive(v: np.ndarray) -> np.ndarray:
    """1 + v or 1 / (1 - v)."""
    one = np.float32(1)
    return np.where(v >= 0, one + v, one / (one - np.minimum(v, np.float32(0)))).astype(np.float32)


def held(scores: np.ndarray) -> np.ndarray:
    """score_c (T,) float32: a peak decays."""
    out, last = np.empty_like(scores), np.float32(0)
    for t, score in enumerate(scores):
        out[t] = last = max(score, np.float32(HOLD_DECAY) * last)
    return out


def tail_of(s_bar: np.ndarray) -> Tail:
    """Step 5 of section 8, from the counted tokens of a channel's reference (T,) float32."""

    def percentile(values: np.ndarray, percent: int) -> np.float32:
        return np.sort(values)[(percent * len(values) + 99) // 100 - 1]

    offset = percentile(s_bar, OFFSET_PERCENT)
    spread = (offset - percentile(s_bar, TAIL_PERCENT)) * np.float32(PER_DECADE)
    return Tail(offset, max(spread, np.float32(LEAST_TAIL)))


def threshold(scores: np.ndarray, patch: int, false_alarms: float, period_s: float) -> float:
    """Threshold without labels from the reference's token scores (docs/model.md, section 9).

    Args:
        scores: (tokens,) aggregate scores of the reference.
        patch: samples a token.
        false_alarms: wanted per day where period_s (seconds a sample) > 0, else per 10,000 samples.
    """
    scores = scores[np.isfinite(scores)]
    unit = DAY / period_s if period_s > 0 else UNKNOWN_PERIOD_UNIT
    wrong = false_alarms / (unit / patch)
    blocks = len(scores) // TAIL_BLOCK
    block = TAIL_BLOCK if blocks >= TAIL_BLOCK else 1
    n = len(scores) // block
    maxima = np.sort(scores[: n * block].reshape(n, block).max(1))
    u = maxima[math.ceil(TAIL_QUANTILE * n) - 1]
    excess = maxima[maxima > u].astype(np.float64) - np.float64(u)
    share, wrong = len(excess) / n, min(1.0, wrong * block)
    found = float(u)
    if share > wrong:
        found += excess.mean() * math.log(share / wrong)
    middle = np.sort(scores)[(len(scores) - 1) // 2]
    return float(np.float32(max(found, float(middle))))
