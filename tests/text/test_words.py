"""TF-IDF of words: scikit-learn's numbers, on every text of the sets and on hostile ones; the nearest texts."""

import os
from pathlib import Path

import numpy as np
import pytest

from sanderling import _core
from sanderling.text.clean import clean
from sanderling.text.detector import VIEWS, TextDetector
from sanderling.text.sets import SETS, read_set
from sanderling.text.words import NEIGHBOURS, PATTERN, Vocabulary, Words, folded, hash_of
from tests.text.test_native import HOSTILE, NORMAL, exported


def assert_scikit_learns(reference: list[str], texts: list[str]) -> None:
    text = pytest.importorskip("sklearn.feature_extraction.text", reason="the extra text is not installed")
    theirs = text.TfidfVectorizer(sublinear_tf=True, token_pattern=PATTERN, preprocessor=folded).fit(reference)
    ours = Vocabulary.fit(reference)
    hashes = np.array([hash_of(word) for word in theirs.get_feature_names_out()], np.uint64)
    assert len(set(hashes)) == len(ours.hash) == len(hashes)
    column = np.searchsorted(ours.hash, hashes)
    np.testing.assert_array_equal(ours.hash[column], hashes)
    np.testing.assert_allclose(ours.idf[column], theirs.idf_, rtol=1e-15)
    wanted = theirs.transform(texts)
    for row, one in enumerate(texts):
        places, weights = ours.weigh(one)
        mine = dict(zip(places.tolist(), weights.tolist(), strict=True))
        slot = wanted[row]
        assert mine == pytest.approx(
            {int(column[c]): v for c, v in zip(slot.indices, slot.data, strict=True)}, rel=1e-12
        )


def test_weights_are_scikit_learns():
    texts = [clean(text) for text in HOSTILE]
    assert_scikit_learns([*NORMAL, *texts], [*texts, *NORMAL[:5], "a a a b _ x_1 \u01c5 2\xb2 \u0130i", "\u03c2\u03c3"])


@pytest.mark.parametrize("name", sorted(SETS))
def test_real_texts(name, tmp_path):
    """Weights of every text are scikit-learn's; of a slice the engine's scores are numpy's."""
    root = os.environ.get("SANDERLING_DATA")
    if not root:
        pytest.skip("SANDERLING_DATA is unset")
    pytest.importorskip("pyarrow.parquet")
    texts = [clean(text) for text in read_set(Path(root, "text", f"{name}.parquet")).texts]
    assert_scikit_learns(texts[::2], texts[::7])
    detector, data = exported(TextDetector.calibrate(texts[:300], None), tmp_path)
    found = _core.TextScorer.parse(data).score(texts[300:1300])[:, 1 + VIEWS.index("words")]
    wanted = detector.scales["words"].nats(detector.words.distance(texts[300:1300]))
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-9)


def test_distance_is_of_the_nearest_texts():
    texts = ["a b c", "a b d", "x y", "x z", "b c d", "q", ""]
    words = Words.fit(texts)
    dense = np.zeros((len(texts), len(words.vocabulary.hash)))
    for row, text in enumerate(texts):
        places, weights = words.vocabulary.weigh(text)
        dense[row, places] = weights
    cosines = dense @ dense.T
    near = -np.sort(-cosines[0])[:NEIGHBOURS]
    weight = 1 / np.sqrt(np.arange(1, NEIGHBOURS + 1))
    np.testing.assert_allclose(words.distance(texts[:1]), 1 - near @ weight / weight.sum(), atol=1e-7)
    np.testing.assert_allclose(words.cosines(texts[1]), cosines[1], atol=1e-7)
    # Words of one text alone are nobody's when it is left out.
    left = dense * ((dense > 0).sum(0) > 1)
    cosines = left / np.maximum(np.linalg.norm(left, axis=1, keepdims=True), 1e-12) @ dense.T
    np.fill_diagonal(cosines, -2)
    own = [1 - -np.sort(-row)[:NEIGHBOURS] @ weight / weight.sum() for row in cosines]
    np.testing.assert_allclose(words.leave_one_out(texts), own, atol=1e-7)
    assert words.distance(["", "unheard of"]).tolist() == [1.0, 1.0]
