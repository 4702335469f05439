"""The detector: cold and calibrated scores, explanations, saving, and every bad input with its error."""

import copy
import hashlib
import os
import pickle

import numpy as np
import pytest

import sanderling
from sanderling import Detector
from sanderling.errors import (
    CalibrationError,
    DtypeError,
    FormatError,
    InputError,
    ModelError,
    ModelNotFoundError,
    ShapeError,
    StateError,
    StorageError,
    TimestampError,
    VersionError,
)
from sanderling.runtime.explanation import COMPONENTS
from sanderling.runtime.recording import Recording
from tests.runtime.conftest import COLD, signal

MIN_REFERENCE = 256  # docs/model.md section 8
MAX_GAP = 32  # docs/model.md section 1


@pytest.fixture
def cold(model_path) -> Detector:
    return Detector.load(model_path)


@pytest.fixture
def calibrated(calibrated_path) -> Detector:
    return Detector.load(calibrated_path)


@pytest.mark.parametrize("samples", [1, 7, 8, 9, COLD - 1, COLD, COLD + 1, 1000])
def test_one_score_a_sample(cold, calibrated, samples: int) -> None:
    for detector in (cold, calibrated):
        scores = detector.decision_function(signal(samples))
        assert scores.dtype == np.float32 and scores.shape == (samples,)
        assert np.isfinite(scores).all() and (scores >= 0).all()


def test_cold_scores_are_zero_and_then_positive(cold) -> None:
    scores = cold.decision_function(signal(1000))
    assert (scores[:COLD] == 0).all() and (scores[COLD:] > 0).all()


def test_an_outlier_scores_highest_and_is_labelled(cold, calibrated) -> None:
    x = signal(1000)
    x[700:708] += 6
    for detector in (cold, calibrated):
        scores = detector.decision_function(x)
        assert 696 <= int(scores.argmax()) < 740  # smoothing looks back over 4 patches
        labels = detector.predict(x)
        assert labels.dtype == np.int8 and set(np.unique(labels)) <= {0, 1}
        np.testing.assert_array_equal(labels, scores > np.float32(detector.threshold_))
        assert labels[696:740].any()


def test_threshold_of_a_cold_detector_is_that_of_the_last_recording(cold) -> None:
    assert np.isnan(cold.threshold_) and not cold.calibrated and cold.channels is None
    cold.decision_function(signal(COLD - 1))
    assert np.isnan(cold.threshold_)
    assert not cold.predict(signal(COLD - 1)).any()
    cold.decision_function(signal(1000))
    assert cold.threshold_ > 0


def test_fewer_false_alarms_mean_a_higher_threshold(model_path) -> None:
    thresholds = [
        Detector.load(model_path).fit(signal(2000), false_alarms=n, period_s=1.0).threshold_ for n in (0.1, 1, 100)
    ]
    assert thresholds[0] > thresholds[1] > thresholds[2]


def test_fit_returns_itself_and_says_what_it_stored(cold) -> None:
    fitted = cold.fit(signal(400, 3), scaling="standard", false_alarms=2.0, period_s=0.5)
    assert fitted is cold and cold.calibrated and cold.channels == 3 and cold.path is None
    info = cold.info
    assert (info["scaling"], info["false_alarms"], info["period_s"]) == ("standard", 2.0, 0.5)
    assert info["reference_samples"] == 400


def test_scaling_changes_the_scores(model_path) -> None:
    x = signal(800)
    x[100] = 50  # an outlier moves the mean and not the median
    robust, standard = (
        Detector.load(model_path).fit(x, scaling=s).decision_function(x) for s in ("robust", "standard")
    )
    assert not np.array_equal(robust, standard)


def test_a_recordings_period_is_used(model_path) -> None:
    x = signal(400)
    detector = Detector.load(model_path).fit(Recording(x, ("a",), period_s=0.25))
    assert detector.info["period_s"] == 0.25
    np.testing.assert_array_equal(detector.decision_function(Recording(x, ("a",))), detector.decision_function(x))


def test_one_dimension_is_one_channel(cold) -> None:
    x = signal(700)
    np.testing.assert_array_equal(cold.decision_function(x[:, 0]), cold.decision_function(x))
    assert cold.reconstruct(x[:, 0]).shape == (700,) and cold.reconstruct(x).shape == (700, 1)


