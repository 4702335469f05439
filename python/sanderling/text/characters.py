"""How surprising a text's characters are: interpolated n-grams (Witten and Bell 1991), counted on the reference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ORDER = 4  # characters of context
MOST = 1024  # characters of a text that are read
START, END = 2, 3
UNSEEN = 1 / 256  # a character's probability before any count
_SEED, _A, _B = np.uint64(1469598103934665603), np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)
_CHARACTER = np.uint64(1 << 32)

Keys = NDArray[np.uint64]
Table = tuple[Keys, NDArray[np.int32], Keys, NDArray[np.int32], NDArray[np.int32]]


def _mix(x: Keys, c: Keys) -> Keys:
    x = (x ^ c) * _A
    x = (x ^ (x >> np.uint64(29))) * _B
    return x ^ (x >> np.uint64(32))


def keys(text: str) -> tuple[Keys, Keys]:
    """Grams and contexts of a text, uint64 (ORDER + 1, characters + 1) each: row j hashes the last j characters of
    context,
    nearest first, then (grams) the character itself. Digits count as 0; the end of the text is a character."""
    points = np.frombuffer(text[:MOST].encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    points[(points >= 48) & (points <= 57)] = 48
    padded = np.concatenate([np.full(ORDER, START, np.uint64), points, np.array([END], np.uint64)])
    n = len(padded) - ORDER
    grams, contexts = np.empty((ORDER + 1, n), np.uint64), np.empty((ORDER + 1, n), np.uint64)
    x = np.full(n, _SEED)
    for j in range(ORDER + 1):
        if j:
            x = _mix(x, padded[ORDER - j : ORDER - j + n])
        contexts[j], grams[j] = x, _mix(x, padded[ORDER:] + _CHARACTER)
    return grams, contexts


class CharacterModel:
    """Counts per order: of each gram, of each context, and of the distinct characters after each context."""

    def __init__(self, tables: Sequence[Table]) -> None:
        self.tables = list(tables)

    @classmethod
    def fit(cls, texts: Sequence[str]) -> CharacterModel:
        pairs = [keys(text) for text in texts]
        tables = []
        for j in range(ORDER + 1):
            every, before = (np.concatenate([pair[side][j] for pair in pairs]) for side in (0, 1))
            grams, first, count = np.unique(every, return_index=True, return_counts=True)
            contexts, total = np.unique(before, return_counts=True)
            distinct = np.bincount(np.searchsorted(contexts, before[first]), minlength=len(contexts))
            tables.append((grams, count.astype(np.int32), contexts, total.astype(np.int32), distinct.astype(np.int32)))
        return cls(tables)

    def surprise(self, text: str, own: bool = False) -> NDArray[np.float64]:
        """-ln p of every character and of the end, float64 (characters + 1). own: the text is one of the reference
        and its
        own counts are left out.

        p_j = (count(gram) + distinct(context) p_{j-1}) / (total(context) + distinct(context)) while the context is
        known."""
        grams, contexts = keys(text)
        p = np.full(grams.shape[1], UNSEEN)
        for j, (known, count, before, total, distinct) in enumerate(self.tables):
            c = _look_up(known, count, grams[j])
            n = _look_up(before, total, contexts[j])
            d = _look_up(before, distinct, contexts[j])
            if own:
                mine, first, where, times = np.unique(
                    grams[j], return_index=True, return_inverse=True, return_counts=True
                )
                places, place, visits = np.unique(contexts[j], return_inverse=True, return_counts=True)
                alone = first[_look_up(known, count, mine) == times]
                c -= times[where]
                n -= visits[place]
                d -= np.bincount(np.searchsorted(places, contexts[j][alone]), minlength=len(places))[place]
            p = np.where(n > 0, (c + d * p) / np.maximum(n + d, 1), p)
        return -np.log(p)

    def mean(self, texts: Sequence[str], own: bool = False) -> NDArray[np.float64]:
        """The mean surprise of each text in nats a character, float64 (texts)."""
        return np.array([self.surprise(text, own).mean() for text in texts], np.float64)


def _look_up(table: Keys, values: NDArray, wanted: Keys) -> NDArray[np.float64]:
    place = np.minimum(np.searchsorted(table, wanted), len(table) - 1)
    return np.where(table[place] == wanted, values[place], 0).astype(np.float64)
