"""The .tflite export: weights of the native grid, names, document, options. Scores: runtime/test_tflite_engine.py."""

import numpy as np
import pytest

schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
pytest.importorskip("litert_torch")

from sanderling.export import tflite as export  # noqa: E402
from sanderling.export.reading import read_native  # noqa: E402

import sanderling  # noqa: E402
from sanderling.cli.main import main  # noqa: E402
from sanderling.errors import InputError  # noqa: E402
from sanderling.runtime.graph_metadata import parse_document  # noqa: E402
from sanderling.runtime.graph_spec import input_shapes, output_shapes  # noqa: E402
from sanderling.runtime.tflite_container import document_text  # noqa: E402
from sanderling.runtime.tflite_file import parse  # noqa: E402
from tests.helpers import tflite  # noqa: E402
from tests.helpers.graphs import recording  # noqa: E402


@pytest.fixture(scope="module")
def native():
    return read_native(tflite.files() / "one" / "model.gguf")


def content(file, model="one"):
    return (tflite.files() / model / f"{file}.tflite").read_bytes()


@pytest.mark.parametrize(
    ("file", "per_channel", "dequantised"),
    [("litert", True, False), ("tflite-runtime", True, True), ("fp32", False, False)],
)
def test_weights_are_those_of_the_native_file(native, file, per_channel, dequantised):
    """The integers and the scales that were trained, and no other matrix quantised."""
    found = parse(content(file))
    model = schema.ModelT.InitFromPackedBuf(content(file), 0)
    stored = {}
    for tensor in model.subgraphs[0].tensors:
        if tensor.type == schema.TensorType.INT8:
            weight = np.frombuffer(model.buffers[tensor.buffer].data, np.int8).reshape(tensor.shape)
            stored[weight.tobytes()] = tensor.quantization.scale
    names = [name.removesuffix(".scale") for name in native.tensors if name.endswith(".scale")]
    assert len(stored) == (len(names) if file != "fp32" else 0)
    for name in names if stored else ():
        weight = native.tensors[f"{name}.weight"]
        if name == "scorer.fc1":  # the export leaves out columns that meet zeros
            weight = np.ascontiguousarray(weight[:, : native.config.d_model + 8])
        np.testing.assert_allclose(stored[weight.tobytes()], native.tensors[f"{name}.scale"], rtol=1e-6)
    assert ("DEQUANTIZE" in found.graphs[0].operators) == dequantised
    assert any(t.scales > 1 for graph in found.graphs for t in graph.tensors) == per_channel


@pytest.mark.parametrize("model", ["one", "two"])
def test_signatures_are_the_contract(model):
    found = parse(content("litert", model))
    document = parse_document(document_text(found))
    assert (document["format"], document["profile"], document["precision"]) == ("tflite", "litert", "int8")
    for n, key in zip(document["tokens"], ("step", "sequence"), strict=True):
        inputs, outputs = found.tensors(key)
        fixed = (document["channels"], n)
        assert {k: t.shape for k, t in inputs.items()} == input_shapes(document["config"], *fixed, *document["rows"])
        assert {k: t.shape for k, t in outputs.items()} == output_shapes(document["config"], *fixed)


def test_same_graph_same_bytes(native):
    graph = (tflite.files() / "one" / "float.graph").read_bytes()
    assert export.finished(graph, native, "int8", "litert", 64, 1) == content("litert")
    assert native.sha256 in document_text(parse(content("litert")))


def test_a_calibration_goes_along(native, tmp_path):
    x = recording(1500, 1)
    own = sanderling.Detector.load(tflite.files() / "one" / "model.gguf").fit(x[:1000], period_s=60.0)
    own.save(tmp_path / "c.gguf")
    calibrated = read_native(tmp_path / "c.gguf")
    graph = (tflite.files() / "one" / "float.graph").read_bytes()
    (tmp_path / "c.tflite").write_bytes(export.finished(graph, calibrated, "int8", "tflite-runtime", 64, 1))
    document = parse_document(document_text(parse((tmp_path / "c.tflite").read_bytes())))
    assert document["calibration"]["scaling"] == "robust" and document["calibration"]["period_s"] == 60.0
    exported = sanderling.Detector.load(tmp_path / "c.tflite")
    assert exported.threshold_ == np.float32(own.threshold_) and exported.channels == 1
    assert np.abs(exported.decision_function(x) - own.decision_function(x)).max() < 0.1
    with pytest.raises(InputError, match="calibration's 1 channel"):
        export.tflite_bytes(calibrated, channels=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "int4"}, "expected precision"),
        ({"target": "modern"}, "expected target"),
        ({"tokens": 1}, "tokens above 1"),
        ({"channels": 0}, "channels above 0"),
    ],
)
def test_options_are_checked(native, options, message):
    with pytest.raises(InputError, match=message):
        export.tflite_bytes(native, **options)


def test_the_verb_refuses_before_it_converts(tmp_path, capsys):
    out = tmp_path / "m.tflite"
    assert main(["export", "tiny", "--format", "tflite", "--profile", "jetpack4", "-o", str(out)]) == 2
    assert "litert or tflite-runtime" in capsys.readouterr().err and not out.exists()


@pytest.mark.slow
def test_the_verb_writes_what_the_detector_loads(tmp_path, capsys):
    out = tmp_path / "m.tflite"
    assert main(["export", "tiny", "--format", "tflite", "--precision", "int8", "--tokens", "8", "-o", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert sanderling.Detector.load(out).decision_function(recording(700, 1)).shape == (700,)