def test_other_dtypes_give_the_scores_of_their_float32(cold) -> None:
    x = np.rint(100 * signal(700))
    expected = cold.decision_function(x.astype(np.float32))
    for other in (x.astype(np.float64), x.astype(np.int32), np.asfortranarray(x), x.tolist()):
        np.testing.assert_array_equal(cold.decision_function(other), expected)


def test_explanation(calibrated) -> None:
    x = signal(803)
    x[700:708] += 6
    explained = calibrated.explain(x)
    np.testing.assert_array_equal(explained.scores, calibrated.decision_function(x))
    assert explained.channel_scores.shape == (803, 1)
    assert explained.components.shape == (101, 1, len(COMPONENTS))  # 100 patches and a tail of 3 samples
    assert explained.threshold == calibrated.threshold_ and set(explained.top_channel) == {0}
    np.testing.assert_array_equal(explained.labels, calibrated.predict(x))
    alarm = max(explained.alarms(), key=lambda a: a.score)
    assert alarm.start <= alarm.peak <= alarm.end and alarm.score == explained.scores.max()
    assert alarm.channel == 0 and alarm.component in COMPONENTS
    assert explained.labels.sum() == sum(a.end - a.start + 1 for a in explained.alarms())


def test_the_faulty_channel_is_blamed(model_path) -> None:
    x = signal(1200, 5)
    x[1000:1016, 3] += 8
    explained = Detector.load(model_path).fit(x[:800]).explain(x)
    alarm = max(explained.alarms(), key=lambda a: a.score)
    assert alarm.channel == 3 and 1000 <= alarm.peak < 1048


def test_reconstruction_is_nan_while_cold(cold) -> None:
    x_hat = cold.reconstruct(signal(800, 2))
    assert x_hat.dtype == np.float32 and x_hat.shape == (800, 2)
    assert np.isnan(x_hat[:COLD]).all() and np.isfinite(x_hat[COLD:]).all()


@pytest.mark.parametrize("channels", [1, 38])
def test_save_and_load_keep_every_bit(model_path, tmp_path, channels: int) -> None:
    x = signal(700, channels)
    detector = Detector.load(model_path).fit(x[:500])
    scores = detector.decision_function(x)
    detector.save(tmp_path / "a.gguf")
    again = Detector.load(tmp_path / "a.gguf")
    assert again.decision_function(x).tobytes() == scores.tobytes() and again.threshold_ == detector.threshold_
    again.save(tmp_path / "b.gguf")
    raw = (tmp_path / "a.gguf").read_bytes()
    assert raw == (tmp_path / "b.gguf").read_bytes()
    assert again.sha256() == hashlib.sha256(raw).hexdigest()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.gguf", "b.gguf"]  # no temporary file is left


@pytest.mark.parametrize("again", [lambda d: pickle.loads(pickle.dumps(d)), copy.deepcopy])
def test_a_detector_travels_to_other_processes(cold, calibrated, again) -> None:
    for detector in (cold, calibrated):
        x, twin = signal(600, detector.channels or 2), again(detector)
        assert np.array_equal(twin.decision_function(x), detector.decision_function(x), equal_nan=True)
        assert twin.path == detector.path and twin.info == detector.info


def test_calibrating_again_forgets_the_first_time(model_path) -> None:
    once = Detector.load(model_path).fit(signal(600, 2, seed=2))
    twice = Detector.load(model_path).fit(signal(600)).fit(signal(600, 2, seed=2))
    x = signal(700, 2)
    assert once.decision_function(x).tobytes() == twice.decision_function(x).tobytes()


def test_a_path_that_is_not_ascii(model_path, tmp_path) -> None:
    path = tmp_path / "Maß Ω.gguf"
    Detector.load(model_path).save(path)
    assert Detector.load(path).path == path


def test_a_fitted_detector_has_no_file_to_hash(cold) -> None:
    with pytest.raises(StateError, match="save it first"):
        cold.fit(signal(300)).sha256()


# Documented behaviour of what is missing or extreme.


