"""The native engine inside an onnxruntime session: the native scores to the bit, no state kept, and what it refuses."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
import onnxruntime  # noqa: E402

import sanderling  # noqa: E402
from sanderling.errors import DependencyError, FormatError, InputError, ModelError, ShapeError  # noqa: E402
from sanderling.runtime import onnx_op  # noqa: E402
from tests.helpers.graphs import recording  # noqa: E402
from tests.programs import environment  # noqa: E402

X = recording(1500, 3)
WORKER = Path(__file__).parents[1] / "helpers" / "op_worker.py"
START, DEFAULTS = np.zeros(0, np.uint8), np.zeros(0, np.float32)


@pytest.fixture(scope="module")
def library():
    try:
        return sanderling.onnxruntime_library()
    except DependencyError:
        pytest.skip("the operator is not built: onnxruntime's header comes from Debian's packages")


@pytest.fixture(scope="module")
def paths(library, model_path, tmp_path_factory):
    """start -> the native file and the operator's."""
    folder, found = tmp_path_factory.mktemp("op"), {}
    calibrated = folder / "calibrated.gguf"
    sanderling.Detector.load(model_path).fit(X[:900]).save(calibrated)
    for start, native in (("cold", model_path), ("calibrated", calibrated)):
        path = folder / f"{start}.onnx"
        path.write_bytes(onnx_op.op_model_bytes(native.read_bytes()))
        found[start] = (native, path)
    return found


@pytest.fixture(scope="module")
def session(paths, library):
    options = onnxruntime.SessionOptions()
    options.register_custom_ops_library(library)
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(str(paths["cold"][1]), options, providers=["CPUExecutionProvider"])


def call(session, x, state=START, end=False, options=DEFAULTS):
    given = {"x": x, "state": state, "end": np.array([end]), "options": options}
    return dict(zip(onnx_op.OUTPUTS, session.run(None, given), strict=True))


def same(a, b):
    return np.array_equal(a, b, equal_nan=True)


def check_equal(native, other, x):
    a, b = native.explain(x), other.explain(x)
    for name in ("scores", "channel_scores", "components", "skipped"):
        assert same(getattr(a, name), getattr(b, name)), name
    assert same(native.reconstruct(x), other.reconstruct(x))
    assert same(native.predict(x), other.predict(x))
    assert (native.threshold_, native.last_tokens, native.last_skipped) == (
        other.threshold_,
        other.last_tokens,
        other.last_skipped,
    )
    stream = other.stream()
    parts = [stream.update(x[i : i + 37]) for i in range(0, len(x), 37)] + [stream.flush()]
    assert same(np.concatenate(parts), a.scores)


@pytest.mark.parametrize("start", ["cold", "calibrated"])
@pytest.mark.parametrize("dynamic", [False, True])
def test_scores_are_the_native_ones(paths, start, dynamic):
    native, other = (sanderling.Detector.load(path, dynamic=dynamic, threads=2) for path in paths[start])
    assert other.backend == "onnxruntime" and "sanderling.Score" in other.isa
    check_equal(native, other, X)
    assert other.info.items() >= {"profile": "native", "channels": 0 if start == "cold" else 3}.items()


