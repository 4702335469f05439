"""The encoder as ONNX: float32's and the native file's embeddings, whatever the padding."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sanderling.export.bert import write_bert
from sanderling.export.bert_network import embedding
from sanderling.export.bert_onnx import bert_onnx_bytes
from sanderling.export.bert_texts import TEXTS

from sanderling import _core
from sanderling.errors import InputError
from tests.helpers.random_bert import random_bert


@pytest.fixture(scope="module", params=["mean, normalised", "cls"])
def kind(request, tmp_path_factory):
    """A small model, its native file opened, and FP32's embeddings of TEXTS."""
    cls = request.param == "cls"
    model = random_bert(layers=3, pooling="cls" if cls else "mean", normalise=not cls)
    path = tmp_path_factory.mktemp("onnx") / "tiny.gguf"
    write_bert(path, model)
    encoder = _core.TextEncoder.open(str(path))
    return model, encoder, np.stack([embedding(model, encoder.tokenize(t).tolist()) for t in TEXTS])


def session(data: bytes):
    return pytest.importorskip("onnxruntime").InferenceSession(data, providers=["CPUExecutionProvider"])


def padded(encoder, texts) -> dict[str, np.ndarray]:
    ids = [encoder.tokenize(text) for text in texts]
    shape = (len(ids), max(map(len, ids)))
    found = {"ids": np.zeros(shape, np.int64), "mask": np.zeros(shape, np.int64)}
    for i, row in enumerate(ids):
        found["ids"][i, : len(row)], found["mask"][i, : len(row)] = row, 1
    return found


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


@pytest.mark.parametrize("target", ["modern", "jetpack4"])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_embeddings(kind, precision, target):
    pytest.importorskip("onnx")
    model, encoder, exact = kind
    run = session(bert_onnx_bytes(model, precision=precision, target=target))
    together = run.run(None, padded(encoder, TEXTS))[0]
    alone = np.concatenate([run.run(None, padded(encoder, [text]))[0] for text in TEXTS])
    assert together.shape == exact.shape and together.dtype == np.float32
    # A rounding that falls the other way moves an integer in INT8.
    assert np.abs(together - alone).max() < (1e-5 if precision == "fp32" else 0.02) * np.abs(exact).max()
    if precision == "fp32":
        assert np.abs(together - exact).max() < 1e-4
    else:
        assert cosine(together, exact).mean() > 0.998
        assert cosine(together, encoder.encode(TEXTS)).mean() > 0.998


def test_the_file_names_its_tokenizer(kind):
    onnx = pytest.importorskip("onnx")
    model, encoder, _ = kind
    made = onnx.load_from_string(bert_onnx_bytes(model, precision="int8"))
    document = json.loads({entry.key: entry.value for entry in made.metadata_props}["sanderling"])
    assert document["tokenizer"] == encoder.info()["tokenizer"] and document["pooling"] == model.pooling
    assert {node.domain for node in made.graph.node} == {""} and len(made.opset_import) == 1


def test_unknown_kinds_are_refused(kind):
    for options in ({"precision": "int4"}, {"target": "tpu"}):
        with pytest.raises(InputError, match="choose one"):
            bert_onnx_bytes(kind[0], **options)


def test_same_model_same_bytes(kind):
    pytest.importorskip("onnx")
    assert bert_onnx_bytes(kind[0]) == bert_onnx_bytes(kind[0])