@pytest.mark.parametrize("missing", [np.nan, np.inf, -np.inf])
def test_missing_values_give_nan_beyond_the_gap(calibrated, missing: float) -> None:
    x = signal(800)
    x[400:500] = missing
    scores = calibrated.decision_function(x)
    nan = np.flatnonzero(np.isnan(scores))
    assert nan.tolist() == list(range(400 + MAX_GAP, 500))
    assert not calibrated.predict(x)[nan].any()


def test_infinities_are_missing_values(calibrated) -> None:
    x, y = signal(800), signal(800)
    x[300:310], y[300:310] = np.nan, np.inf
    assert calibrated.decision_function(x).tobytes() == calibrated.decision_function(y).tobytes()


def test_all_nan(cold, calibrated) -> None:
    x = np.full((700, 1), np.nan, np.float32)
    assert np.isnan(calibrated.decision_function(x)).all()
    assert (cold.decision_function(x)[:COLD] == 0).all() and np.isnan(cold.decision_function(x)[COLD:]).all()
    explained = calibrated.explain(x)
    assert set(explained.top_channel) == {-1} and explained.alarms() == []


def test_one_dead_channel_leaves_the_others(model_path) -> None:
    x = signal(1000, 3)
    x[:, 1] = np.nan
    explained = Detector.load(model_path).fit(x[:600]).explain(x)
    assert np.isfinite(explained.scores).all() and 1 not in explained.top_channel


def test_a_constant_channel_that_moves_is_an_anomaly(model_path) -> None:
    x = np.full((1000, 1), 5, np.float32)
    detector = Detector.load(model_path).fit(x[:600])
    x[800:808] = 6
    scores = detector.decision_function(x)
    assert np.isfinite(scores).all() and 800 <= scores.argmax() < 840


def test_huge_values_are_clipped_not_infinite(cold, calibrated) -> None:
    x = signal(800)
    x[600] = 1e30
    x[650] = -3e38
    for detector in (cold, calibrated):
        assert np.isfinite(detector.decision_function(x)).all()
    assert np.isfinite(cold.fit(x).decision_function(x)).all()
    assert np.isfinite(calibrated.decision_function(np.full(300, 1e300))).all()


# Bad input.

BAD_SIGNALS = [
    (["a", "b"], DtypeError),
    ([None, 1.0], DtypeError),
    ([1j], DtypeError),
    ([], ShapeError),
    (1.0, ShapeError),
    (np.zeros((2, 2, 2)), ShapeError),
    (np.zeros((10, 2)), ShapeError),  # the model knows one channel
]


@pytest.mark.parametrize(("x", "error"), BAD_SIGNALS)
@pytest.mark.parametrize("method", ["decision_function", "predict", "explain", "reconstruct"])
def test_bad_signals(calibrated, method: str, x, error: type) -> None:
    with pytest.raises(error, match="expected"):
        getattr(calibrated, method)(x)


@pytest.mark.parametrize(("x", "error"), BAD_SIGNALS[:-1])
def test_bad_references(cold, x, error: type) -> None:
    with pytest.raises(error, match="expected"):
        cold.fit(x)
    assert not cold.calibrated


def test_a_short_reference(cold) -> None:
    with pytest.raises(CalibrationError, match=f"{MIN_REFERENCE}.*{MIN_REFERENCE - 1}"):
        cold.fit(signal(MIN_REFERENCE - 1))
    assert cold.fit(signal(MIN_REFERENCE)).calibrated


@pytest.mark.parametrize(
    "options",
    [{"scaling": "minmax"}, {"false_alarms": 0}, {"false_alarms": float("nan")}, {"false_alarms": float("inf")},
     {"false_alarms": "1"}, {"false_alarms": None}, {"false_alarms": 10**400}, {"false_alarms": 1e39},
     {"period_s": 0}, {"period_s": -1.0}, {"period_s": 1e-300}, {"period_s": "1"}],
)  # fmt: skip
def test_bad_options(cold, options: dict) -> None:
    with pytest.raises(InputError, match="expected"):
        cold.fit(signal(300), **options)


def test_wrong_channels_name_both_numbers(calibrated) -> None:
    with pytest.raises(ShapeError, match=r"expected 1 channel\(s\).*found 3"):
        calibrated.decision_function(signal(20, 3))
    with pytest.raises(ShapeError, match="found 3"):
        calibrated.stream(3)


