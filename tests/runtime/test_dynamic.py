"""Dynamic mode through the wrapper: what it reports, and that the switch alone changes nothing else."""

import numpy as np
import pytest

from sanderling import Detector
from tests.helpers.random_model import write_random_native
from tests.runtime.conftest import signal


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Calibrated files of one model: one that probes every token, one that skips up to seven in a row."""
    folder = tmp_path_factory.mktemp("dynamic")
    files = {}
    for name, probe_every in (("always", 1), ("often", 8)):
        cold, files[name] = folder / f"{name}_cold.gguf", folder / f"{name}.gguf"
        write_random_native(cold, probe_every=probe_every)
        Detector.load(cold).fit(signal(900, 2, seed=1)).save(files[name])
    return files


# Beyond the 64 tokens that are never skipped, and a part of a patch.
X = signal(2003, 2)


def test_it_counts_what_it_skips(paths):
    detector = Detector.load(paths["often"], dynamic=True)
    found = detector.explain(X)
    assert detector.dynamic and found.skipped.shape == (251, 2) and found.skipped.dtype == bool
    assert detector.last_tokens == 2 * 251 and detector.last_skipped == found.skipped.sum()
    assert 0.3 < found.skipped.mean() < 0.9 and not found.skipped[:64].any()
    np.testing.assert_array_equal(found.scores, detector.decision_function(X))
    np.testing.assert_array_equal(np.isnan(detector.reconstruct(X)[::8]), found.skipped)


def test_a_stream_says_the_same(paths):
    detector = Detector.load(paths["often"], dynamic=True)
    batch, stream = detector.explain(X), detector.stream()
    parts = [stream.explain(X[i : i + 61]) for i in range(0, len(X), 61)] + [stream.explain_flush()]
    np.testing.assert_array_equal(np.concatenate([p.scores for p in parts]), batch.scores)
    np.testing.assert_array_equal(np.concatenate([p.skipped for p in parts]), batch.skipped)
    assert (stream.tokens, stream.skipped) == (detector.last_tokens, detector.last_skipped)


def test_nothing_skipped_gives_the_full_scores(paths):
    full = Detector.load(paths["often"])
    probing = Detector.load(paths["always"], dynamic=True)
    np.testing.assert_array_equal(full.decision_function(X), probing.decision_function(X))
    assert full.last_skipped == probing.last_skipped == 0 and not full.explain(X).skipped.any()
    some = Detector.load(paths["often"], dynamic=True)
    assert not np.array_equal(full.decision_function(X), some.decision_function(X))
    assert some.threshold_ == full.threshold_


def test_a_cold_start_skips_after_its_own_calibration(paths):
    detector = Detector.load(paths["often"].with_name("often_cold.gguf"), dynamic=True)
    found = detector.explain(X)
    assert not found.skipped[:64].any() and found.skipped[64:].any()
    assert not found.scores[:512].any() and detector.last_skipped == found.skipped.sum()
