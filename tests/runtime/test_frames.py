"""Frames of high-rate signals through the detector: the numpy reference's features, any chunks, files, rates."""

import numpy as np
import pytest
from sanderling.export.native import write_native

from sanderling import Detector, _core
from sanderling.errors import CalibrationError, FormatError, InputError, ShapeError
from sanderling.runtime.frames import output_names
from sanderling.runtime.recording import Recording
from sanderling.signal.frames import FEATURES, frames
from tests.helpers.random_model import DEFAULT, random_tensors

PERIOD = 1e-4
SHORT, ODD, TEN_MS = 16, 37, 480  # the least, no multiple of anything, 48 kHz
PATCH = 8


def vibration(samples: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    """float32 (samples, channels): coloured noise about 1 with an impact now and then."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((samples + 3, channels))
    x = 1 + x[3:] + 0.8 * x[2:-1] + 0.3 * x[:-3]
    x[rng.integers(0, samples, samples // 500 + 1)] += 9
    return x.astype(np.float32)


def gappy(samples: int, channels: int = 1) -> np.ndarray:
    """Single samples, runs across frames, whole frames, at the start, infinities."""
    x = vibration(samples, channels, seed=1)
    rng = np.random.default_rng(2)
    x[:5, 0] = np.nan
    for _ in range(samples // 400 + 1):
        at, n = rng.integers(0, samples), rng.choice([1, 7, 30, 90])
        x[at : at + n, rng.integers(channels)] = rng.choice([np.nan, np.inf])
    return x


def fitted(model_path, length: int, channels: int = 1, **options) -> Detector:
    reference = vibration(300 * length, channels, seed=3)
    return Detector.load(model_path).fit(reference, period_s=PERIOD, frame_ms=length * PERIOD * 1e3, **options)


def test_the_engine_names_the_references_features() -> None:
    assert _core.frame_features == FEATURES


@pytest.mark.parametrize("length", [SHORT, ODD, TEN_MS])
@pytest.mark.parametrize("make", [vibration, gappy])
def test_the_engine_computes_the_references_frames(length: int, make) -> None:
    x = make(40 * length + 5, 3)
    wanted = frames(x, length)
    for isa in _core.isa_supported():
        found = _core.frames(x, length, isa)
        assert found.dtype == np.float32 and found.shape == wanted.shape
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
    assert np.isnan(wanted).any() == (make is gappy and length < 100)


@pytest.mark.parametrize("calibrated", [False, True], ids=["cold", "calibrated"])
@pytest.mark.parametrize("make", [vibration, gappy])
def test_stream_equals_batch(model_path, calibrated: bool, make) -> None:
    options = {"period_s": PERIOD, "frame_ms": SHORT * PERIOD * 1e3}
    detector = fitted(model_path, SHORT, 2) if calibrated else Detector.load(model_path, **options)
    x = make(550 * SHORT + 21, 2)
    batch = detector.decision_function(x)
    assert batch.shape == (len(x),) and len(np.unique(batch[~np.isnan(batch)])) > 3
    assert (not calibrated) == (batch[: 512 * SHORT] == 0).all()
    rng = np.random.default_rng(0)
    for sizes in ([1], [15], [16], [17], [128], rng.integers(0, 900, 99).tolist()):
        stream, parts, at = detector.stream(), [], 0
        while at < len(x):
            n = sizes[len(parts) % len(sizes)]
            parts.append(stream.update(x[at : at + n]))
            at = min(at + n, len(x))
            assert sum(map(len, parts)) == at // (PATCH * SHORT) * (PATCH * SHORT)
        parts.append(stream.flush())
        assert np.concatenate(parts).tobytes() == batch.tobytes()
        assert stream.threshold == detector.threshold_ and stream.samples == len(x)


def test_the_model_sees_frames_as_channels(model_path) -> None:
    # Frames given as an ordinary recording score like the raw samples behind them.
    raw = fitted(model_path, ODD)
    plain = Detector.load(model_path).fit(
        _core.frames(vibration(300 * ODD, seed=3), ODD), period_s=float(np.float32(ODD) * np.float32(PERIOD))
    )
    x = vibration(80 * ODD, seed=5)
    scores = plain.decision_function(_core.frames(x, ODD))
    assert raw.threshold_ == plain.threshold_
    assert raw.decision_function(x).tobytes() == np.repeat(scores, ODD).tobytes()


def test_file_round_trip(model_path, tmp_path) -> None:
    detector, x = fitted(model_path, ODD, 2), gappy(100 * ODD, 2)
    scores = detector.decision_function(x)
    detector.save(tmp_path / "a.gguf")
    opened = Detector.load(tmp_path / "a.gguf")
    assert opened.decision_function(x).tobytes() == scores.tobytes()
    wanted = {"frame_samples": ODD, "channels": 2, "outputs": 2 * len(FEATURES), "patch": PATCH * ODD}
    assert {key: opened.info[key] for key in wanted} == wanted
    assert opened.info["period_s"] == np.float32(PERIOD) and opened.info["reference_samples"] == 300 * ODD
    # Calibrated again without a word about frames: they stay.
    opened.fit(vibration(300 * ODD, 2, seed=3)).save(tmp_path / "b.gguf")
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()
    assert opened.fit(vibration(300, 2), frame_ms=0).info["frame_samples"] == 0


@pytest.mark.parametrize(
    ("rate", "samples", "frame_ms", "length"),
    [
        (48_000, 480 * 512, None, 480),
        (48_000, 480 * 511, None, 240),
        (12_000, 480 * 512, None, 480),
        (1_000, 600, None, 0),
        (100, 600, None, 0),
        (48_000, 300, 0, 0),
        (12_000, 30_000, 5, 60),
    ],
)
def test_frames_are_chosen_by_the_rate(model_path, rate, samples, frame_ms, length) -> None:
    detector = Detector.load(model_path).fit(vibration(samples), period_s=1 / rate, frame_ms=frame_ms)
    assert detector.info["frame_samples"] == length


def test_a_recording_brings_its_rate(model_path) -> None:
    x = vibration(300 * TEN_MS)
    detector = Detector.load(model_path).fit(Recording(x, ("de",), period_s=1 / 48_000))
    assert detector.info["frame_samples"] == 240
    assert np.isfinite(detector.decision_function(Recording(x[:5000], ("de",), period_s=1 / 48_000))).all()
    with pytest.raises(InputError, match="rate of the model's frames"):
        detector.decision_function(Recording(x[:5000], ("de",), period_s=1 / 12_000))
    with pytest.raises(ShapeError):
        detector.decision_function(vibration(500, 2))


@pytest.mark.parametrize("frame_ms", [-1, float("nan"), float("inf"), 1e39, True, "10", 1e-4, 1e6])
def test_frame_ms_is_checked(model_path, frame_ms) -> None:
    with pytest.raises(InputError, match="frame"):
        Detector.load(model_path).fit(vibration(600), period_s=PERIOD, frame_ms=frame_ms)


def test_frames_need_a_rate_and_enough_samples(model_path) -> None:
    with pytest.raises(InputError, match="period_s"):
        Detector.load(model_path).fit(vibration(600), frame_ms=10)
    with pytest.raises(CalibrationError, match="256 frames"):
        Detector.load(model_path).fit(vibration(256 * 100 - 1), period_s=PERIOD, frame_ms=10)


def test_missing_frames_have_no_score(model_path) -> None:
    # max_gap is 32 samples; with frames, 32 frames.
    detector, x = fitted(model_path, SHORT), vibration(80 * SHORT, seed=7)
    x[20 * SHORT : 60 * SHORT] = np.nan
    missing = np.isnan(detector.decision_function(x))
    assert missing.tolist() == [52 * SHORT <= i < 60 * SHORT for i in range(len(x))]


def test_blame_names_a_feature(model_path) -> None:
    detector, x = fitted(model_path, SHORT, 2), vibration(100 * SHORT, 2, seed=8)
    explained = detector.explain(x)
    names = output_names(("de", "fe"), explained.frame_samples)
    assert names[0] == "de_level1_rms" and names[-1] == "fe_kurtosis" and len(set(names)) == 2 * len(FEATURES)
    assert explained.channel_scores.shape == (len(x), len(names))
    assert explained.components.shape == (-(-len(x) // (PATCH * SHORT)), len(names), 8)
    assert explained.scores.tobytes() == detector.decision_function(x).tobytes()
    for alarm in explained.alarms():
        assert alarm.channel < len(names)
    assert detector.reconstruct(x).shape == (len(x), len(names))


def test_an_uncalibrated_file_may_bring_frames(tmp_path) -> None:
    keys = {"frame.samples": ODD, "frame.period_s": PERIOD}
    path = tmp_path / "framed.gguf"
    write_native(path, {**DEFAULT, **keys}, random_tensors(DEFAULT, seed=1))
    detector, x = Detector.load(path), vibration(530 * ODD)
    assert detector.info["frame_samples"] == ODD and detector.info["cold_samples"] == 512 * ODD
    scores = detector.decision_function(x)
    assert not scores[: 512 * ODD].any() and scores[512 * ODD :].all()
    assert detector.fit(x).info["frame_samples"] == ODD


@pytest.mark.parametrize(
    "keys",
    [
        {"frame.samples": 480},
        {"frame.period_s": PERIOD},
        {"frame.samples": 15, "frame.period_s": PERIOD},
        {"frame.samples": 8193, "frame.period_s": PERIOD},
        {"frame.samples": 480.0, "frame.period_s": PERIOD},
        {"frame.samples": 480, "frame.period_s": 0.0},
        {"frame.samples": 480, "frame.period_s": -1.0},
        {"frame.samples": 480, "frame.period_s": float("nan")},
        {"frame.samples": 480, "frame.period_s": PERIOD, "frame.levels": 4},
        {"frame.hop": 240},
    ],
)
def test_the_writer_refuses(tmp_path, keys) -> None:
    with pytest.raises(FormatError):
        write_native(tmp_path / "bad.gguf", {**DEFAULT, **keys}, random_tensors(DEFAULT, seed=1))
    assert not list(tmp_path.iterdir())
