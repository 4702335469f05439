"""High-rate signals on exported graphs: the frames, shapes and errors of the native engine, and near scores."""

import re

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from sanderling.export.onnx import write_onnx  # noqa: E402
from sanderling.export.reading import read_native  # noqa: E402

import sanderling  # noqa: E402
from sanderling.errors import CalibrationError, FormatError, InputError, ShapeError  # noqa: E402
from sanderling.runtime.graph_frames import Frames, choose_frames  # noqa: E402
from sanderling.runtime.graph_metadata import parse_document, write_document  # noqa: E402
from sanderling.signal.frames import FEATURES, Framer, frames  # noqa: E402

RATE = 48000.0
STEP = 0.05  # an INT8 graph: tests/export/test_onnx.py


def vibration(n_frames, channels=1, samples=96, seed=0):
    """float32 (time, channels) with impacts in the last tenth, and gaps: within a frame, of most of one, of many."""
    rng = np.random.default_rng(seed)
    n = n_frames * samples
    x = np.sin(np.arange(n)[:, None] / (9 + 4 * np.arange(channels))) + 0.2 * rng.standard_normal((n, channels))
    x[n * 9 // 10 :: 400] += 6
    x[n // 2 : n // 2 + 20, 0] = np.nan
    x[n * 6 // 10 : n * 6 // 10 + 80, -1] = np.nan
    x[n * 7 // 10 : n * 7 // 10 + 40 * samples, -1] = np.nan
    return x.astype(np.float32)


@pytest.fixture(scope="module")
def paths(model_path, tmp_path_factory):
    path = tmp_path_factory.mktemp("frames") / "m.onnx"
    write_onnx(path, read_native(model_path), precision="int8")
    return model_path, path


def detectors(paths, **options):
    return [sanderling.Detector.load(path, **options) for path in paths]


def check_alike(native, graph, x):
    a, b = native.explain(x), graph.explain(x)
    for name in ("scores", "channel_scores", "components", "skipped"):
        left, right = getattr(a, name), getattr(b, name)
        assert left.shape == right.shape and np.array_equal(np.isnan(left), np.isnan(right)), name
    assert np.nanmax(np.abs(a.scores - b.scores)) < 0.3 and np.nanmean(np.abs(a.scores - b.scores)) < STEP
    assert a.frame_samples == b.frame_samples > 0
    assert b.threshold == pytest.approx(a.threshold, rel=0.1)
    left, right = native.reconstruct(x), graph.reconstruct(x)
    assert left.shape == right.shape and np.array_equal(np.isnan(left), np.isnan(right))
    assert native.last_tokens == graph.last_tokens


def test_a_cold_start(paths):
    x = vibration(700)[:-37]  # a frame and a patch that are not full
    check_alike(*detectors(paths, period_s=1 / RATE, frame_ms=2), x)


def test_a_calibration_travels(paths, tmp_path):
    x = vibration(700, 2)
    native, graph = detectors(paths)
    for detector in (native, graph):
        detector.fit(x[: 96 * 400], period_s=1 / RATE, frame_ms=2)
    check_alike(native, graph, x)
    shared = ("frame_samples", "channels", "outputs", "patch", "cold_samples", "min_reference", "reference_samples")
    shared += ("period_s", "scaling", "false_alarms")
    assert {name: graph.info[name] for name in shared} == {name: native.info[name] for name in shared}
    graph.save(tmp_path / "g.onnx")
    again = sanderling.Detector.load(tmp_path / "g.onnx")
    assert again.info == graph.info
    assert np.array_equal(again.decision_function(x), graph.decision_function(x), equal_nan=True)
    native.save(tmp_path / "n.gguf")
    write_onnx(tmp_path / "n.onnx", read_native(tmp_path / "n.gguf"), precision="int8")
    exported = sanderling.Detector.load(tmp_path / "n.onnx")
    assert exported.threshold_ == np.float32(native.threshold_)
    check_alike(native, exported, x)
    with pytest.raises(InputError, match="rate of the model's frames"):
        sanderling.Detector.load(tmp_path / "g.onnx", period_s=1 / 44100).stream()
    with pytest.raises(ShapeError, match="2 channel"):
        again.decision_function(x[:, :1])


def test_the_stream_is_the_batch(paths):
    x = vibration(700)
    detector = sanderling.Detector.load(paths[1], period_s=1 / RATE, frame_ms=2)
    expected = detector.decision_function(x)
    for chunk in (1000, 96 * 8, 96 * 50 + 1):
        stream = detector.stream(1)
        assert (stream.patch, stream.frame_samples, stream.cold_samples) == (768, 96, 512 * 96)
        parts = [stream.update(x[i : i + chunk]) for i in range(0, len(x), chunk)] + [stream.flush()]
        found = np.concatenate(parts)
        assert np.array_equal(np.isnan(found), np.isnan(expected))
        assert np.nanmax(np.abs(found - expected)) < 0.3 and np.nanmean(np.abs(found - expected)) < STEP
        assert stream.threshold == detector.threshold_ and stream.samples == len(x)


@pytest.mark.parametrize("chunk", [1, 95, 96, 97, 1000])
def test_chunks_do_not_show_in_frames(chunk):
    x = vibration(60, 2)[:-13]
    framer = Framer(2, 96)
    found = np.concatenate([framer.take(x[i : i + chunk]) for i in range(0, len(x), chunk)])
    assert np.array_equal(found, frames(x, 96), equal_nan=True) and found.shape == (59, 2 * len(FEATURES))
    whole = np.concatenate([x[59 * 96 :], np.full((13, 2), np.nan, np.float32)])
    before = Framer(2, 96)
    before.take(x[: 59 * 96])
    assert np.array_equal(framer.tail(), before.take(whole), equal_nan=True)
    assert framer.tail().shape == (0, 14)


@pytest.mark.parametrize("period_s", [0.0, 1e-3, 0.94e-3, 1e-4, 1 / 48000, 1e-6])
@pytest.mark.parametrize("frame_ms", [-1.0, 0.0, 2.0, 25.0])
@pytest.mark.parametrize("samples", [0, 5000, 60000])
def test_the_choice_is_the_native_one(model_path, period_s, frame_ms, samples):
    """Of frames, and of the requests that are refused."""
    from sanderling import _core

    model = _core.Model.open(str(model_path).encode(), "")
    try:
        if samples:
            x = np.sin(np.arange(samples, dtype=np.float32))[:, None]
            wanted = model.calibrate(x, False, 1.0, period_s, frame_ms).info()["frame_samples"]
        else:
            wanted = _core.Stream(model, 1, 1.0, period_s, frame_ms, False, 1).frame_samples
    except CalibrationError as error:  # too short: it names the length of 256 frames
        wanted = int(re.findall(r"at least (\d+) samples", str(error))[0]) // 256
    except InputError as error:
        with pytest.raises(InputError, match=str(error)[:30]):
            choose_frames(None, frame_ms, period_s, samples)
        return
    found = choose_frames(None, frame_ms, period_s, samples)
    assert (found.samples if found else 0) == wanted


def test_what_is_too_short_or_too_wide(paths):
    graph = sanderling.Detector.load(paths[1])
    with pytest.raises(CalibrationError, match="256 frames"):
        graph.fit(vibration(255), period_s=1 / RATE, frame_ms=2)
    with pytest.raises(InputError, match="at most 146 channels with frames"):
        sanderling.Detector.load(paths[1], period_s=1 / RATE).stream(147)


@pytest.mark.parametrize(
    "frame", [{}, {"samples": 8, "period_s": 1e-4}, {"samples": 48, "period_s": -1}, [1], {"samples": "x"}]
)
def test_damaged_metadata(paths, frame):
    from sanderling.runtime.onnx_file import KEY, read_onnx

    document = parse_document(read_onnx(paths[1]).metadata[KEY])
    text = write_document({**document, "config": document["config"].to_keys(), "frame": frame})
    with pytest.raises(FormatError, match="damaged"):
        parse_document(text)
    assert Frames.of_keys(None) is None


@pytest.mark.slow
def test_on_tflite(model_path, tmp_path):
    pytest.importorskip("litert_torch")
    from sanderling.export.tflite import write_tflite

    write_tflite(tmp_path / "m.tflite", read_native(model_path), precision="fp32", channels=7)
    x = vibration(700)
    options = {"period_s": 1 / RATE, "frame_ms": 2}
    check_alike(*detectors((model_path, tmp_path / "m.tflite"), **options), x)
