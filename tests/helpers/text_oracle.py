"""What a text detector's scores are (docs/text_model.md), slowly and in numpy: the oracle of the engine's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sanderling.text.clean import Rules, clean
from sanderling.text.detector import TextDetector, fuse
from sanderling.text.head import _features, _layers, _near
from sanderling.text.surface import surfaces
from sanderling.text.views import on_grid, unit
from sanderling.text.words import Vocabulary


def nats(detector: TextDetector, texts: Sequence[str | bytes]) -> dict[str, NDArray[np.float64]]:
    cleaned = [clean(text, Rules(detector.rules.mask)) or "" for text in texts]
    distances = {
        "characters": detector.characters.mean(cleaned),
        "words": detector.words.distance(cleaned),
        "look": detector.look.distance(surfaces(cleaned)),
    }
    if detector.meaning is not None:
        distances["meaning"] = detector.meaning.distance(detector.embed(cleaned))
    return {name: scale.nats(distances[name]) for name, scale in detector.scales.items()}


def scores(detector: TextDetector, texts: Sequence[str | bytes]) -> NDArray[np.float64]:
    if not detector.head:
        return fuse(nats(detector, texts))
    head, cleaned = detector.head, [clean(text, Rules(detector.rules.mask)) or "" for text in texts]
    rows, inner = (None, None) if detector.meaning is None else detector.embed_inner(cleaned)
    vocabulary = Vocabulary(head["hash"].view(np.uint64), head["idf"]) if rows is None else None
    features = _features(vocabulary, cleaned, nats(detector, texts), rows, detector.look, _layers(head, inner))
    logit = features @ head["weight"] + head["bias"]
    return on_grid(logit if rows is None else logit + _near(head, unit(rows)))