def test_unsorted_and_equal_timestamps(calibrated) -> None:
    x = signal(4)
    with pytest.raises(TimestampError, match="never fall"):
        calibrated.decision_function(x, timestamps=[0, 2, 1, 3])
    with pytest.raises(TimestampError, match="never fall"):
        calibrated.predict(Recording(x, ("a",), timestamps=np.array([0.0, 2, 1, 3])))
    assert calibrated.decision_function(x, timestamps=[0, 1, 1, 2]).shape == (4,)


# Bad files.


def test_no_such_model(tmp_path) -> None:
    with pytest.raises(ModelNotFoundError, match="shipped names"):
        Detector.load(tmp_path / "absent.gguf")
    with pytest.raises(FileNotFoundError):
        Detector.load("no-such-name")
    with pytest.raises(ModelNotFoundError, match="found something else"):
        Detector.load(tmp_path)
    with pytest.raises(ModelNotFoundError):
        Detector.load("a" * 300)  # longer than a name may be


@pytest.mark.parametrize("part", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_model(calibrated_path, tmp_path, part: float) -> None:
    raw = calibrated_path.read_bytes()
    path = tmp_path / "cut.gguf"
    path.write_bytes(raw[: int(part * len(raw))])
    with pytest.raises(FormatError):
        Detector.load(path)


def test_flipped_bits_never_crash(calibrated_path, tmp_path) -> None:
    """A flip in the header is refused; one in the weights may pass, and then the model must still score."""
    raw = bytearray(calibrated_path.read_bytes())
    path = tmp_path / "flipped.gguf"
    refused = 0
    places = list(range(0, 400)) + np.random.default_rng(0).integers(0, len(raw), 200).tolist()
    for i, place in enumerate(places):
        flipped = raw.copy()
        flipped[place] ^= 1 << (i % 8)
        path.write_bytes(flipped)
        try:
            scores = Detector.load(path).decision_function(signal(64))
        except ModelError:
            refused += 1
        else:
            assert scores.shape == (64,)
    assert refused > 100


def test_another_version(model_path, tmp_path) -> None:
    raw = model_path.read_bytes()
    key = b"sanderling.version"
    at = raw.index(key) + len(key) + 4  # the u32 after the value's type
    assert raw[at : at + 4] == b"\x01\x00\x00\x00"
    path = tmp_path / "later.gguf"
    path.write_bytes(raw[:at] + b"\x02\x00\x00\x00" + raw[at + 4 :])
    with pytest.raises(VersionError, match="2"):
        Detector.load(path)


def test_a_file_of_something_else(tmp_path) -> None:
    path = tmp_path / "text.gguf"
    path.write_text("time,a\n0,1\n" * 100)
    with pytest.raises(FormatError):
        Detector.load(path)


def test_saving_where_nothing_can_be_written(cold, tmp_path) -> None:
    with pytest.raises(StorageError):
        cold.save(tmp_path / "absent" / "m.gguf")
    assert list(tmp_path.iterdir()) == []
    for name in ("", "a\0b"):
        with pytest.raises(InputError, match="expected a file's name"):
            cold.save(name)


def test_saving_never_replaces_a_device_or_folder(cold, tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(StorageError, match="folder or device"):
            cold.save(tmp_path / name)
    assert (tmp_path / "pipe").is_fifo() and sorted(p.name for p in tmp_path.iterdir()) == ["folder", "pipe"]


def test_saving_over_its_own_file(calibrated_path, tmp_path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(calibrated_path.read_bytes())
    detector = Detector.load(path)
    detector.save(path)
    assert path.read_bytes() == calibrated_path.read_bytes()
    expected = detector.fit(signal(300, 3)).decision_function(signal(64, 3))  # other channels than before
    detector.save(path)
    assert Detector.load(path).decision_function(signal(64, 3)).tobytes() == expected.tobytes()


def test_errors_are_one_tree() -> None:
    errors = [e for e in vars(sanderling.errors).values() if isinstance(e, type) and issubclass(e, Exception)]
    ours = [e for e in errors if not issubclass(e, Warning)]
    assert ours and all(issubclass(e, sanderling.SanderlingError) for e in ours)
    drawn = sanderling.errors.__doc__ or ""
    assert all(e.__name__ in drawn for e in errors)
