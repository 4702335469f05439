"""Few labels: a logistic head (cross-entropy) over the views, the embedding and TF-IDF of words and characters."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sanderling.errors import InputError
from sanderling.extras import require
from sanderling.text.clean import Rules, clean
from sanderling.text.detector import RATE, TextDetector
from sanderling.text.surface import surfaces
from sanderling.text.views import Look, unit

LEAST = 4  # labelled anomalies
STRENGTH = 10.0  # inverse of the L2 penalty
# What scikit-learn's TfidfVectorizer is made with; the vocabulary and idf in the file restore it.
TFIDF: dict[str, dict[str, Any]] = {
    "words": {"sublinear_tf": True, "token_pattern": r"(?u)\b\w+\b|[^\w\s]"},
    "characters": {"sublinear_tf": True, "analyzer": "char_wb", "ngram_range": (3, 5), "max_features": 60000},
}


def fine_tune(detector: TextDetector, anomalies: Sequence[str | bytes], rate: float = RATE) -> TextDetector:
    """A detector whose score is the logit of a classifier of its reference texts (normal) against `anomalies`.

    The threshold is the (1 - rate) quantile of the reference's logits under 5-fold cross-fitting. Extra: text. Raises
    InputError for fewer than `LEAST` anomalies."""
    linear = require("sklearn.linear_model", "text")
    found = [text for text in (clean(text, Rules(detector.rules.mask)) for text in anomalies) if text]
    if len(found) < LEAST:
        raise InputError(f"expected at least {LEAST} labelled anomalies that are not empty, found {len(found)}")
    texts = [*detector.texts, *found]
    labels = np.repeat([0, 1], [len(detector.texts), len(found)])
    head = _vocabularies(texts)
    # The reference's own surprise leaves each text out, as a new text would be.
    nats, rows = _own_nats(detector, found)
    features = _features(head, texts, nats, rows, detector.look)

    def fit(chosen: NDArray) -> Any:
        model = linear.LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=500)
        return model.fit(features[chosen], labels[chosen])

    folds = np.arange(len(texts)) % 5
    own = np.empty(len(texts))
    for fold in range(5):
        own[folds == fold] = fit(folds != fold).decision_function(features[folds == fold])
    model = fit(np.ones(len(texts), bool))
    head["weight"] = model.coef_[0].astype(np.float64)
    head["bias"] = model.intercept_.astype(np.float64)
    return detector.with_head(head, float(np.quantile(own[labels == 0], 1 - rate, method="higher")))


def logits(
    head: dict[str, NDArray],
    texts: Sequence[str],
    nats: dict[str, NDArray],
    rows: NDArray | None,
    look: Look,
) -> NDArray[np.float64]:
    """The head's logit of each cleaned text, float64 (texts)."""
    return _features(head, texts, nats, rows, look) @ head["weight"] + head["bias"]


def _own_nats(detector: TextDetector, found: Sequence[str]) -> tuple[dict[str, NDArray], NDArray | None]:
    distances = {
        "characters": detector.characters.mean(detector.texts, own=True),
        "look": detector.look.leave_one_out(),
    }
    rows = None
    if detector.meaning is not None:
        distances["meaning"] = detector.meaning.leave_one_out()
        rows = detector.embed([*detector.texts, *found])
    other = detector.nats(found)
    return {
        name: np.concatenate([scale.nats(distances[name]), other[name]]) for name, scale in detector.scales.items()
    }, rows


def _vocabularies(texts: Sequence[str]) -> dict[str, NDArray]:
    text = require("sklearn.feature_extraction.text", "text")
    head: dict[str, NDArray] = {}
    for name, options in TFIDF.items():
        model = text.TfidfVectorizer(**options).fit(texts)
        words = json.dumps(model.get_feature_names_out().tolist(), ensure_ascii=False)
        head[f"{name}.vocabulary"] = np.frombuffer(words.encode(), np.uint8)
        head[f"{name}.idf"] = model.idf_
    return head


def _features(head: dict[str, NDArray], texts: Sequence[str], nats: dict, rows: NDArray | None, look: Look) -> Any:
    sparse = require("scipy.sparse", "text")
    text = require("sklearn.feature_extraction.text", "text")
    dense = [np.minimum(np.stack([nats[name] for name in sorted(nats)], 1), 20) / 4]
    dense.append(np.clip((surfaces(texts) - look.centre) / look.spread, -5, 5) / 4)
    if rows is not None:
        dense.append(unit(rows))
    parts = [sparse.csr_matrix(np.hstack(dense))]
    for name, options in TFIDF.items():
        words = json.loads(head[f"{name}.vocabulary"].tobytes())
        model = text.TfidfVectorizer(**options, vocabulary={word: i for i, word in enumerate(words)})
        model.idf_ = head[f"{name}.idf"]
        parts.append(model.transform(texts))
    return sparse.hstack(parts).tocsr()
