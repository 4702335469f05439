"""The look of a text in 16 numbers: length, digits, capitals, punctuation, runs, variety."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

NAMES = (
    "characters", "words", "word length", "longest word", "digits", "capitals", "punctuation", "not ASCII",
    "longest digits", "longest capitals", "share of digits", "share of capitals", "share of punctuation", "entropy",
    "distinct words", "emphasis",
)  # fmt: skip
FINAL_SIGMA, SIGMA = "\u03c2", "\u03c3"
_DIGITS, _CAPITALS = re.compile(r"[0-9]+"), re.compile(r"[A-Z]+")


def _longest(parts: Sequence[str]) -> int:
    return max(map(len, parts), default=0)


def surface(text: str) -> tuple[float, ...]:
    """The features of `NAMES` of a cleaned text. Counts are log(1 + count); shares are of the characters; entropy is
    in nats
    over the text's own characters; words end at spaces; digits and capitals are ASCII, letters are Unicode's; a final
    sigma is a sigma."""
    n, words = len(text), text.split()
    digits = sum(map(len, _DIGITS.findall(text)))
    capitals = sum(map(len, _CAPITALS.findall(text)))
    letters = sum(character.isalpha() for character in text)
    marks = n - digits - letters - text.count(" ")
    count, total = max(len(words), 1), max(n, 1)
    entropy = -sum(times / n * math.log(times / n) for times in Counter(text).values())
    return (
        math.log1p(n),
        math.log1p(len(words)),
        n / count,
        math.log1p(_longest(words)),
        math.log1p(digits),
        math.log1p(capitals),
        math.log1p(marks),
        math.log1p(sum(not character.isascii() for character in text)),
        math.log1p(_longest(_DIGITS.findall(text))),
        math.log1p(_longest(_CAPITALS.findall(text))),
        digits / total,
        capitals / total,
        marks / total,
        entropy,
        len({word.lower().replace(FINAL_SIGMA, SIGMA) for word in words}) / count,
        math.log1p(sum(map(text.count, "!$%\N{POUND SIGN}"))),
    )


def surfaces(texts: Sequence[str]) -> NDArray[np.float64]:
    """float64 (texts, 16)."""
    return np.array([surface(text) for text in texts], np.float64).reshape(len(texts), len(NAMES))