def test_frames(paths):
    """High-rate signals, which other graphs take no part in."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((480 * 300, 1)).astype(np.float32)
    x[480 * 280 :] *= 4
    native, other = (sanderling.Detector.load(path, period_s=1 / 48000) for path in paths["cold"])
    for detector in (native, other):
        detector.fit(x[: 480 * 270], period_s=1 / 48000, frame_ms=1)
    assert other.stream().frame_samples == 48
    check_equal(native, other, x)


def test_a_fit_travels(paths, tmp_path):
    native, other = (sanderling.Detector.load(path) for path in paths["calibrated"])
    for detector in (native, other):
        detector.fit(X[:700], scaling="standard", false_alarms=2.0)
    other.save(tmp_path / "m.onnx")
    again = sanderling.Detector.load(tmp_path / "m.onnx")
    assert (again.threshold_, again.channels, again.info["scaling"]) == (native.threshold_, 3, "standard")
    check_equal(native, again, X)
    native.save(tmp_path / "m.gguf")
    assert onnx_op.op_model_bytes((tmp_path / "m.gguf").read_bytes()) == (tmp_path / "m.onnx").read_bytes()


def test_onnx_reads_it(paths):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(paths["calibrated"][1])
    onnx.checker.check_model(model, full_check=True)
    assert [(node.domain, node.op_type) for node in model.graph.node] == [("sanderling", "Score")]
    assert model.graph.node[0].attribute[0].s == paths["calibrated"][0].read_bytes()


def test_it_is_a_pure_function(session):
    first = call(session, X[:700])
    again = call(session, X[:700])
    assert all(same(first[name], again[name]) for name in first)
    rest = call(session, X[700:], first["state_out"], end=True)
    call(session, X[:50], again["state_out"])  # another branch from there
    assert all(same(rest[k], v) for k, v in call(session, X[700:], first["state_out"], end=True).items())
    whole = call(session, X, end=True)
    assert same(np.concatenate([first["score"], rest["score"]]), whole["score"])
    assert len(whole["score"]) == len(X) and len(whole["state_out"]) == 0
    assert whole["counts"][0] == len(X) and whole["threshold"][0] > 0


def test_streams_share_a_session_from_threads(session):
    inputs = [recording(900, 1 + seed % 3, seed) for seed in range(8)]
    expected = [call(session, x, end=True)["score"] for x in inputs]

    def by_chunks(x):
        state, parts = START, []
        for i in range(0, len(x), 60):
            found = call(session, x[i : i + 60], state)
            state = found["state_out"]
            parts.append(found["score"])
        return np.concatenate([*parts, call(session, x[:0], state, end=True)["score"]])

    with ThreadPoolExecutor(4) as pool:
        for found, wanted in zip(pool.map(by_chunks, inputs), expected, strict=True):
            assert same(found, wanted)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"x": X[:, 0]}, "rank"),
        ({"x": X.astype(np.float64)}, "float"),
        ({"x": X[:, :2], "state": "good"}, "state's channels"),
        ({"x": X[:, :0]}, "channels"),
        ({"state": np.arange(200, dtype=np.uint8)}, "expected the state of a stream"),
        ({"state": "cut"}, "damaged"),
        ({"state": np.zeros((2, 2), np.uint8)}, "rank"),
        ({"end": np.array([True, False])}, "end"),
        ({"options": np.zeros(6, np.float32)}, "at most 5 options"),
        ({"options": np.array([np.nan], np.float32)}, "false_alarms"),
        ({"options": np.array([1, 0, 5], np.float32)}, "period_s with frame_ms"),
    ],
)
def test_wrong_inputs(session, changed, said):
    good = call(session, X[:700])["state_out"]
    states = {"good": good, "cut": good[:-1]}
    given = {"x": X, "state": START, "end": np.array([False]), "options": DEFAULTS, **changed}
    if isinstance(given["state"], str):
        given["state"] = states[given["state"]]
    with pytest.raises(Exception, match=said):
        session.run(None, given)


def test_wrong_calls_of_the_wrapper(paths):
    detector = sanderling.Detector.load(paths["calibrated"][1])
    with pytest.raises(ShapeError, match="3 channel"):
        detector.decision_function(X[:, :2])
    with pytest.raises(InputError, match="period_s with frame_ms"):
        sanderling.Detector.load(paths["cold"][1], frame_ms=5).decision_function(X)
    with pytest.raises(InputError, match="backend 'native' for a group"):
        detector.streams(2)
    with pytest.raises(InputError, match="options of onnxruntime"):
        sanderling.Detector.load(paths["cold"][1], delegates=[])


def test_the_library(paths, tmp_path, monkeypatch):
    (tmp_path / "no.so").write_bytes(b"no library")
    with pytest.raises(InputError, match="operator's library"):
        sanderling.Detector.load(paths["cold"][1], library=tmp_path / "no.so")
    monkeypatch.setattr(onnx_op, "LIBRARY", "none.so")
    with pytest.raises(DependencyError, match="SANDERLING_ORT_INCLUDE"):
        sanderling.Detector.load(paths["cold"][1])


def test_a_session_s_options_serve_again(paths):
    """`fit` opens another session with them."""
    options = onnxruntime.SessionOptions()
    detector = sanderling.Detector.load(paths["cold"][1], session_options=options).fit(X[:600]).fit(X[:700])
    native = sanderling.Detector.load(paths["cold"][0]).fit(X[:700])
    assert same(detector.decision_function(X), native.decision_function(X))


def test_damaged_files(paths, tmp_path):
    data = paths["calibrated"][1].read_bytes()
    rng = np.random.default_rng(0)
    path, x = tmp_path / "m.onnx", X[:64]
    for n in [0, 2, 15, *rng.integers(16, len(data), 40), len(data) - 1]:
        path.write_bytes(data[:n])
        with pytest.raises(ModelError) as caught:
            sanderling.Detector.load(path)
        assert "\n" not in str(caught.value)
    for at in rng.integers(0, len(data), 60):
        damaged = bytearray(data)
        damaged[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            sanderling.Detector.load(path).decision_function(x)
        except sanderling.SanderlingError as error:
            assert "\n" not in str(error)
    assert os.listdir(tmp_path) == ["m.onnx"]


def test_another_node_of_the_domain(paths, tmp_path):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(paths["cold"][1])
    del model.metadata_props[1]  # the digest
    del model.graph.node[0].attribute[:]
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(FormatError, match="native file in sanderling.Score"):
        sanderling.Detector.load(tmp_path / "m.onnx")
    del model.metadata_props[:]
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(FormatError, match="profile native"):
        sanderling.Detector.load(tmp_path / "m.onnx")


def worker(python, paths, library, tmp_path, **environ):
    """Scores of helpers/op_worker.py: in one call and by chunks."""
    np.save(tmp_path / "x.npy", X)
    command = [
        python,
        str(WORKER),
        str(library),
        str(paths["cold"][1]),
        str(tmp_path / "x.npy"),
        str(tmp_path / "out.npz"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environ})
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(tmp_path / "out.npz") as found:
        return dict(found)


def test_onnxruntime_1_16(paths, library, tmp_path):
    """The oldest one that it runs in, with NumPy 1."""
    python = os.environ.get("SANDERLING_TFLITE_PYTHON")
    if not python:
        pytest.skip("SANDERLING_TFLITE_PYTHON is not set: tflite-runtime ends at Python 3.11")
    found = worker(python, paths, library, tmp_path)
    expected = sanderling.Detector.load(paths["cold"][0]).decision_function(X)
    assert str(found["version"]).startswith("1.16.")
    assert same(found["whole"], expected) and same(found["chunks"], expected)


def test_sanitized(paths, tmp_path):
    folder = Path(environment("SANDERLING_BUILD_ASAN"))
    libraries = list(folder.glob("**/libsanderling_ort.so"))
    if not libraries:
        pytest.skip("the operator is not built: onnxruntime's header comes from Debian's packages")
    asan = subprocess.run(
        ["g++", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    # Python and onnxruntime keep memory until they end; what the operator does with it is looked at.
    environ = {"LD_PRELOAD": asan, "ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "halt_on_error=1"}
    found = worker(sys.executable, paths, libraries[0], tmp_path, **environ)
    expected = sanderling.Detector.load(paths["cold"][0]).decision_function(X)
    assert same(found["whole"], expected) and same(found["chunks"], expected)
