"""Few labels: a logistic head (cross-entropy) on what the views and the encoder's layers say, and the nearest of the
labelled anomalies."""

from __future__ import annotations

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
from sanderling.text.words import Vocabulary

LEAST = 4  # labelled anomalies
STRENGTH, STRENGTH_WORDS = 0.05, 0.3  # inverse of the L2 penalty: with an encoder, without
NORMAL_NEAR, ANOMALOUS_NEAR = 20, 5
NEAR_WEIGHT = 10.0  # of (cosine with the nearest anomalies - with the nearest normal texts) in the logit


def fine_tune(detector: TextDetector, anomalies: Sequence[str | bytes], rate: float = RATE) -> TextDetector:
    """A detector whose score is the logit of a classifier of its reference texts (normal) against `anomalies`.

    The threshold is the (1 - rate) quantile of the reference's logits under 5-fold cross-fitting. Extra: text. Raises
    InputError for fewer than `LEAST` anomalies, or a rate outside (0, 0.5)."""
    linear = require("sklearn.linear_model", "text")
    if not detector.texts:
        raise InputError("expected a file with its reference texts, found an exported one; give what calibrate wrote")
    if not 0 < rate < 0.5:
        raise InputError(f"expected a rate of false alarms between 0 and 0.5, found {rate}")
    found = [text for text in (clean(text, Rules(detector.rules.mask)) for text in anomalies) if text]
    if len(found) < LEAST:
        raise InputError(
            f"expected at least {LEAST} labelled anomalies that are not empty, found {len(found)}; give more"
        )
    texts = [*detector.texts, *found]
    labels = np.repeat([0, 1], [len(detector.texts), len(found)])
    nats, rows, inner = _own_nats(detector, found)
    head: dict[str, NDArray] = {}
    vocabulary = None
    if rows is None:
        vocabulary = Vocabulary.fit(texts)
        head |= {"hash": vocabulary.hash.view(np.int64), "idf": vocabulary.idf}
    if inner is not None and inner.shape[1]:
        head["inner"] = inner[: len(detector.texts)].mean(0)
    features = _features(vocabulary, texts, nats, rows, detector.look, _layers(head, inner))
    near = np.zeros(len(texts))
    if rows is not None:
        normal, odd = np.split(unit(rows).astype(np.float32), [len(detector.texts)])
        head["normal"], head["anomalous"] = normal, odd
        near = np.concatenate([_near(head, normal, own="normal"), _near(head, odd, own="anomalous")])

    def fit(chosen: NDArray) -> Any:
        strength = STRENGTH_WORDS if rows is None else STRENGTH
        model = linear.LogisticRegression(C=strength, class_weight="balanced", max_iter=500)
        return model.fit(features[chosen], labels[chosen])

    folds = np.arange(len(texts)) % 5
    own = near.copy()
    for fold in range(5):
        own[folds == fold] += fit(folds != fold).decision_function(features[folds == fold])
    model = fit(np.ones(len(texts), bool))
    head["weight"] = model.coef_[0].astype(np.float64)
    head["bias"] = model.intercept_.astype(np.float64)
    return detector.with_head(head, float(np.quantile(own[labels == 0], 1 - rate, method="higher")))


def logit(
    detector: TextDetector, texts: Sequence[str], nats: dict[str, NDArray], rows: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Of texts (cleaned), their nats by view and their embeddings, float64 (texts): what the engine does for a native
    encoder, for a detector with an encoder without inner layers."""
    head = detector.head
    features = _features(None, texts, nats, rows, detector.look, [])
    return features @ head["weight"] + head["bias"][0] + _near(head, unit(rows))


def _own_nats(
    detector: TextDetector, found: Sequence[str]
) -> tuple[dict[str, NDArray], NDArray | None, NDArray | None]:
    """The views' nats of the reference, each text left out as a new one would be, and of the anomalies; embeddings and
    the inner layers' means."""
    distances = detector.leave_one_out()
    rows, inner = (None, None) if detector.meaning is None else detector.embed_inner([*detector.texts, *found])
    other = detector.nats(found)
    nats = {name: np.concatenate([scale.nats(distances[name]), other[name]]) for name, scale in detector.scales.items()}
    return nats, rows, inner


def _layers(head: dict[str, NDArray], inner: NDArray | None) -> list[NDArray[np.float64]]:
    """Directions from the reference's mean, at length 1, float64 (texts, d) a layer."""
    if inner is None or "inner" not in head:
        return []
    return [unit(inner[:, i] - centre) for i, centre in enumerate(head["inner"])]


def _near(head: dict[str, NDArray], rows: NDArray[np.floating], own: str = "") -> NDArray[np.float64]:
    """`NEAR_WEIGHT` x (mean cosine with the nearest anomalies - with the nearest normal texts); own: the memory that
    the
    rows are, each of which is left out."""
    means = []
    for name, most in (("anomalous", ANOMALOUS_NEAR), ("normal", NORMAL_NEAR)):
        similarity = rows @ head[name].T
        if name == own:
            np.fill_diagonal(similarity, -2)
        most = min(most, similarity.shape[1] - (name == own))
        means.append(np.sort(similarity, axis=1)[:, -most:].mean(1))
    return NEAR_WEIGHT * (means[0] - means[1])


def _features(
    vocabulary: Vocabulary | None,  # where there is no encoder
    texts: Sequence[str],
    nats: dict[str, NDArray],
    rows: NDArray | None,
    look: Look,
    layers: Sequence[NDArray],
) -> Any:
    """(texts, features): nats by the views' names, the surface, and embeddings with the inner layers or (without an
    encoder) TF-IDF."""
    dense = [np.minimum(np.stack([nats[name] for name in sorted(nats)], 1), 20) / 4]
    dense.append(np.clip((surfaces(texts) - look.centre) / look.spread, -5, 5) / 8)
    if rows is not None:
        return np.hstack([*dense, 2 * unit(rows), *(2 * layer for layer in layers)])
    assert vocabulary is not None
    sparse = require("scipy.sparse", "text")
    weighed = [vocabulary.weigh(text) for text in texts]
    ends = np.concatenate([[0], np.cumsum([len(places) for places, _ in weighed])])
    values, places = (np.concatenate([pair[side] for pair in weighed]) for side in (1, 0))
    tfidf = sparse.csr_matrix((values, places, ends), (len(texts), len(vocabulary.hash)))
    return sparse.hstack([sparse.csr_matrix(np.hstack(dense)), tfidf]).tocsr()
