"""The stream's scores are the batch's, byte for byte, whatever the chunks."""

import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sanderling import Detector
from sanderling.errors import DtypeError, ShapeError, StateError, TimestampError
from tests.runtime.conftest import COLD, signal

# 3 samples beyond the last full patch, so that flush has a tail to give.
SAMPLES = COLD + 259


def gappy(samples: int, channels: int) -> np.ndarray:
    """A signal with missing values: at the start, short, longer than max_gap, across the cold part's end, infinite."""
    x = signal(samples, channels)
    x[:5, 0] = np.nan
    x[100:110] = np.nan
    x[300:360, -1] = np.nan
    x[COLD - 20 : COLD + 20, 0] = np.inf
    x[COLD + 100 : COLD + 170] = np.nan
    return x


def streamed(detector: Detector, x: np.ndarray, cuts) -> tuple[bytes, float]:
    stream = detector.stream()
    parts, at = [], 0
    for n in cuts:
        parts.append(stream.update(x[at : at + n]))
        at += n
    assert at >= len(x)
    assert stream.samples == len(x)
    parts.append(stream.flush())
    return np.concatenate(parts).tobytes(), stream.threshold


def detector_for(model_path, channels: int, calibrated: bool) -> Detector:
    detector = Detector.load(model_path)
    return detector.fit(signal(400, channels, seed=1)) if calibrated else detector


@pytest.mark.parametrize("calibrated", [False, True], ids=["cold", "calibrated"])
@pytest.mark.parametrize("channels", [1, 38])
@pytest.mark.parametrize("gaps", [False, True], ids=["whole", "gaps"])
def test_stream_equals_batch(model_path, calibrated: bool, channels: int, gaps: bool) -> None:
    detector = detector_for(model_path, channels, calibrated)
    x = gappy(SAMPLES, channels) if gaps else signal(SAMPLES, channels)
    batch = detector.decision_function(x)
    assert np.isnan(batch).any() == gaps
    threshold = detector.threshold_
    rng = np.random.default_rng(0)
    random_cuts = rng.integers(0, 40, SAMPLES).tolist()
    for cuts in ([1] * SAMPLES, [7] * SAMPLES, [8] * SAMPLES, [9] * SAMPLES, random_cuts, [SAMPLES]):
        needed = int(np.searchsorted(np.cumsum(cuts), SAMPLES)) + 1
        scores, streams_threshold = streamed(detector, x, cuts[:needed])
        assert scores == batch.tobytes() and streams_threshold == threshold


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 60), max_size=30), st.integers(1, 300))
def test_any_chunks_equal_batch(calibrated_path, cuts: list[int], samples: int) -> None:
    detector = Detector.load(calibrated_path)
    x = signal(samples)
    scores, _ = streamed(detector, x, [*cuts, samples])
    assert scores == detector.decision_function(x).tobytes()


def test_batches_longer_than_a_slice_equal_the_stream(calibrated_path) -> None:
    from sanderling.runtime.detector import _BATCH

    detector = Detector.load(calibrated_path)
    x = signal(_BATCH + 9)
    scores, _ = streamed(detector, x, [1000] * 17)
    assert scores == detector.decision_function(x).tobytes()


@pytest.mark.parametrize("samples", [1, 7, 8, 9, COLD - 1, COLD, COLD + 1])
def test_short_recordings(model_path, samples: int) -> None:
    detector = Detector.load(model_path)
    x = signal(samples)
    assert streamed(detector, x, [1] * samples)[0] == detector.decision_function(x).tobytes()


def test_a_score_never_depends_on_the_future(calibrated_path) -> None:
    detector = Detector.load(calibrated_path)
    x, y = signal(400), signal(400)
    y[200:] = 100
    a, b = detector.decision_function(x), detector.decision_function(y)
    assert a[:200].tobytes() == b[:200].tobytes() and a[200:].tobytes() != b[200:].tobytes()


