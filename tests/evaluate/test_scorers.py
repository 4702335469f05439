"""The detector as a scorer: which mode it really runs in, adapting, and the model's identity on a worker."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

from sanderling.errors import InputError, ModelError
from sanderling.evaluate.scorers import DetectorScorer
from sanderling.evaluate.series import Series

pytest.importorskip("sanderling._core", reason="the C++ core is not installed")


@dataclass
class Report:
    share: float


def swapped(model, reference, out, *, calls, other):
    """Adapting that puts another model in place, so that it shows whether its file is the one that runs."""
    calls.append((model, reference.shape, out.suffix))
    out.write_bytes(other.read_bytes())
    return Report(0.02)


@pytest.fixture(scope="module")
def other_path(tmp_path_factory):
    from tests.helpers.random_model import write_random_native

    path = tmp_path_factory.mktemp("other") / "other.gguf"
    write_random_native(path, seed=5)
    return path


def item(train_end=400):
    x = np.random.default_rng(0).normal(size=(700, 1)).astype(np.float32)
    return Series("s", "a", x, np.zeros(700, np.uint8), train_end, 60.0)


def test_adapted_scores_with_the_file_that_adapting_wrote(model_path, other_path):
    calls = []
    adapted = DetectorScorer(model_path, adapt=partial(swapped, calls=calls, other=other_path))
    scores, threshold, notes = adapted.score_series(item(), "adapted")
    expected = DetectorScorer(other_path).score_series(item(), "calibrated")
    assert calls == [(model_path, (400, 1), ".gguf")]
    np.testing.assert_array_equal(scores, expected[0])
    assert threshold == expected[1] and notes == {"scored": "adapted", "adapt": {"share": 0.02}}
    plain = adapted.score_series(item(), "calibrated")
    assert len(calls) == 1 and not np.array_equal(plain[0], scores) and plain[2] == {"scored": "calibrated"}


@pytest.mark.parametrize(("train_end", "mode"), [(255, "calibrated"), (-1, "adapted"), (400, "cold")])
def test_without_a_reference_it_is_cold(model_path, train_end, mode):
    scores, _, notes = DetectorScorer(model_path, adapt=swapped).score_series(item(train_end), mode)
    assert notes["scored"] == "cold" and ("needs 256" in notes.get("reason", "")) == (mode != "cold")
    assert not scores[:512].any() and scores[512:].any()


def test_mistakes_are_named(model_path):
    with pytest.raises(InputError, match="function that adapts"):
        DetectorScorer(model_path).score_series(item(), "adapted")
    with pytest.raises(InputError, match="expected mode"):
        DetectorScorer(model_path).score_series(item(), "warm")
    with pytest.raises(ModelError, match="expected the model 000000000000, found"):
        DetectorScorer(model_path, sha256="0" * 64).score_series(item(), "cold")
