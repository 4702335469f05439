"""Small encoders of every kind: the trained network is the exported one, it learns, and it resumes; no network."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers", reason="the extra text is not installed")
pytest.importorskip("safetensors")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from sanderling.export.bert import read_bert, write_bert  # noqa: E402
from sanderling.export.bert_network import embedding  # noqa: E402
from sanderling.export.bert_texts import TEXTS  # noqa: E402

from sanderling.cli.main import main  # noqa: E402
from sanderling.errors import FormatError, InputError  # noqa: E402
from sanderling.text import ablation  # noqa: E402
from sanderling.text.detector import TextDetector  # noqa: E402
from sanderling.text.distil import distil  # noqa: E402
from sanderling.text.encoders import open_encoder  # noqa: E402
from sanderling.text.network import MIXERS, TextNetwork, save_network, student  # noqa: E402
from sanderling.text.pretrain import STATE, load_encoder, pretrain, read_config  # noqa: E402
from tests.helpers.random_bert import random_bert, write_folder  # noqa: E402
from tests.text.test_training import NORMAL, ODD, no_network  # noqa: E402, F401

KINDS = ("transformer", "tcn", "gru")
OPTIONS = dict(steps=60, batch=8, max_tokens=32, rate=3e-3)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("bert") / "hf", random_bert(layers=4))


@pytest.mark.parametrize("kind", KINDS)
def test_the_exported_network_is_the_trained_one(source, tmp_path, kind):
    torch.manual_seed(1)
    config = read_config(source)
    network = student(kind, config, load_encoder(source, masked=False)[1].state_dict()).eval()
    with torch.no_grad():
        for name, value in network.named_parameters():  # no bias is 0, no gain 1
            if "norm" in name or "bias" in name:
                value.add_(0.1 * torch.randn(value.shape))
    save_network(network, source, tmp_path / "out", 48)
    model = read_bert(tmp_path / "out")
    assert model.mixer == kind and model.max_tokens == 48
    again = TextNetwork(network.config)
    assert set(again.tensors()) == set(model.tensors)
    ids = [2, *range(7, 40), 3]
    with torch.no_grad():
        found = network(torch.tensor([[*ids, 0, 0], ids[:-5] + [3] * 7]), torch.tensor([[True] * 35 + [False] * 2] * 2))
    np.testing.assert_allclose(found[0], embedding(model, ids), atol=2e-6)


def test_kinds_are_those_of_signals():
    from sanderling.model.config import ENCODERS

    assert tuple(MIXERS) == tuple(ENCODERS) == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_a_student_learns_its_teacher(source, tmp_path, kind):
    losses = distil(NORMAL + ODD, source, tmp_path / kind, kind, **OPTIONS)
    assert len(losses) == OPTIONS["steps"] and np.mean(losses[-10:]) < 0.7 * np.mean(losses[:3])
    model, teacher = read_bert(tmp_path / kind), read_bert(source)
    table = "embeddings.word_embeddings.weight"
    np.testing.assert_array_equal(model.tensors[table], teacher.tensors[table])
    out = tmp_path / ("x.gguf" if kind == "transformer" else "x.onnx")
    assert main(["export", str(tmp_path / kind), "-o", str(out)]) == 0
    encoder = open_encoder(out.read_bytes())
    ids = [list(map(int, encoder.tokenize(text))) for text in NORMAL[:8]]
    wanted = np.stack([embedding(teacher, row) for row in ids])
    cosine = (encoder.encode(NORMAL[:8]) * wanted).sum(1)
    untrained = student(kind, read_config(source), load_encoder(source, masked=False)[1].state_dict())
    save_network(untrained, source, tmp_path / "raw", 64)
    before = (np.stack([embedding(read_bert(tmp_path / "raw"), row) for row in ids]) * wanted).sum(1)
    assert cosine.mean() > before.mean() and cosine.mean() > 0.8
    detector = TextDetector.calibrate(NORMAL, out)
    assert (detector.decision_function(ODD).min() > np.quantile(detector.decision_function(NORMAL), 0.9)).all()


def test_training_resumes_to_the_same_weights(source, tmp_path):
    def stop(step, steps, loss):
        if step == 5:
            raise KeyboardInterrupt

    options = dict(steps=8, batch=4, save_every=4)
    whole = distil(NORMAL, source, tmp_path / "whole", "gru", **options)
    with pytest.raises(KeyboardInterrupt):
        distil(NORMAL, source, tmp_path / "parts", "gru", **options, progress=stop)
    for changed in ({"steps": 9}, {"architecture": "tcn"}):
        with pytest.raises(InputError, match="choose another folder"):
            distil(NORMAL, source, tmp_path / "parts", **{"architecture": "gru", **options, **changed})
    rest = distil(NORMAL, source, tmp_path / "parts", "gru", **options)
    assert rest == whole[4:] and not (tmp_path / "parts" / STATE).exists()
    a, b = (read_bert(tmp_path / name).tensors for name in ("whole", "parts"))
    assert all(np.array_equal(a[name], b[name]) for name in a)


def test_the_verbs(source, tmp_path, capsys):
    (tmp_path / "lines.txt").write_text("\n".join(NORMAL))
    wanted = ["--encoder", str(source), "--architecture", "tcn", "--steps", "3", "--batch", "4"]
    assert main(["text", "pretrain", str(tmp_path / "lines.txt"), "-o", str(tmp_path / "tcn"), *wanted]) == 0
    assert "distance to the teacher" in capsys.readouterr().out
    made = str(tmp_path / "d.zip")
    assert main(["text", "calibrate", str(tmp_path / "lines.txt"), "-o", made, "--encoder", str(tmp_path / "tcn")]) == 0
    assert main(["text", "score", made, str(tmp_path / "lines.txt"), "--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(NORMAL)
    for odd, said in (
        (["-o", str(tmp_path / "x.gguf")], "ONNX or TFLite"),
        (["-o", str(tmp_path / "x.onnx"), "--tokens", "64"], "expected no --tokens"),
        (["-o", str(tmp_path / "x.onnx"), "--format", "onnx-native"], "expected a format of native, onnx, tflite"),
    ):
        assert main(["export", str(tmp_path / "tcn"), *odd]) != 0
        assert said in capsys.readouterr().err


def test_the_ablation_has_a_row_an_encoder_and_resumes(source, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(ablation, "TEACHER", str(source))
    lines = ["text,label", *(f"{text},a" for text in 2 * NORMAL), *(f"{text},b" for text in ODD)]
    (tmp_path / "set.csv").write_text("\n".join(lines))
    command = [str(tmp_path / "set.csv"), "-o", str(tmp_path / "out"), "--steps", "2"]
    assert ablation.main(command) == 0
    table = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[0][2:] for line in table[2:]] == ["none", str(source), *KINDS]
    assert all(0 <= float(line.split(" | ")[-1].strip(" |")) <= 1 for line in table[2:])
    trained = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*/model.safetensors")}
    assert len(trained) == 3
    for result in (tmp_path / "out").glob("*.json"):
        result.unlink()
    assert ablation.main(command) == 0
    again = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[-1] for line in again] == [line.split(" | ")[-1] for line in table]
    assert {path: path.stat().st_mtime_ns for path in trained} == trained


def test_multiplications_are_counted_by_hand():
    # MiniLM's layer: 4 d^2 of attention and 2 d 4 d of the FFN.
    assert ablation.macs(random_bert(d=64, layers=6, ffn=256)) == 6 * 12 * 64 * 64
    assert ablation.macs(random_bert(d=64, layers=3, ffn=128, mixer="tcn")) == 3 * (3 + 1 + 4) * 64 * 64
    assert ablation.macs(random_bert(d=64, layers=2, ffn=128, mixer="gru")) == 2 * (6 + 1 + 4) * 64 * 64


def test_wrong_requests(source, tmp_path):
    with pytest.raises(InputError, match="found none"):
        distil([], source, tmp_path, "tcn")
    with pytest.raises(InputError, match="expected an architecture of transformer, tcn, gru"):
        distil(NORMAL, source, tmp_path, "lstm")
    made = distil(NORMAL, source, tmp_path / "gru", "gru", steps=1, batch=2)
    assert len(made) == 1
    for refused in (
        lambda at: distil(NORMAL, at, tmp_path / "x", "tcn"),
        lambda at: pretrain(NORMAL, at, tmp_path / "x"),
    ):
        with pytest.raises(FormatError, match="expected a BERT-type encoder"):
            refused(tmp_path / "gru")


def test_embeddings_of_a_small_transformer_are_natively_the_same(source, tmp_path):
    distil(NORMAL, source, tmp_path / "t", "transformer", steps=2, batch=2)
    model = read_bert(tmp_path / "t")
    write_bert(tmp_path / "t.gguf", model)
    encoder = open_encoder((tmp_path / "t.gguf").read_bytes())
    wanted = np.stack([embedding(model, encoder.tokenize(text).tolist()) for text in TEXTS])
    assert model.n_layers == 2 and (encoder.encode(TEXTS) * wanted).sum(1).mean() > 0.995
