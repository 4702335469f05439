"""What words a text has: TF-IDF as scikit-learn's TfidfVectorizer weighs it (sublinear, smoothed, length 1), and kNN.

scikit-learn's own, with this text, gives the same numbers (tests/text/test_words.py):
TfidfVectorizer(sublinear_tf=True, token_pattern=PATTERN, preprocessor=folded)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sanderling.text.surface import FINAL_SIGMA, SIGMA

MOST = 1024  # characters of a text that are read
NEIGHBOURS = 5  # the r-th nearest weighs 1 / sqrt(r)
PATTERN = r"(?u)\b\w+\b|[^\w\s]"
_WORDS, _DIGIT = re.compile(PATTERN), re.compile("[0-9]")
_SEED, _A, _B, _WHOLE = 1469598103934665603, 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, (1 << 64) - 1

Weighed = tuple[NDArray[np.int64], NDArray[np.float64]]


def folded(text: str) -> str:
    """Lower case, ASCII digits as 0, a final sigma as a sigma: what words are compared by."""
    return _DIGIT.sub("0", text[:MOST].lower().replace(FINAL_SIGMA, SIGMA))


def words_of(text: str) -> list[str]:
    return _WORDS.findall(folded(text))


def hash_of(word: str) -> int:
    """64 bits: the same steps as a context of characters (docs/text_model.md)."""
    x = _SEED
    for character in word:
        x = ((x ^ ord(character)) * _A) & _WHOLE
        x = ((x ^ (x >> 29)) * _B) & _WHOLE
        x ^= x >> 32
    return x


@dataclass
class Vocabulary:
    """hash: uint64 (words), ascending; idf: float64 (words), ln((1 + texts) / (1 + texts with the word)) + 1."""

    hash: NDArray[np.uint64]
    idf: NDArray[np.float64]

    @classmethod
    def fit(cls, texts: Sequence[str]) -> Vocabulary:
        within = Counter(word for text in texts for word in set(words_of(text)))
        hashes = np.array([hash_of(word) for word in within], np.uint64)
        order = np.argsort(hashes)
        counts = np.array(list(within.values()), np.float64)[order]
        return cls(hashes[order], np.log((1 + len(texts)) / (1 + counts)) + 1)

    def weigh(self, text: str) -> Weighed:
        """A text's words that are known: places, ascending, and (1 + ln times) idf at length 1."""
        times = Counter(words_of(text))
        found = []
        for word, n in times.items():
            value = np.uint64(hash_of(word))
            place = int(np.searchsorted(self.hash, value))
            if place < len(self.hash) and self.hash[place] == value:
                found.append((place, (1 + np.log(n)) * self.idf[place]))
        found.sort()
        places = np.array([place for place, _ in found], np.int64)
        weights = np.array([weight for _, weight in found], np.float64)
        return places, weights / max(float(np.sqrt((weights * weights).sum())), 1e-12)


@dataclass
class Words:
    """The reference by words: word w is in the texts text[start[w]:start[w + 1]], with these weights (float32)."""

    vocabulary: Vocabulary
    start: NDArray[np.int32]
    text: NDArray[np.int32]
    weight: NDArray[np.float32]
    n: int

    @classmethod
    def fit(cls, texts: Sequence[str]) -> Words:
        vocabulary = Vocabulary.fit(texts)
        rows = [vocabulary.weigh(text) for text in texts]
        place = np.concatenate([places for places, _ in rows])
        text = np.repeat(np.arange(len(texts)), [len(places) for places, _ in rows])
        weight = np.concatenate([weights for _, weights in rows])
        order = np.lexsort((text, place))
        start = np.concatenate([[0], np.cumsum(np.bincount(place, minlength=len(vocabulary.hash)))])
        return cls(
            vocabulary,
            start.astype(np.int32),
            text[order].astype(np.int32),
            weight[order].astype(np.float32),
            len(texts),
        )

    def cosines(self, text: str, own: bool = False) -> NDArray[np.float64]:
        """With each text of the reference, float64 (n). own: the text is one of them, and the words of no other are
        left out, as they would be of a new text."""
        sums = np.zeros(self.n)
        places, weights = self.vocabulary.weigh(text)
        if own:
            shared = np.diff(self.start)[places] > 1
            places, weights = places[shared], weights[shared]
            weights = weights / max(float(np.sqrt((weights * weights).sum())), 1e-12)
        for place, weight in zip(places, weights, strict=True):
            first, end = self.start[place], self.start[place + 1]
            sums[self.text[first:end]] += self.weight[first:end].astype(np.float64) * weight
        return sums

    def distance(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """1 - the weighted mean of the largest cosines, float64 (texts)."""
        return np.array([_ranked(self.cosines(text)) for text in texts], np.float64)

    def leave_one_out(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """The same of the reference's own texts, each without itself and its own words; the weights stay."""
        return np.array(
            [_ranked(np.delete(self.cosines(text, own=True), i)) for i, text in enumerate(texts)], np.float64
        )


def _ranked(cosines: NDArray[np.float64]) -> float:
    near = -np.sort(-cosines)[:NEIGHBOURS]
    weight = 1 / np.sqrt(np.arange(1, len(near) + 1))
    return float(1 - near @ weight / weight.sum())
