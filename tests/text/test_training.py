"""Continued masked-language training and adapters, on a small random encoder; no network."""

import socket

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers", reason="the extra text is not installed")
pytest.importorskip("safetensors")

from sanderling.export.bert import read_bert, write_bert  # noqa: E402

from sanderling.errors import InputError  # noqa: E402
from sanderling.text.adapters import MOST_SHARE, OPTIMIZERS, adapt  # noqa: E402
from sanderling.text.detector import TextDetector  # noqa: E402
from sanderling.text.pretrain import IGNORED, STATE, load_encoder, mask, pretrain  # noqa: E402
from tests.helpers.random_bert import random_bert, write_folder  # noqa: E402

NORMAL = [f"the pump {i} is connected." for i in range(40)]
ODD = [f"link {i} down! error!" for i in range(12)]


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("bert") / "hf", random_bert())


def test_masking():
    tokens = torch.arange(10, 10_010).reshape(100, 100)
    special = torch.zeros_like(tokens, dtype=torch.bool)
    special[:, 0] = True
    inputs, labels = mask(tokens, special, 4, 20_000, torch.Generator().manual_seed(0))
    chosen = labels != IGNORED
    assert not chosen[:, 0].any() and 0.12 < chosen.float().mean() < 0.18
    assert (labels[chosen] == tokens[chosen]).all() and (inputs[~chosen] == tokens[~chosen]).all()
    assert 0.7 < (inputs[chosen] == 4).float().mean() < 0.9


def test_pretraining_resumes_to_the_same_weights(source, tmp_path):
    def stop(step, steps, loss):
        if step == 5:
            raise KeyboardInterrupt

    options = dict(steps=8, batch=4, rate=1e-3, save_every=4)
    whole = pretrain(NORMAL, source, tmp_path / "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        pretrain(NORMAL, source, tmp_path / "parts", **options, progress=stop)
    with pytest.raises(InputError, match="choose another folder"):
        pretrain(NORMAL, source, tmp_path / "parts", **{**options, "steps": 9})
    rest = pretrain(NORMAL, source, tmp_path / "parts", **options)
    assert rest == whole[4:] and not (tmp_path / "parts" / STATE).exists()
    a, b = (read_bert(tmp_path / name).tensors for name in ("whole", "parts"))
    assert all(np.array_equal(a[name], b[name]) for name in a)
    name = "embeddings.word_embeddings.weight"
    assert not np.array_equal(a[name], read_bert(source).tensors[name])


def test_pretraining_lowers_the_loss(source, tmp_path):
    losses = pretrain(NORMAL, source, tmp_path, steps=40, batch=8, rate=5e-3)
    assert np.mean(losses[-8:]) < 0.8 * np.mean(losses[:8])
    with pytest.raises(InputError, match="found none"):
        pretrain([], source, tmp_path / "none")


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_adapters_learn_the_labels(source, tmp_path, optimizer):
    tuned = adapt(NORMAL, ODD, source, tmp_path / "out", steps=40, rank=1, optimizer=optimizer, regulariser=0.1)
    assert tuned.share <= MOST_SHARE
    entropy = [loss for loss, _ in tuned.losses]
    assert np.mean(entropy[-5:]) < np.mean(entropy[:5])
    before, after = (read_bert(path).tensors for path in (source, tmp_path / "out"))
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    assert moved and all(".query." in name or ".value." in name for name in moved)
    write_bert(tmp_path / "out.gguf", read_bert(tmp_path / "out"), smooth=False)
    TextDetector.calibrate(NORMAL, tmp_path / "out.gguf")


def test_the_regulariser_holds_the_model(source, tmp_path):
    drift = [
        adapt(NORMAL, ODD, source, tmp_path / str(weight), steps=30, rank=1, regulariser=weight).losses[-1][1]
        for weight in (0.0, 30.0)
    ]
    assert drift[1] < drift[0]


def test_wrong_requests(source, tmp_path):
    for options, said in (
        ({"optimizer": "lion"}, "expected an optimizer of adam"),
        ({"rank": 32}, "at most 3%.*lower the rank"),
        ({"anomalous": ODD[:1]}, "at least 2 texts"),
    ):
        with pytest.raises(InputError, match=said):
            adapt(**{"normal": NORMAL, "anomalous": ODD, "source": source, "out": tmp_path, **options})


def test_the_hub_is_off(source, monkeypatch):
    import os

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    load_encoder(source, masked=False)
    assert os.environ["HF_HUB_OFFLINE"] == "1"