def test_explanations_equal_batch(model_path) -> None:
    detector = detector_for(model_path, 3, True)
    x = signal(83, 3)
    stream = detector.stream()
    parts = [stream.explain(x[i : i + 9]) for i in range(0, 83, 9)] + [stream.explain_flush()]
    batch = detector.explain(x)
    for name in ("scores", "channel_scores", "components"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        assert joined.tobytes() == getattr(batch, name).tobytes(), name


def test_patches_come_when_they_are_complete(calibrated_path) -> None:
    stream = Detector.load(calibrated_path).stream()
    assert [stream.update(signal(1)).size for _ in range(17)] == [0] * 7 + [8] + [0] * 7 + [8, 0]
    assert stream.flush().size == 1


def test_empty_chunks_and_an_empty_stream(model_path) -> None:
    stream = Detector.load(model_path).stream()
    assert stream.update([]).size == 0 and stream.channels is None and stream.samples == 0
    assert stream.update(signal(20, 2)).size == 16 and stream.channels == 2
    assert stream.update([]).size == 0
    assert stream.flush().size == 4
    assert Detector.load(model_path).stream().flush().size == 0


def test_the_threshold_of_a_cold_stream_appears_after_its_first_part(model_path) -> None:
    stream = Detector.load(model_path).stream()
    assert np.isnan(stream.threshold)
    stream.update(signal(COLD - 1))
    assert np.isnan(stream.threshold)
    stream.update(signal(1))
    assert stream.threshold > 0


def test_streams_do_not_disturb_each_other(calibrated_path) -> None:
    detector = Detector.load(calibrated_path)
    x, y = signal(200), signal(200, seed=5)
    a, b = detector.stream(), detector.stream()
    pairs = [(a.update(x[i : i + 10]), b.update(y[i : i + 10])) for i in range(0, 200, 10)]
    for index, z in enumerate((x, y)):
        joined = np.concatenate([pair[index] for pair in pairs])
        assert joined.tobytes() == detector.decision_function(z).tobytes()


def test_a_stream_outlives_its_detector(calibrated_path) -> None:
    expected = Detector.load(calibrated_path).decision_function(signal(80))
    stream = Detector.load(calibrated_path).stream()
    assert stream.update(signal(80)).tobytes() == expected.tobytes()


def test_a_stream_keeps_its_calibration_when_the_detector_is_fitted_again(model_path) -> None:
    detector = Detector.load(model_path).fit(signal(300))
    expected = detector.decision_function(signal(80))
    stream = detector.stream()
    detector.fit(signal(300) * 5 + 1)
    assert stream.update(signal(80)).tobytes() == expected.tobytes()


def test_threads_may_share_a_model_and_even_a_stream(calibrated_path) -> None:
    detector = Detector.load(calibrated_path)
    x = signal(800)
    expected = detector.decision_function(x).tobytes()
    shared = detector.stream()
    results, taken = [], []

    def work() -> None:
        results.append(detector.decision_function(x).tobytes())
        taken.append(shared.update(x).size)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 4 and taken == [800] * 4 and shared.samples == 3200


def test_threads_may_open_a_cold_stream_together(model_path) -> None:
    detector = Detector.load(model_path)
    x = signal(8, 2)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(50):  # each try races to the first chunk
            stream, together = detector.stream(), threading.Barrier(4)

            def work(stream=stream, together=together) -> None:
                together.wait()
                stream.update(x)

            threads = [threading.Thread(target=work) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert stream.samples == 32
    finally:
        sys.setswitchinterval(interval)


@pytest.mark.parametrize("channels", [0, -1, 1025, 2**70, 1.5, "2"])
def test_a_number_of_channels_that_is_none(model_path, channels) -> None:
    with pytest.raises(ShapeError, match="expected"):
        Detector.load(model_path).stream(channels)


def test_a_falling_timestamp_leaves_the_stream_as_it_was(calibrated_path) -> None:
    detector = Detector.load(calibrated_path)
    x = signal(24)
    stream = detector.stream()
    stream.update(x[:10], timestamps=np.arange(10))
    for times in ([8.5], [9, 8], [np.nan]):
        with pytest.raises(TimestampError):
            stream.update(x[: len(times)], timestamps=times)
    with pytest.raises(TimestampError, match="expected 14 timestamps"):
        stream.update(x[10:], timestamps=[10])
    assert stream.samples == 10
    rest = stream.update(x[10:], timestamps=np.arange(9, 23))  # equal to the last one is kept
    assert rest.tobytes() == detector.decision_function(x)[8:].tobytes()


def test_bad_chunks_leave_the_stream_as_it_was(calibrated_path) -> None:
    stream = Detector.load(calibrated_path).stream()
    for chunk, error in ((["a"], DtypeError), (np.zeros((3, 2)), ShapeError), (3.0, ShapeError)):
        with pytest.raises(error):
            stream.update(chunk)
    assert stream.samples == 0 and stream.update(signal(8)).size == 8


def test_an_ended_stream(calibrated_path) -> None:
    stream = Detector.load(calibrated_path).stream()
    stream.flush()
    with pytest.raises(StateError, match="flush ended"):
        stream.update(signal(8))
    with pytest.raises(StateError, match="flush ended"):
        stream.flush()
