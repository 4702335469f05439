"""Text encoders that the engine doesn't run: TCN and GRU as graphs, and a detector with a graph for its meaning."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from sanderling.export.bert import read_bert, write_bert
from sanderling.export.bert_network import embedding
from sanderling.export.bert_onnx import bert_onnx_bytes
from sanderling.export.bert_texts import TEXTS

from sanderling import Detector, _core
from sanderling.errors import DependencyError, FormatError
from sanderling.text.detector import TextDetector
from sanderling.text.encoders import open_encoder
from sanderling.text.graph_detector import PARTS, VERSION
from sanderling.text.graph_encoder import GraphEncoder
from sanderling.text.head import fine_tune
from sanderling.text.logs import LogDetector, load
from tests.helpers import text_oracle, tflite
from tests.helpers.random_bert import random_bert, write_folder
from tests.text.test_native import HOSTILE

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("tokenizers", reason="the extra text is not installed")

MIXERS = ("tcn", "gru")
NORMAL = [f"the pump {i % 17} is connected at {10 + i % 9}:0{i % 6}" for i in range(90)]
ODD = [f"link {i} down! error!" for i in range(12)]


@pytest.fixture(scope="module", params=MIXERS)
def model(request):
    return random_bert(layers=2, mixer=request.param)


@pytest.fixture(scope="module")
def minute():
    """One layer of attention: native and as a graph, neither has inner layers."""
    return random_bert(layers=1)


@pytest.fixture(scope="module")
def detector(minute):
    return TextDetector.calibrate(NORMAL, bert_onnx_bytes(minute, precision="int8"))


def exact(model, encoder: GraphEncoder) -> np.ndarray:
    return np.stack([embedding(model, encoder.tokenize(text)) for text in TEXTS])


@pytest.mark.parametrize("target", ["modern", "jetpack4"])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_onnx_is_numpys(model, precision, target):
    encoder = open_encoder(bert_onnx_bytes(model, precision=precision, target=target))
    found, wanted = encoder.encode(TEXTS), exact(model, encoder)
    assert found.dtype == np.float32 and found.shape == wanted.shape
    if precision == "fp32":
        np.testing.assert_allclose(found, wanted, atol=1e-5)
    else:
        assert (found * wanted).sum(1).mean() > 0.995
    np.testing.assert_array_equal(found[7:8], encoder.encode(TEXTS[7:8]))


def test_padding_is_nothing(model):
    encoder = open_encoder(bert_onnx_bytes(model))
    ids = np.array([encoder.tokenize(TEXTS[0])])
    padded, mask = np.full((1, 60), 7), np.zeros((1, 60), np.int64)
    padded[:, : ids.shape[1]], mask[:, : ids.shape[1]] = ids, 1
    found = encoder.graph.session.run(None, {"ids": padded, "mask": mask})[0]
    np.testing.assert_allclose(found, encoder.encode(TEXTS[:1]), atol=1e-6)


@pytest.fixture(scope="module")
def files(model, tmp_path_factory):
    """Target -> its .tflite files of 24 tokens, FP32 and INT8."""
    for package in ("torch", "litert_torch", "ai_edge_quantizer", "ai_edge_litert"):
        pytest.importorskip(package)
    from sanderling.export.bert_tflite import bert_tflite_bytes

    made = {target: tmp_path_factory.mktemp(target) for target in ("litert", "tflite-runtime")}
    for precision in ("fp32", "int8"):
        for target, folder in made.items():
            data = bert_tflite_bytes(model, precision=precision, target=target, tokens=24)
            (folder / f"{precision}.tflite").write_bytes(data)
    return made


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_tflite_is_numpys(model, files, precision):
    encoder = open_encoder((files["litert"] / f"{precision}.tflite").read_bytes())
    texts = ["", "the pump", "link down!", "error: the link is down.", "connected", TEXTS[4]]
    lengths = [len(encoder.tokenize(text)) for text in texts]
    assert lengths[0] == 2 and lengths[-1] == 24 and max(lengths[:-1]) < 24
    found = encoder.encode(texts)
    wanted = np.stack([embedding(model, encoder.tokenize(text)) for text in texts])
    assert (found * wanted).sum(1).min() > (0.9999 if precision == "fp32" else 0.99)


@pytest.mark.parametrize("place", tflite.PLACES)
def test_tflite_everywhere(model, files, place, tmp_path):
    """Both runtimes, here and on an emulated Cortex-A72."""
    folder = files["tflite-runtime" if place.startswith("tflite-runtime") else "litert"]
    rng = np.random.default_rng(5)
    lengths, ids = np.array([2, 5, 9, 24]), rng.integers(5, len(model.vocabulary.tokens), (4, 24))
    found = tflite.scored(place, sorted(folder.glob("*.tflite")), tmp_path, "text_worker", ids=ids, lengths=lengths)
    wanted = np.stack([embedding(model, row[:n].tolist()) for row, n in zip(ids, lengths, strict=True)])
    np.testing.assert_allclose(found["fp32"], wanted, atol=2e-3)
    assert (found["int8"] * wanted).sum(1).min() > 0.99


def test_the_engine_says_that_it_runs_transformers(model, tmp_path):
    with pytest.raises(FormatError, match="export it as ONNX or TFLite"):
        write_bert(tmp_path / "x.gguf", model)
    pytest.importorskip("safetensors")
    assert read_bert(write_folder(tmp_path / "hf", model)).mixer == model.mixer


def test_any_bytes_have_the_engines_tokens(minute, tmp_path):
    graph = open_encoder(bert_onnx_bytes(minute))
    write_bert(tmp_path / "x.gguf", minute, smooth=False)
    native = open_encoder((tmp_path / "x.gguf").read_bytes())
    texts = [text[:16384] for text in HOSTILE]
    assert [graph.tokenize(text) for text in texts] == [native.tokenize(text).tolist() for text in texts]
    assert np.isfinite(graph.encode(HOSTILE)).all() and graph.encode([]).shape == (0, minute.d_model)


def test_scores_are_the_engines_by_the_same_embeddings(minute, detector, tmp_path):
    write_bert(tmp_path / "x.gguf", minute, smooth=False)
    native = TextDetector.calibrate(NORMAL, tmp_path / "x.gguf")
    graph = replace(native, encoder_bytes=detector.encoder_bytes, _encoder=None, _scorer=None)
    assert graph.has_graph and not native.has_graph
    for a, b in ((native, graph), (fine_tune(native, ODD), replace(fine_tune(native, ODD), encoder_bytes=b"graph"))):
        b._encoder = _core.TextEncoder.open(str(tmp_path / "x.gguf"))
        for texts in (NORMAL[:5] + ODD, HOSTILE):
            np.testing.assert_allclose(b.decision_function(texts), a.decision_function(texts), rtol=1e-5, atol=2e-6)
            for name, nats in a.nats(texts).items():
                np.testing.assert_allclose(b.nats(texts)[name], nats, rtol=1e-5, atol=2e-6)


def test_a_file_is_what_was_saved(detector, tmp_path):
    for found in (detector, fine_tune(detector, ODD)):
        wanted = found.decision_function(NORMAL + ODD)
        np.testing.assert_allclose(wanted, text_oracle.scores(found, NORMAL + ODD), rtol=1e-5, atol=2e-6)
        assert (found.predict(ODD) == 1).all()
        found.save(tmp_path / "a.zip")
        found.save(tmp_path / "b.zip")
        assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
        again = load(tmp_path / "a.zip")
        assert isinstance(again, TextDetector) and again.texts == found.texts
        np.testing.assert_allclose(again.decision_function(NORMAL + ODD), wanted, rtol=1e-6)
        assert again.explain(ODD[0]).nearest[0] in NORMAL
        found.export(tmp_path / "e.zip")
        board = TextDetector.load(tmp_path / "e.zip")
        assert not board.texts and board.threshold_ == found.threshold_
        np.testing.assert_allclose(board.decision_function(ODD), wanted[len(NORMAL) :], rtol=1e-6)


def test_a_log_may_have_one(minute, tmp_path):
    pytest.importorskip("drain3")
    lines = [NORMAL[i % 60] for i in range(600)]
    detector = LogDetector.calibrate(lines, bert_onnx_bytes(minute))
    detector.save(tmp_path / "a.log")
    again = load(tmp_path / "a.log")
    assert isinstance(again, LogDetector) and again.text.has_graph
    np.testing.assert_allclose(again.decision_function(ODD), detector.decision_function(ODD), rtol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        {"version": VERSION + 1},
        {"threshold": float("nan")},
        {"threshold": None},
        {"excess": 0},
        {"start": "far"},
    ],
)
def test_wrong_headers_are_refused(detector, tmp_path, change):
    detector.save(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as file:
        parts = {name: file.read(name) for name in PARTS}
    parts["text.json"] = json.dumps({**json.loads(parts["text.json"]), **change}).encode()
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for name, data in parts.items():
            file.writestr(name, data)
    with pytest.raises(FormatError, match="calibrate again"):
        TextDetector.load(tmp_path / "a.zip")


def test_a_part_that_does_not_unpack_is_refused(detector, tmp_path):
    """Ours are stored, not deflated: zlib's own error must be told as ours."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name in PARTS:
            file.writestr(name, b"some content that deflates, deflates, deflates" * 9)
    data = bytearray(path.read_bytes())
    at = data.index(PARTS[0].encode()) + len(PARTS[0])
    data[at : at + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    with pytest.raises(FormatError, match="calibrate again"):
        load(path)


def test_damaged_files_are_refused(detector, tmp_path):
    path = tmp_path / "a.zip"
    detector.save(path)
    data = path.read_bytes()
    middle = data.index(b"meaning.npz") + 4000
    flipped = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
    for bad in (data[:5], data[: len(data) // 2], data[:-30], data.replace(b"views.gguf", b"wiews.gguf"), flipped):
        path.write_bytes(bad)
        with pytest.raises(FormatError):
            load(path)
    with zipfile.ZipFile(path, "w") as file:
        for name in PARTS:
            file.writestr(name, b"{}")
    with pytest.raises(FormatError):
        load(path)


def test_other_graphs_are_refused(minute):
    data = bert_onnx_bytes(minute)
    onnx = pytest.importorskip("onnx")

    def changed(**what: object) -> bytes:
        made = onnx.load_from_string(data)
        document = json.loads(made.metadata_props[0].value)
        made.metadata_props[0].value = json.dumps({**document, **what})
        return made.SerializeToString()

    words = json.loads(onnx.load_from_string(data).metadata_props[0].value)["vocabulary"]
    other = {**words, "tokens": words["tokens"].replace("pump", "dump")}
    twice = {**words, "tokens": words["tokens"].replace("link", "pump")}
    half = {**words, "special": {**words["special"], "mask": 0.5}}
    beyond = {**words, "special": {**words["special"], "mask": 10**6}}
    for bad, said in (
        (b"", "as GGUF, ONNX or TFLite"),
        (data[:-100], "ONNX"),
        (changed(kind="signals"), "expected a text encoder"),
        (changed(tokenizer="0" * 16), "export model and tokenizer together"),
        (changed(vocabulary=other), "export model and tokenizer together"),
        (changed(vocabulary=twice), "names a token twice"),
        (changed(vocabulary=beyond), "special"),
        (changed(vocabulary=half), "special"),
        (changed(vocabulary=7), "metadata"),
        (changed(d_model=10**9), "d_model"),
        (changed(max_tokens="many"), "max_tokens"),
        (changed(d_model=32), "expected a finite embedding"),
    ):
        with pytest.raises(FormatError, match=said):
            open_encoder(bad).encode(["the pump"])


def test_a_detector_of_signals_takes_no_texts(minute, tmp_path):
    (tmp_path / "x.onnx").write_bytes(bert_onnx_bytes(minute))
    with pytest.raises(FormatError, match="expected a model of signals, found a text encoder"):
        Detector.load(tmp_path / "x.onnx")


def test_a_tflite_file_of_no_tokens_is_refused(files):
    data = (files["litert"] / "fp32.tflite").read_bytes()
    without = data.replace(b'"tokens": 24, ', b'"tokens":null,')
    assert without != data
    with pytest.raises(FormatError, match="number of tokens"):
        open_encoder(without)


def test_without_onnxruntime_the_extra_is_named(minute, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(DependencyError, match="onnxruntime"):
        open_encoder(bert_onnx_bytes(minute))
