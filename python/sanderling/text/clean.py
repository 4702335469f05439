"""Texts made ready: control characters, sensitive parts, near-duplicates, empty numeric fields."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sanderling.errors import InputError

MOST_CHARACTERS = 4096  # of a cleaned text; the encoder reads its first tokens only
SPECIAL = {"Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp"}  # Unicode categories that become a space
REPLACEMENT = "\ufffd"

# Name -> pattern of a sensitive part. The longest forms come first: a card number is no telephone number.
SENSITIVE = {
    "email": re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"),
    "url": re.compile(r"\b(?:https?://|www\.)\S+", re.IGNORECASE),
    "card": re.compile(r"\b(?:\d[ -]?){12,18}\d\b"),
    "mac": re.compile(r"\b(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}\b"),
    "ip": re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b"),
    "phone": re.compile(r"\+?\b\d(?:[ ()/-]?\d){6,13}\b"),
}
_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True)
class Rules:
    """mask: names of `SENSITIVE` whose letters become x and digits 0 (length and layout stay, so the surface's counts
    do);
    drop: names of which one match drops the whole text."""

    mask: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in (*self.mask, *self.drop):
            if name not in SENSITIVE:
                raise InputError(f"expected a rule of {', '.join(SENSITIVE)}, found {name!r}")


NO_RULES = Rules()


def clean(text: str | bytes, rules: Rules = NO_RULES) -> str | None:
    """The cleaned text; None where a rule drops it.

    Bytes are UTF-8 (what isn't becomes U+FFFD, and U+FFFD a space). Control, format, private, unassigned and surrogate
    characters and line separators become spaces; white space is one space; the ends are stripped; at most
    `MOST_CHARACTERS` remain.
    """
    if isinstance(text, bytes):
        text = text[: 4 * MOST_CHARACTERS].decode("utf-8", "replace")
    text = text[: 4 * MOST_CHARACTERS]
    if not text.isascii() or not text.isprintable():
        text = "".join(
            " " if character == REPLACEMENT or unicodedata.category(character) in SPECIAL else character
            for character in text
        )
    text = " ".join(text.split())[:MOST_CHARACTERS].rstrip()
    if any(SENSITIVE[name].search(text) for name in rules.drop):
        return None
    for name in SENSITIVE:
        if name in rules.mask:
            text = SENSITIVE[name].sub(_hide, text)
    return text


def _hide(match: re.Match[str]) -> str:
    return re.sub(r"\d", "0", _LETTER.sub("x", match.group()))


def near_duplicates(texts: Sequence[str], similarity: float = 0.9, bands: int = 16, rows: int = 4) -> list[int]:
    """Indices of the texts that stay: of two with a Jaccard similarity of their 4-character shingles of at least
    `similarity` the first stays. MinHash with `bands` x `rows` hashes proposes the pairs (Broder 1997), the sets
    decide."""
    rng = np.random.default_rng(0)
    prime = np.uint64((1 << 61) - 1)
    scale = rng.integers(1, 1 << 31, (bands * rows, 1), dtype=np.uint64)
    shift = rng.integers(0, 1 << 31, (bands * rows, 1), dtype=np.uint64)
    buckets: list[dict[bytes, list[int]]] = [{} for _ in range(bands)]
    kept: list[int] = []
    shingles: dict[int, frozenset[int]] = {}
    for index, text in enumerate(texts):
        lowered = f"   {text.lower()}"
        points = np.frombuffer(lowered.encode("utf-32-le"), np.uint32).astype(np.uint64)
        grams = (
            points[:-3] * np.uint64(8191) + points[1:-2] * np.uint64(131) + points[2:-1] * np.uint64(17) + points[3:]
        )
        own = np.unique(grams % np.uint64(1 << 29)) if len(points) > 3 else np.zeros(1, np.uint64)
        mine = frozenset(own.tolist())
        signature = ((scale * own + shift) % prime).min(1)
        keys = [signature[b * rows : (b + 1) * rows].tobytes() for b in range(bands)]
        rivals = {other for b, key in enumerate(keys) for other in buckets[b].get(key, ())}
        if any(len(mine & shingles[o]) >= similarity * len(mine | shingles[o]) for o in rivals):
            continue
        kept.append(index)
        shingles[index] = mine
        for b, key in enumerate(keys):
            buckets[b].setdefault(key, []).append(index)
    return kept


def fill(values: NDArray[np.floating], method: Literal["mean", "nearest"] = "mean") -> NDArray[np.float64]:
    """Numeric fields, float (rows, fields), with each NaN replaced: by its field's mean, or by the value in the
    nearest row
    that has it (root mean square over the fields that both rows have, each scaled by its spread). A field without any
    value is an InputError."""
    values = np.array(values, np.float64)
    if values.ndim != 2:
        raise InputError(f"expected fields as (rows, fields), found {values.ndim} dimension(s)")
    known = ~np.isnan(values)
    if not known.any(0).all():
        raise InputError(
            f"expected a value in every field, found none in field {int(np.flatnonzero(~known.any(0))[0])}"
        )
    mean = np.nanmean(values, 0)
    if method == "mean":
        return np.where(known, values, mean)
    scaled = np.where(known, (values - mean) / np.maximum(np.nanstd(values, 0), 1e-12), 0.0)
    filled = values.copy()
    for row in np.flatnonzero(~known.all(1)):
        both = known & known[row]
        distance = np.where(both, (scaled - scaled[row]) ** 2, 0.0).sum(1) / np.maximum(both.sum(1), 1)
        distance[both.sum(1) == 0] = np.inf
        for field in np.flatnonzero(~known[row]):
            candidates = np.flatnonzero(known[:, field])
            best = candidates[np.argmin(distance[candidates])]
            filled[row, field] = values[best, field] if np.isfinite(distance[best]) else mean[field]
    return filled
