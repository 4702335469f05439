"""Which engine runs a file, what is said about it, and what an exported graph refuses."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest

import sanderling
from sanderling.errors import CalibrationError, DependencyError, FormatError, InputError, ShapeError, StateError
from sanderling.runtime import backends
from sanderling.runtime.onnx_op import has_operator, op_model_bytes
from tests.helpers import tflite
from tests.helpers.graphs import recording
from tests.programs import ROOT

X = recording(900, 2)


@pytest.fixture(scope="module")
def onnx_path(tmp_path_factory, model_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from sanderling.export.onnx import write_onnx
    from sanderling.export.reading import read_native

    path = tmp_path_factory.mktemp("backends") / "no-suffix"
    write_onnx(path, read_native(model_path))
    return path


def test_native_files_run_natively(model_path):
    detector = sanderling.Detector.load(model_path)
    assert detector.backend == "native" and detector.isa in detector.backend_reason
    assert sanderling.Detector.load(model_path, backend="native").backend == "native"


def test_content_decides(onnx_path):
    detector = sanderling.Detector.load(onnx_path, threads=1)
    assert detector.backend == "onnxruntime" and "onnxruntime" in detector.backend_reason
    assert "onnxruntime" in repr(detector)


def test_backends_are_listed():
    found = {info.name: info for info in sanderling.backends()}
    assert list(found) == ["native", "onnxruntime", "tflite"]
    assert found["native"].available and "reference" in found["native"].detail
    assert all(info.detail for info in found.values())
    if found["onnxruntime"].available:
        assert "CPUExecutionProvider" in found["onnxruntime"].detail
        assert ("sanderling.Score" in found["onnxruntime"].detail) == has_operator()


def test_a_native_file_elsewhere_names_the_export(model_path):
    with pytest.raises(InputError, match="sanderling export .* --format onnx"):
        sanderling.Detector.load(model_path, backend="onnxruntime")
    with pytest.raises(InputError, match="expected backend auto"):
        sanderling.Detector.load(model_path, backend="tensorflow")
    with pytest.raises(InputError, match="no options"):
        sanderling.Detector.load(model_path, providers=["CPUExecutionProvider"])


def test_an_exported_file_is_not_native(onnx_path):
    with pytest.raises(InputError, match="found onnx"):
        sanderling.Detector.load(onnx_path, backend="native")


def test_a_missing_engine_names_the_command(onnx_path, monkeypatch):
    monkeypatch.setattr(backends, "find_spec", lambda name: None)
    with pytest.raises(DependencyError, match=r"pip install 'sanderling\[onnxruntime\]'"):
        sanderling.Detector.load(onnx_path)
    assert [info.available for info in sanderling.backends()] == [True, False, False]


def test_a_missing_tflite_runtime_names_the_command(tmp_path, monkeypatch):
    (tmp_path / "m").write_bytes(b"\x1c\0\0\0TFL3" + bytes(64))
    monkeypatch.setattr(backends, "find_spec", lambda name: None)
    with pytest.raises(DependencyError, match=r"pip install 'sanderling\[tflite\]'"):
        sanderling.Detector.load(tmp_path / "m")


def test_an_engine_that_does_not_load(onnx_path, tmp_path):
    """A build for a GPU whose libraries are missing."""
    package = tmp_path / "onnxruntime"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('libcudart.so.12: cannot open shared object file')")
    script = (
        "import sanderling\n"
        "print({i.name: i for i in sanderling.backends()}['onnxruntime'])\n"
        f"try: sanderling.Detector.load({str(onnx_path)!r})\n"
        "except sanderling.SanderlingError as error: print(type(error).__name__, error)"
    )
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environ)
    listed, refused = done.stdout.splitlines()
    assert "available=False" in listed and "libcudart.so.12" in listed, done.stderr
    assert refused.startswith("DependencyError expected onnxruntime to load, found: libcudart.so.12")


def test_options_reach_onnxruntime(onnx_path, monkeypatch):
    runtime, given = pytest.importorskip("onnxruntime"), {}
    real = runtime.InferenceSession

    def session(source, options, *, providers, provider_options):
        given.update(options=options, providers=providers, provider_options=provider_options)
        return real(source, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(runtime, "InferenceSession", session)
    monkeypatch.setattr(
        runtime, "get_available_providers", lambda: ["TensorrtExecutionProvider", "CUDAExecutionProvider"]
    )
    own = runtime.SessionOptions()
    wanted = {"providers": ["TensorrtExecutionProvider", "CUDAExecutionProvider"]}
    wanted |= {"provider_options": [{"trt_fp16_enable": True}, {"device_id": 0}]}
    sanderling.Detector.load(onnx_path, threads=2, session_options=own, **wanted)
    assert given == {"options": own, **wanted} and own.intra_op_num_threads == 2
    pairs = [("CUDAExecutionProvider", {"device_id": 0})]
    sanderling.Detector.load(onnx_path, providers=pairs)
    assert given["providers"] == pairs


@pytest.mark.parametrize("kind", ["gguf", "onnx fp32", "onnx int8", "operator", "tflite fp32", "tflite litert"])
def test_the_readme_s_lines(kind, model_path, tmp_path, monkeypatch):
    """With a file of each engine in the place of the shipped model."""
    format, _, precision = kind.partition(" ")
    path = tmp_path / "model"
    if format == "tflite":
        pytest.importorskip("ai_edge_litert")
        path = tflite.files() / "one" / f"{precision}.tflite"
    elif format == "onnx":
        pytest.importorskip("onnx")
        from sanderling.export.onnx import write_onnx
        from sanderling.export.reading import read_native

        write_onnx(path, read_native(model_path), precision=precision)
    elif format == "operator":
        if not has_operator():
            pytest.skip("the operator is not built: onnxruntime's header comes from Debian's packages")
        path.write_bytes(op_model_bytes(model_path.read_bytes()))
    else:
        path = model_path
    text = (ROOT / "README.md").read_text()
    (code,) = re.findall(r"```python\n(import sanderling\n.*?)```", text, re.DOTALL)
    lines = code.replace("Detector.load()", f"Detector.load({str(path)!r})")
    assert lines != code
    normal, x = recording(900, 1), recording(1300, 1, seed=1)
    x[700:720] += 30
    monkeypatch.chdir(tmp_path)
    names = {"normal": normal, "x": x}
    exec(compile(lines, "README.md", "exec"), names)
    assert names["scores"].shape == names["labels"].shape == (1300,)
    assert names["labels"][696:728].any() and names["labels"].mean() < 0.5
    again = sanderling.Detector.load("pump.gguf")  # its content decides
    assert again.backend == names["det"].backend
    assert np.array_equal(again.decision_function(x), names["scores"])


def test_another_file(tmp_path):
    (tmp_path / "m.onnx").write_text("hello, here is no model")
    with pytest.raises(FormatError, match=r"\.gguf, \.onnx or \.tflite"):
        sanderling.Detector.load(tmp_path / "m.onnx")


def test_running_needs_neither_onnx_nor_export_nor_torch(onnx_path):
    script = (
        "import sys; sys.modules.update(dict.fromkeys(['onnx', 'torch', 'gguf', 'sanderling.export']));"
        "import numpy as np, sanderling;"
        f"d = sanderling.Detector.load({str(onnx_path)!r}, threads=1).fit(np.random.default_rng(0).random((600, 1)));"
        "print(len(d.decision_function(np.zeros(100))))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "100", done.stderr[-2000:]


def test_the_api_is_the_native_one(onnx_path, model_path):
    """Same shapes, same errors, near scores: cold, fitted, streamed."""
    by_graph, native = sanderling.Detector.load(onnx_path, threads=1), sanderling.Detector.load(model_path)
    for reference in (None, X[:600]):
        if reference is not None:
            by_graph.fit(reference)
            native.fit(reference)
        found, expected = by_graph.explain(X), native.explain(X)
        assert np.array_equal(np.isnan(found.scores), np.isnan(expected.scores))
        assert np.nanmax(np.abs(found.scores - expected.scores)) < 0.3
        assert np.array_equal(np.isnan(found.channel_scores), np.isnan(expected.channel_scores))
        assert found.components.shape == expected.components.shape
        assert found.threshold == pytest.approx(expected.threshold, rel=0.1)
        assert by_graph.last_tokens == native.last_tokens
        assert np.array_equal(np.isnan(by_graph.reconstruct(X)), np.isnan(native.reconstruct(X)))
        assert by_graph.predict(X).dtype == np.int8
    assert by_graph.info.keys() >= native.info.keys() - {"weight_bytes"}
    with pytest.raises(ShapeError):
        by_graph.decision_function(np.zeros((100, 3)))
    stream = by_graph.stream()
    stream.flush()
    with pytest.raises(StateError):
        stream.update(X)


@pytest.mark.parametrize("n", [0, 1, 7, 8, 511, 512, 513, 520, 527])
def test_cold_lengths(onnx_path, model_path, n):
    if n == 0:
        return
    found, expected = (sanderling.Detector.load(p).decision_function(X[:n]) for p in (onnx_path, model_path))
    assert found.shape == expected.shape == (n,)
    assert np.all(found[:512] == 0) and np.array_equal(found > 0, expected > 0)


def test_what_a_graph_does_not_do(onnx_path):
    with pytest.raises(InputError, match="dynamic"):
        sanderling.Detector.load(onnx_path, dynamic=True).decision_function(X)
    with pytest.raises(CalibrationError, match="at least 256"):
        sanderling.Detector.load(onnx_path).fit(X[:255])


def test_groups_of_streams_are_native(onnx_path):
    with pytest.raises(InputError, match="backend 'native' for a group"):
        sanderling.Detector.load(onnx_path).streams(2, 1)


def test_missing_values_in_chunks(onnx_path, model_path):
    """The gap rule, across chunks of one sample."""
    x = X[:700].copy()
    x[560:620, 0] = np.nan
    x[:, 1] = np.nan
    expected = sanderling.Detector.load(model_path).explain(x).channel_scores
    stream = sanderling.Detector.load(onnx_path, threads=1).stream(2)
    parts = [stream.explain(x[i : i + 1]).channel_scores for i in range(len(x))] + [
        stream.explain_flush().channel_scores
    ]
    found = np.concatenate(parts)
    assert np.array_equal(np.isnan(found), np.isnan(expected))
    assert np.isnan(found[592:620, 0]).all() and not np.isnan(found[512:592, 0]).any()


def test_the_native_engine_loads_nothing_of_the_others():
    code = (
        "import sys, sanderling; sanderling.Detector.load().stream(); "
        "print([m for m in sys.modules if m.startswith('sanderling.runtime.') and ('graph' in m or 'onnx' in m)])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
