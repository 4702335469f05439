"""`TextDetector`: calibrated on normal texts, it scores others; one file holds all of it, the encoder too."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sanderling._core import TextScorer
from sanderling.errors import CalibrationError, InputError, ModelNotFoundError
from sanderling.files import write_file
from sanderling.text.characters import CharacterModel
from sanderling.text.clean import NO_RULES, Rules, clean
from sanderling.text.encoders import is_native, open_encoder
from sanderling.text.native import detector_bytes, detector_parts
from sanderling.text.surface import surfaces
from sanderling.text.views import LOOK_AT_LEAST, Look, Meaning, Scale, on_grid
from sanderling.text.words import Words

LEAST, MOST = 32, 2048  # reference texts
VIEWS = ("meaning", "characters", "words", "look")  # as the engine orders them
RATE = 0.01  # wanted share of normal texts above the threshold
BATCH = 64
ZIP_MAGIC = b"PK\x03\x04"  # of a log detector (logs.py), or one whose encoder is a graph (graph_detector.py)
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Explanation:
    """nats: what each view adds; nearest: the most similar normal texts, best first; words: what the score loses
    without
    each word (nats), largest first."""

    score: float
    nats: dict[str, float]
    nearest: tuple[str, ...]
    words: tuple[tuple[str, float], ...]


@dataclass
class TextDetector:
    """Scores are nats of surprise, float64, higher = more anomalous; docs/text_model.md has the arithmetic, the engine
    does it.

    texts: the reference, cleaned; empty in a file that was exported without. encoder_bytes: a text encoder's file,
    native (docs/text_core.md), ONNX or TFLite (`encoders`), or empty: then `meaning` is left out."""

    rules: Rules
    texts: tuple[str, ...]
    encoder_bytes: bytes
    meaning: Meaning | None
    characters: CharacterModel
    words: Words
    look: Look
    scales: dict[str, Scale]
    threshold_: float
    head: dict[str, NDArray] = field(default_factory=dict)
    _encoder: Any = None
    _scorer: Any = None

    @classmethod
    def calibrate(
        cls,
        texts: Sequence[str | bytes],
        encoder: str | os.PathLike[str] | bytes | None,
        rules: Rules = NO_RULES,
        rate: float = RATE,
        progress: Progress | None = None,
    ) -> TextDetector:
        """A detector of what isn't like `texts` (normal ones, no labels): of more than `MOST`, evenly spaced ones are
        kept.

        encoder: a text encoder's file (path or bytes), or None. rate: the share of normal texts to lie above the
        threshold.
        Raises CalibrationError for fewer than `LEAST` texts that the rules keep, InputError for a rate outside (0,
        0.5)."""
        if not 0 < rate < 0.5:
            raise InputError(f"expected a rate of false alarms between 0 and 0.5, found {rate}")
        cleaned = [text for text in (clean(text, rules) for text in texts) if text]
        if len(cleaned) < LEAST:
            raise CalibrationError(
                f"expected at least {LEAST} normal texts that are not empty, found {len(cleaned)}; give more"
            )
        if len(set(cleaned)) < 2:
            raise CalibrationError(
                f"expected normal texts that differ, found one {len(cleaned)} times; give texts as they come"
            )
        kept = tuple(cleaned[i] for i in evenly(len(cleaned)))
        data = b"" if encoder is None else encoder if isinstance(encoder, bytes) else _read(encoder)
        look = Look.fit(surfaces(kept))
        model = CharacterModel.fit(kept)
        detector = cls(rules, kept, data, None, model, Words.fit(kept), look, {}, 0.0)
        if data:
            detector.meaning = Meaning.fit(detector.embed(kept, progress))
        distances = detector.leave_one_out()
        detector.scales = {name: Scale.fit(distances[name]) for name in VIEWS if name in distances}
        detector.threshold_ = float(np.quantile(detector.own_scores(distances), 1 - rate, method="higher"))
        return detector

    def embed(self, texts: Sequence[str], progress: Progress | None = None) -> NDArray[np.float64]:
        """Embeddings by the file's encoder, float64 (texts, d)."""
        return self.embed_inner(texts, progress)[0]

    def embed_inner(
        self, texts: Sequence[str], progress: Progress | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Embeddings, and the means over the tokens of what the encoder's inner layers put out: float64 (texts, d) and
        (texts, layers - 1, d)."""
        if self._encoder is None:
            self._encoder = open_encoder(self.encoder_bytes)
        rows = []
        for start in range(0, len(texts), BATCH):
            rows.append(self._encoder.encode(list(texts[start : start + BATCH]), inner=True))
            if progress is not None:
                progress(min(start + BATCH, len(texts)), len(texts))
        embeddings, inner = (np.concatenate(part).astype(np.float64) for part in zip(*rows, strict=True))
        return embeddings, inner

    def leave_one_out(self) -> dict[str, NDArray[np.float64]]:
        """The distances of the reference's texts, each to all others; float64 (texts) a view."""
        distances = {
            "characters": self.characters.mean(self.texts, own=True),
            "words": self.words.leave_one_out(self.texts),
            "look": self.look.leave_one_out(),
        }
        if self.meaning is not None:
            distances["meaning"] = self.meaning.leave_one_out()
        return distances

    def own_scores(self, distances: dict[str, NDArray] | None = None) -> NDArray[np.float64]:
        """Scores of the reference's texts, each against all others (`leave_one_out`, or given); float64 (texts)."""
        distances = self.leave_one_out() if distances is None else distances
        return fuse({name: scale.nats(distances[name]) for name, scale in self.scales.items()})

    @property
    def has_graph(self) -> bool:
        """Whether the encoder is ONNX or TFLite, which the runner does not take."""
        return bool(self.encoder_bytes) and not is_native(self.encoder_bytes)

    def _scored(self, texts: Sequence[str | bytes]) -> NDArray[np.float64]:
        """Score and nats by `VIEWS`, float64 (texts, 5)."""
        if isinstance(texts, str | bytes):
            raise InputError("expected a sequence of texts, found one text; put it in a list")
        if self.has_graph:
            from sanderling.text import graph_detector

            return graph_detector.scored(self, texts)
        if self._scorer is None:
            self._scorer = TextScorer.parse(detector_bytes(self, texts=False))
        return np.asarray(self._scorer.score(list(texts)))

    def nats(self, texts: Sequence[str | bytes]) -> dict[str, NDArray[np.float64]]:
        """Each view's surprise of each text, before the fusion; float64 (texts)."""
        return self.scores_and_nats(texts)[1]

    def scores_and_nats(self, texts: Sequence[str | bytes]) -> tuple[NDArray[np.float64], dict[str, NDArray]]:
        """`decision_function` and `nats`, the texts encoded once. With a head `fuse(nats)` is the score without."""
        found = self._scored(texts)
        return found[:, 0], {name: found[:, 1 + VIEWS.index(name)] for name in self.scales}

    def decision_function(self, texts: Sequence[str | bytes]) -> NDArray[np.float64]:
        """Scores, float64 (texts). A text of any bytes has one; rules mask here and never drop. After `fine_tune` the
        score is the head's logit."""
        return self._scored(texts)[:, 0]

    def predict(self, texts: Sequence[str | bytes]) -> NDArray[np.int64]:
        """1 = anomalous (score above `threshold_`), int64 (texts)."""
        return (self.decision_function(texts) > self.threshold_).astype(np.int64)

    def explain(self, text: str | bytes, nearest: int = 3, words: int = 5, most: int = 48) -> Explanation:
        """Why: the views' shares, the nearest normal texts, and the words without which the score falls most (of the
        first
        `most` words)."""
        cleaned = clean(text, Rules(self.rules.mask)) or ""
        parts = cleaned.split()[:most]
        rest = cleaned.split()[most:]
        without = [" ".join([*parts[:i], *parts[i + 1 :], *rest]) for i in range(len(parts))]
        scores = self.decision_function([cleaned, *without])
        falls = sorted(
            ((word, float(scores[0] - s)) for word, s in zip(parts, scores[1:], strict=True)), key=lambda p: -p[1]
        )
        nats = self.nats([cleaned])
        if self.meaning is not None:
            order = np.argsort(-self.meaning.similarity(self.embed([cleaned]))[0], kind="stable")
        else:
            squares = (self.look.memory - (surfaces([cleaned]) - self.look.centre) / self.look.spread) ** 2
            order = np.argsort(squares.sum(1), kind="stable")
        return Explanation(
            float(scores[0]),
            {name: float(value[0]) for name, value in nats.items()},
            tuple(dict.fromkeys(self.texts[i] for i in order[: 8 * nearest]))[:nearest] if self.texts else (),
            tuple((word, fall) for word, fall in dict(reversed(falls)).items() if fall > 0)[::-1][:words],
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """One native file (docs/text_core.md) with the reference's texts, replaced atomically; a zip where the encoder
        is a graph."""
        self._write(path, texts=True)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TextDetector:
        """Reads what `save` or `export` wrote. Raises ModelNotFoundError, FormatError, VersionError."""
        data = _read(path)
        if data.startswith(ZIP_MAGIC):
            from sanderling.text import graph_detector

            return graph_detector.load(data, path)
        scorer = TextScorer.parse(data)  # checks every value, so that what follows may believe the file
        return cls(**detector_parts(data), _scorer=scorer)

    def export(self, path: str | os.PathLike[str]) -> str:
        """The same file without the reference's texts, for a device; returns its sha256. It scores alike; explanations
        name no nearest texts, and `fine_tune` refuses it."""
        return hashlib.sha256(self._write(path, texts=False)).hexdigest()

    def _write(self, path: str | os.PathLike[str], texts: bool) -> bytes:
        if self.has_graph:
            from sanderling.text import graph_detector

            return graph_detector.save(self, path, texts)
        data = detector_bytes(self, texts)
        write_file(path, lambda file: file.write(data))
        return data

    def with_head(self, head: dict[str, NDArray], threshold: float) -> TextDetector:
        """The same detector with a head on the views (`head.fine_tune`)."""
        return replace(self, head=head, threshold_=threshold, _scorer=None)


def evenly(n: int) -> NDArray[np.intp]:
    """Which of n reference texts are kept: all, or `MOST` evenly spaced ones."""
    return np.unique(np.linspace(0, n - 1, min(MOST, n)).round().astype(np.intp))


def fuse(nats: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Each view's nats -> scores, float64 (texts)."""
    letters = nats["characters"] + nats["words"]
    look = np.maximum(nats["look"] - LOOK_AT_LEAST, 0)
    return on_grid(letters / 2 + look + nats["meaning"] if "meaning" in nats else letters + look)


def _read(path: str | os.PathLike[str]) -> bytes:
    if Path(path).exists() and not Path(path).is_file():  # a device may have no end
        raise ModelNotFoundError(f"expected a model's file, found {path} to be no regular file; name one")
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ModelNotFoundError(f"expected a file, found none at {path} ({error.strerror}); check the path") from error
    return data
