"""A group of streams through the wrapper: the scores of single streams, and what it refuses."""

import numpy as np
import pytest

from sanderling import Detector
from sanderling.errors import InputError, ShapeError, StateError
from tests.runtime.conftest import signal


@pytest.fixture(scope="module")
def fitted(model_path):
    return Detector.load(model_path).fit(signal(900, 2, seed=1))


def chunks_of(recordings, step):
    """Chunk k of each recording; an empty one where it has ended."""
    for at in range(0, max(map(len, recordings)), step):
        yield [x[at : at + step] for x in recordings]


def test_equal_to_single_streams(fitted):
    recordings = [signal(300 + 37 * i, 2, seed=5 + i) for i in range(4)]
    group = fitted.streams(4)
    parts = [group.update(chunk) for chunk in chunks_of(recordings, 21)] + [group.flush()]
    for i, x in enumerate(recordings):
        found = np.concatenate([part[i] for part in parts])
        assert found.dtype == np.float32 and found.tobytes() == fitted.decision_function(x).tobytes()
    assert (len(group), group.channels, group.patch) == (4, 2, 8)
    np.testing.assert_array_equal(group.thresholds, np.full(4, fitted.threshold_, np.float32))


def test_cold_streams(model_path):
    detector = Detector.load(model_path, dynamic=True)
    recordings = [signal(800, 1, seed=i)[:, 0] for i in range(2)]
    group = detector.streams(2, channels=1)
    assert np.isnan(group.thresholds).all()
    parts = [group.update(chunk) for chunk in chunks_of(recordings, 600)] + [group.flush()]
    for i, x in enumerate(recordings):
        assert np.concatenate([part[i] for part in parts]).tobytes() == detector.decision_function(x).tobytes()
        assert group.thresholds[i] == np.float32(detector.threshold_)


def test_refusals(fitted, model_path):
    for n in (0, -1, "two", None):
        with pytest.raises(InputError, match="stream"):
            fitted.streams(n)
    with pytest.raises(ShapeError, match="None"):
        Detector.load(model_path).streams(2)
    with pytest.raises(ShapeError, match="3"):
        fitted.streams(2, channels=3)
    group = fitted.streams(2)
    with pytest.raises(ShapeError, match="found 1"):
        group.update([signal(8, 2)])
    with pytest.raises(ShapeError, match="found 1 "):
        group.update([signal(8, 2), signal(8, 1)])
    assert [len(s) for s in group.update([signal(8, 2), []])] == [8, 0]
    group.flush()
    with pytest.raises(StateError):
        group.update([[], []])
    with pytest.raises(StateError):
        group.flush()
