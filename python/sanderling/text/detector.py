"""`TextDetector`: calibrated on normal texts, it scores others; one file holds all of it, the encoder too."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sanderling.errors import CalibrationError, FormatError, InputError, ModelNotFoundError, VersionError
from sanderling.files import write_file
from sanderling.text.characters import CharacterModel
from sanderling.text.clean import NO_RULES, Rules, clean
from sanderling.text.surface import surfaces
from sanderling.text.views import LOOK_AT_LEAST, Look, Meaning, Scale, on_grid

VERSION = 1
LEAST, MOST = 32, 2048  # reference texts
VIEWS = ("meaning", "characters", "look")
RATE = 0.01  # wanted share of normal texts above the threshold
BATCH = 64
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
    """Scores are nats of surprise, float64, higher = more anomalous; docs/text_model.md has the arithmetic.

    encoder_bytes: a native text encoder's file (docs/text_core.md), or empty: then `meaning` is left out."""

    rules: Rules
    texts: tuple[str, ...]
    encoder_bytes: bytes
    meaning: Meaning | None
    characters: CharacterModel
    look: Look
    scales: dict[str, Scale]
    threshold_: float
    head: dict[str, NDArray] = field(default_factory=dict)
    _encoder: Any = None

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

        encoder: a native text encoder (path or bytes), or None. rate: the share of normal texts to lie above the
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
        chosen = np.unique(np.linspace(0, len(cleaned) - 1, min(MOST, len(cleaned))).round().astype(int))
        kept = tuple(cleaned[i] for i in chosen)
        data = b"" if encoder is None else encoder if isinstance(encoder, bytes) else _read(encoder)
        look = Look.fit(surfaces(kept))
        model = CharacterModel.fit(kept)
        detector = cls(rules, kept, data, None, model, look, {}, 0.0)
        distances = {"characters": model.mean(kept, own=True), "look": look.leave_one_out()}
        if data:
            detector.meaning = Meaning.fit(detector.embed(kept, progress))
            distances["meaning"] = detector.meaning.leave_one_out()
        detector.scales = {name: Scale.fit(distances[name]) for name in VIEWS if name in distances}
        own = _fuse({name: scale.nats(distances[name]) for name, scale in detector.scales.items()})
        detector.threshold_ = float(np.quantile(own, 1 - rate, method="higher"))
        return detector

    def embed(self, texts: Sequence[str], progress: Progress | None = None) -> NDArray[np.float64]:
        """Embeddings by the file's encoder, float64 (texts, d)."""
        if self._encoder is None:
            from sanderling._core import TextEncoder

            self._encoder = TextEncoder.parse(self.encoder_bytes)
        rows = []
        for start in range(0, len(texts), BATCH):
            rows.append(self._encoder.encode(list(texts[start : start + BATCH])))
            if progress is not None:
                progress(min(start + BATCH, len(texts)), len(texts))
        return np.concatenate(rows).astype(np.float64)

    def nats(self, texts: Sequence[str | bytes]) -> dict[str, NDArray[np.float64]]:
        """Each view's surprise of each text, before the fusion; float64 (texts)."""
        return self._nats([clean(text, Rules(self.rules.mask)) or "" for text in texts])[0]

    def _nats(self, cleaned: Sequence[str]) -> tuple[dict[str, NDArray], NDArray | None]:
        distances = {"characters": self.characters.mean(cleaned), "look": self.look.distance(surfaces(cleaned))}
        rows = None
        if self.meaning is not None:
            rows = self.embed(cleaned)
            distances["meaning"] = self.meaning.distance(rows)
        return {name: scale.nats(distances[name]) for name, scale in self.scales.items()}, rows

    def decision_function(self, texts: Sequence[str | bytes]) -> NDArray[np.float64]:
        """Scores, float64 (texts). A text of any bytes has one; rules mask here and never drop. After `fine_tune` the
        score
        is the head's logit."""
        if isinstance(texts, str | bytes):
            raise InputError("expected a sequence of texts, found one text; put it in a list")
        if not texts:
            return np.zeros(0)
        cleaned = [clean(text, Rules(self.rules.mask)) or "" for text in texts]
        nats, rows = self._nats(cleaned)
        if self.head:
            from sanderling.text.head import logits

            return on_grid(logits(self.head, cleaned, nats, rows, self.look))
        return _fuse(nats)

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
        nats, rows = self._nats([cleaned])
        if rows is not None and self.meaning is not None:
            order = np.argsort(-self.meaning.similarity(rows)[0], kind="stable")
        else:
            squares = (self.look.memory - (surfaces([cleaned]) - self.look.centre) / self.look.spread) ** 2
            order = np.argsort(squares.sum(1), kind="stable")
        return Explanation(
            float(scores[0]),
            {name: float(value[0]) for name, value in nats.items()},
            tuple(dict.fromkeys(self.texts[i] for i in order[: 8 * nearest]))[:nearest],
            tuple((word, fall) for word, fall in dict(reversed(falls)).items() if fall > 0)[::-1][:words],
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """One file (a zip of .npy arrays and a JSON header), replaced atomically."""
        arrays: dict[str, NDArray] = {f"head.{name}": value for name, value in self.head.items()}
        arrays |= self.characters.arrays()
        arrays |= {f"look.{name}": value for name, value in vars(self.look).items()}
        if self.meaning is not None:
            arrays |= {f"meaning.{name}": value.astype(np.float32) for name, value in vars(self.meaning).items()}
        for name, scale in self.scales.items():
            arrays[f"scale.{name}"] = np.concatenate([[scale.start, scale.excess], scale.ranks])
        header = {
            "version": VERSION,
            "rules": asdict(self.rules),
            "threshold": self.threshold_,
            "texts": self.texts,
            "encoder_sha256": hashlib.sha256(self.encoder_bytes).hexdigest(),
        }
        arrays["header"] = np.frombuffer(json.dumps(header, ensure_ascii=False).encode("utf-8"), np.uint8)
        arrays["encoder"] = np.frombuffer(self.encoder_bytes, np.uint8)
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        write_file(path, lambda file: file.write(buffer.getvalue()))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TextDetector:
        """Reads what `save` wrote. Raises ModelNotFoundError, FormatError (not ours, damaged), VersionError."""
        data = _read(path)
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            header = json.loads(arrays.pop("header").tobytes())
            version = header["version"]
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, AttributeError) as error:
            raise FormatError(
                f"expected a calibrated text detector, found {path} (damaged, or not one); calibrate again"
            ) from error
        if version != VERSION:
            raise VersionError(f"expected a text detector of version {VERSION}, found {version}; calibrate again")
        try:
            encoder = arrays["encoder"].tobytes()
            if hashlib.sha256(encoder).hexdigest() != header["encoder_sha256"]:
                raise ValueError("its encoder is not the one it was calibrated with")
            scales = {
                name: Scale(values[2:], float(values[0]), float(values[1]))
                for name in VIEWS
                if (values := arrays.get(f"scale.{name}")) is not None
            }
            meaning = None
            if encoder:
                meaning = Meaning(*(arrays[f"meaning.{n}"].astype(np.float64) for n in ("whiten", "memory")))
            look = Look(*(arrays[f"look.{name}"] for name in ("centre", "spread", "memory")))
            rules = Rules(*(tuple(header["rules"][name]) for name in ("mask", "drop")))
            head = {name[5:]: value for name, value in arrays.items() if name.startswith("head.")}
            characters = CharacterModel.from_arrays(arrays)
            texts, threshold = tuple(header["texts"]), float(header["threshold"])
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise FormatError(
                f"expected a whole text detector, found {path} (damaged, or not one); calibrate again"
            ) from error
        return cls(rules, texts, encoder, meaning, characters, look, scales, threshold, head)

    def export(self, path: str | os.PathLike[str]) -> str:
        """Writes the file that the runner and the engine score with (docs/text_core.md); returns its sha256. It holds
        no reference texts. Raises InputError for a head on a vocabulary (few labels without an encoder)."""
        from sanderling.text.native import write_detector

        return write_detector(path, self)

    def with_head(self, head: dict[str, NDArray], threshold: float) -> TextDetector:
        """The same detector with a head on the views (`head.fine_tune`)."""
        return replace(self, head=head, threshold_=threshold)


def _fuse(nats: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    total = nats["characters"] + np.maximum(nats["look"] - LOOK_AT_LEAST, 0)
    return on_grid(total + nats["meaning"] if "meaning" in nats else total)


def _read(path: str | os.PathLike[str]) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ModelNotFoundError(f"expected a file, found none at {path} ({error.strerror}); check the path") from error
