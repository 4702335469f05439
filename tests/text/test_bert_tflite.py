"""The encoder as TFLite: float32's and the native file's embeddings, whatever the padding."""

from __future__ import annotations

import numpy as np
import pytest
from sanderling.export.bert import write_bert
from sanderling.export.bert_network import embedding
from sanderling.export.bert_texts import TEXTS
from sanderling.export.bert_tflite import bert_tflite_bytes

from sanderling import _core
from sanderling.errors import InputError
from tests.helpers.random_bert import random_bert

TOKENS = 64
LEAST = {("fp32", "litert"): 0.99999, ("int8", "litert"): 0.998, ("int8", "tflite-runtime"): 0.999}


@pytest.fixture(scope="module")
def files():
    """A small model and its file of every kind."""
    for package in ("torch", "litert_torch", "ai_edge_quantizer"):
        pytest.importorskip(package)
    model = random_bert()
    return model, {
        (precision, target): bert_tflite_bytes(model, precision=precision, target=target, tokens=TOKENS)
        for precision, target in LEAST
    }


@pytest.mark.parametrize("kind", LEAST, ids=" ".join)
def test_embeddings(files, kind, tmp_path):
    model, made = files
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(model_content=made[kind])
    ask = interpreter.get_signature_runner()
    write_bert(tmp_path / "tiny.gguf", model)
    encoder = _core.TextEncoder.open(str(tmp_path / "tiny.gguf"))
    cosines = []
    for text in TEXTS[:10]:
        found = encoder.tokenize(text)
        rows = []
        for padding in (0, 7):  # what stands where the mask is 0
            ids, mask = np.full((1, TOKENS), padding, np.int32), np.zeros((1, TOKENS), np.float32)
            ids[0, : len(found)], mask[0, : len(found)] = found, 1
            rows.append(ask(ids=ids, mask=mask)["embedding"])
        assert rows[0].shape == (1, model.d_model) and np.allclose(rows[0], rows[1], atol=1e-6)
        cosines.append(float((rows[0][0] * embedding(model, found.tolist())).sum()))
        assert (rows[0][0] * encoder.embed(found)).sum() > 0.995
    assert np.mean(cosines) >= LEAST[kind]


def test_the_file_names_its_tokenizer_and_is_small(files):
    model, made = files
    for data in made.values():
        assert model.vocabulary.hash().encode() in data and data[4:8] == b"TFL3"
    assert len(made["int8", "litert"]) < len(made["fp32", "litert"]) / 2


@pytest.mark.parametrize("options", [{"precision": "int4"}, {"target": "tpu"}, {"tokens": 1}, {"tokens": 65}])
def test_unknown_kinds_are_refused(options):
    with pytest.raises(InputError, match="expected (precision|target|tokens)"):
        bert_tflite_bytes(random_bert(), **options)
