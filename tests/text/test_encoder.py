"""The native text encoder: against float32, on every instruction set, and refusals."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import pytest
from sanderling.export.bert import read_bert, write_bert
from sanderling.export.bert_network import embedding, hidden_states
from sanderling.export.bert_texts import TEXTS

from sanderling import _core
from sanderling.errors import FormatError, InputError, IsaError, ModelNotFoundError
from tests.helpers.random_bert import SPECIAL, random_bert, vocabulary, write_folder

# The embeddings' bits, on every tier and every machine (tests/csrc/text pins more of them, on ARM too).
TINY_SHA256 = "34307008cd9dbb4481e83b3f86327fb31dcb7948260c3a0b079339aa7cddff33"


def cosines(encoder, model, texts) -> np.ndarray:
    """Of INT8 against float32, a text each."""
    exact = np.stack([embedding(model, encoder.tokenize(text).tolist()) for text in texts])
    found = encoder.encode(list(texts))
    return (found * exact).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(exact, axis=1)


def test_minilm_keeps_its_embeddings(minilm, minilm_path):
    encoder = _core.TextEncoder.open(str(minilm_path))
    assert cosines(encoder, minilm, TEXTS).mean() >= 0.997


def test_minilm_keeps_its_embeddings_of_real_texts(minilm, minilm_path, sample):
    found = cosines(_core.TextEncoder.open(str(minilm_path)), minilm, sample(160))
    print(f"cosine: mean {found.mean():.5f}, least {found.min():.5f}")
    assert found.mean() >= 0.997 and found.min() >= 0.98


def test_float32_is_the_model(minilm):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers", reason="the extra text is not installed")
    model = transformers.BertModel(transformers.BertConfig(**dict(minilm.config)), add_pooling_layer=False).eval()
    model.load_state_dict(
        {k: torch.from_numpy(v) for k, v in minilm.tensors.items() if not k.startswith("pooler")}, strict=False
    )
    ids = [101, 1996, 15856, 2003, 2980, 102]
    with torch.no_grad():
        exact = model(torch.tensor([ids])).last_hidden_state[0].numpy()
    assert np.abs(hidden_states(minilm, ids) - exact).max() < 2e-5


def test_minilm_file_is_small(minilm_path):
    assert minilm_path.stat().st_size <= 24_000_000


@pytest.mark.parametrize("isa", _core.isa_compiled())
def test_same_bits_on_every_tier(isa, tiny_path):
    if isa not in _core.isa_supported():
        pytest.skip(f"{isa}: not on this processor")
    encoder = _core.TextEncoder.open(str(tiny_path), isa)
    assert encoder.info()["isa"] == isa
    texts = [*TEXTS, "", "a", "error " * 100]
    assert hashlib.sha256(encoder.encode(texts).tobytes()).hexdigest() == TINY_SHA256


@pytest.mark.parametrize("isa", _core.isa_compiled())
def test_minilm_has_the_reference_bits(isa, minilm_path):
    if isa not in _core.isa_supported():
        pytest.skip(f"{isa}: not on this processor")
    texts = [TEXTS[0], " ".join(TEXTS[:4])]
    expected = _core.TextEncoder.open(str(minilm_path), "reference").encode(texts)
    assert _core.TextEncoder.open(str(minilm_path), isa).encode(texts).tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    "options",
    [{"pooling": "cls"}, {"normalise": False}, {"d": 192, "heads": 3}, {"d": 96, "heads": 2}, {"d": 128, "heads": 1}],
)
def test_kinds_of_encoders(options, tmp_path):
    model = random_bert(**options)
    write_bert(tmp_path / "bert.gguf", model)
    encoder = _core.TextEncoder.open(str(tmp_path / "bert.gguf"))
    assert cosines(encoder, model, TEXTS[:8]).min() > 0.99
    exact, found = embedding(model, encoder.tokenize(TEXTS[0]).tolist()), encoder.encode([TEXTS[0]])[0]
    assert abs(np.linalg.norm(found) / np.linalg.norm(exact) - 1) < 0.05


def test_a_window_as_wide_as_the_text_is_full_attention(tiny_path, tmp_path):
    key, data, rows = b"sanderling.text.window", tiny_path.read_bytes(), {}
    at = data.index(key) + len(key) + 4  # behind the value's type
    for window in (0, 1, 3, 64):
        path = tmp_path / f"{window}.gguf"
        path.write_bytes(data[:at] + window.to_bytes(4, "little") + data[at + 4 :])
        rows[window] = _core.TextEncoder.open(str(path)).encode([TEXTS[2]])
    assert rows[64].tobytes() == rows[0].tobytes()
    assert not np.allclose(rows[1], rows[0], atol=1e-3) and not np.allclose(rows[3], rows[1], atol=1e-3)


def test_encode_is_tokenize_and_embed(tiny_path):
    encoder = _core.TextEncoder.open(str(tiny_path))
    rows = encoder.encode(TEXTS)
    assert rows.shape == (len(TEXTS), 64) and rows.dtype == np.float32
    for text, row in zip(TEXTS, rows, strict=True):
        assert encoder.embed(encoder.tokenize(text)).tobytes() == row.tobytes()
    assert encoder.encode([]).shape == (0, 64)
    assert np.isfinite(encoder.encode(["", "\0", b"\xff", "\U0001f600"])).all()


def test_inner_layers_are_shorter_encoders(tmp_path):
    """What a layer puts out is what the encoder cut off behind it embeds, to the bit."""
    whole = random_bert(layers=4, normalise=False)
    write_bert(tmp_path / "whole.gguf", whole, smooth=False)
    rows, inner = _core.TextEncoder.open(str(tmp_path / "whole.gguf")).encode(TEXTS, inner=True)
    assert inner.shape == (len(TEXTS), 3, 64) and inner.dtype == np.float32
    assert rows.tobytes() == _core.TextEncoder.open(str(tmp_path / "whole.gguf")).encode(TEXTS).tobytes()
    for layers in (1, 2, 3):
        short = random_bert(layers=layers, normalise=False)
        write_bert(tmp_path / "short.gguf", short, smooth=False)
        expected = _core.TextEncoder.open(str(tmp_path / "short.gguf")).encode(TEXTS)
        assert inner[:, layers - 1].tobytes() == expected.tobytes()


def test_bad_requests(tiny_path):
    encoder = _core.TextEncoder.open(str(tiny_path))
    for ids in (np.zeros(0, np.uint32), np.zeros(65, np.uint32), np.array([10_000], np.uint32)):
        with pytest.raises(InputError, match="expected"):
            encoder.embed(ids)
    for texts in ([3], "a text", b"a text"):
        with pytest.raises(InputError, match="str or bytes"):
            encoder.encode(texts)
    for most in (1, 65):
        with pytest.raises(InputError, match="max_tokens"):
            _core.TextEncoder.open(str(tiny_path), max_tokens=most)
    with pytest.raises(IsaError):
        _core.TextEncoder.open(str(tiny_path), "sse9")
    with pytest.raises(InputError, match="beyond"):
        encoder.token(1 << 20)


def test_another_tokenizer_is_refused(tiny_path, tmp_path):
    # One letter of the vocabulary changed, as if another model's had been put in.
    data = tiny_path.read_bytes()
    at = data.index(b"connect")
    (tmp_path / "other.gguf").write_bytes(data[:at] + b"konnect" + data[at + 7 :])
    with pytest.raises(FormatError, match="tokenizer"):
        _core.TextEncoder.open(str(tmp_path / "other.gguf"))


def test_each_kind_of_file_names_the_other(tiny_path, model_path):
    with pytest.raises(FormatError, match="text encoder"):
        _core.Model.open(str(tiny_path))
    with pytest.raises(FormatError, match="model of signals"):
        _core.TextEncoder.open(str(model_path))


def test_damaged_files(tiny_path):
    data = tiny_path.read_bytes()
    rng = np.random.default_rng(0)
    for end in (0, 3, 24, 1000, len(data) // 2, len(data) - 1):
        with pytest.raises(FormatError):
            _core.TextEncoder.parse(data[:end])
    for _ in range(300):
        spoilt = bytearray(data)
        for at in rng.integers(0, 6000, 4):
            spoilt[at] = rng.integers(0, 256)
        try:
            encoder = _core.TextEncoder.parse(bytes(spoilt))
        except (FormatError, ValueError):
            continue
        assert np.isfinite(encoder.encode(["the pump"])).all()


def test_a_folder_is_read_back(tmp_path):
    model = random_bert(pooling="cls", normalise=False)
    found = read_bert(write_folder(tmp_path / "model", model))
    assert found.vocabulary == model.vocabulary and (found.pooling, found.normalise) == ("cls", False)
    assert all(np.array_equal(found.tensors[name], value) for name, value in model.tensors.items())
    assert write_bert(tmp_path / "a.gguf", found) == write_bert(tmp_path / "b.gguf", found)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"hidden_act": "relu"}, "hidden_act"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type"),
        ({"model_type": "llama"}, "model_type"),
        ({"num_attention_heads": 64}, "multiples of 16"),
        ({"num_hidden_layers": 3}, "encoder.layer.2"),
        ({"vocab_size": 7}, "word_embeddings"),
        ({"hidden_size": "64"}, "hidden_size"),
    ],
)
def test_what_the_engine_does_not_compute_is_refused(change, message, tmp_path):
    model = random_bert()
    write_folder(tmp_path / "model", dataclasses.replace(model, config={**model.config, **change}))
    with pytest.raises(FormatError, match=message):
        read_bert(tmp_path / "model")


def test_a_tokenizer_of_another_size_is_refused(tmp_path):
    folder = write_folder(tmp_path / "model", random_bert())
    with (folder / "vocab.txt").open("a") as file:
        file.write("more\n")
    with pytest.raises(FormatError, match="tokenizer of"):
        read_bert(folder)


def test_a_missing_model_is_named(tmp_path):
    with pytest.raises(ModelNotFoundError, match="config.json"):
        read_bert("no-such-encoder")
    with pytest.raises(ModelNotFoundError, match="config.json"):
        read_bert(tmp_path)


def test_special_tokens_are_found_by_name(tmp_path):
    assert (
        read_bert(write_folder(tmp_path / "model", random_bert(words=vocabulary(lowercase=False)))).vocabulary.special
        == SPECIAL
    )
