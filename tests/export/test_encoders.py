"""Encoders that the native engine does not run: trained as the transformer is, exported, scored by the wrapper."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
torch = pytest.importorskip("torch")

from sanderling.export.network import TorchEngine  # noqa: E402

import sanderling  # noqa: E402
from sanderling.cli import export  # noqa: E402
from sanderling.cli.main import main  # noqa: E402
from sanderling.model import ModelConfig, Sanderling  # noqa: E402
from sanderling.runtime.graph import GraphMachine, empty_memory  # noqa: E402
from sanderling.runtime.graph_spec import ENCODERS  # noqa: E402
from sanderling.signal.scale import apply_scale, fit_scale  # noqa: E402
from sanderling.train.checkpoint import save_weights  # noqa: E402
from sanderling.train.importer import load_model  # noqa: E402
from tests.helpers.graphs import recording  # noqa: E402

OTHERS = ENCODERS[1:]
X = recording(1200, 2)


@pytest.fixture(scope="module", params=OTHERS)
def weights(request, tmp_path_factory):
    """A random network's weights file."""
    torch.manual_seed(0)
    config = ModelConfig(
        d_model=64, n_heads=(2, 1, 1), ffn=(96, 64, 64), scorer_hidden=64, raw_rows=512, encoder=request.param
    )
    model = Sanderling(config).eval()
    torch.nn.init.normal_(model.scorer.fc2.weight, std=0.3)
    for layer in model.encoder.layers:
        torch.nn.init.normal_(layer.attn.out.weight, std=0.1)
    path = tmp_path_factory.mktemp(request.param) / "weights.safetensors"
    save_weights(path, model, {"data": "none"})
    return path


def channel_scores(engine):
    """Of X, without a memory's reference."""
    machine = GraphMachine(engine, X.shape[1], *fit_scale(X), empty_memory(engine, X.shape[1]))
    scaled, valid = apply_scale(np.nan_to_num(X), *fit_scale(X)), np.isfinite(X).astype(np.float32)
    return machine.run(scaled, valid, ["channel_score"])["channel_score"]


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_later_sample_changes_no_earlier_score(encoder):
    torch.manual_seed(0)
    model = Sanderling(ModelConfig(d_model=32, n_heads=(1, 1), ffn=(32, 32), scorer_hidden=32, encoder=encoder)).eval()
    x = torch.from_numpy(np.nan_to_num(X[:1024]))[None]
    with torch.no_grad():
        reconstruction, scores = model(x)
        x[:, -8:] += 5
        other, later = model(x)
    assert torch.equal(scores[:, :-8], later[:, :-8]) and torch.equal(reconstruction[:, :-8], other[:, :-8])
    assert not torch.equal(scores[:, -8:], later[:, -8:])


def test_the_graph_computes_what_the_network_computes(weights):
    native, (model, _) = export.native_model(weights), load_model(weights)
    x = np.nan_to_num(X)
    scaled = apply_scale(x, *fit_scale(x))
    machine = GraphMachine(TorchEngine(native), 2, *fit_scale(x), empty_memory(TorchEngine(native), 2))
    found = machine.run(scaled, np.ones_like(scaled), ["reconstruction"])["reconstruction"]
    with torch.no_grad():
        wanted = model.encode(torch.from_numpy(scaled)[None]).decoded.reconstruction[0].numpy()
    # The graph has the INT8 grid's weights.
    assert np.abs(found - wanted).max() < 0.02 * np.abs(wanted).max()


@pytest.mark.parametrize("target", ["modern", "jetpack4"])
def test_onnx_scores_are_the_torch_modules(weights, tmp_path, target):
    file = tmp_path / "m.onnx"
    assert main(["export", str(weights), "--format", "onnx", "--target", target, "-o", str(file)]) == 0
    onnx.checker.check_model(onnx.load(file), full_check=True)
    native = export.native_model(weights)
    engines = sanderling.Detector.load(file, threads=1)._model.engine, TorchEngine(native)
    found, wanted = (channel_scores(engine) for engine in engines)
    assert np.abs(found - wanted).max() < 1e-3


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_wrapper_calibrates_streams_and_saves(weights, tmp_path, precision):
    file = tmp_path / "m.onnx"
    assert main(["export", str(weights), "--format", "onnx", "--precision", precision, "-o", str(file)]) == 0
    detector = sanderling.Detector.load(file, threads=1).fit(X[:700])
    batch = detector.decision_function(X[700:])
    stream, parts = detector.stream(), []
    for at in range(700, len(X), 37):
        parts.append(stream.update(X[at : at + 37]))
    parts.append(stream.flush())
    np.testing.assert_allclose(np.concatenate(parts), batch, atol=1e-3)
    detector.save(tmp_path / "calibrated.onnx")
    again = sanderling.Detector.load(tmp_path / "calibrated.onnx", threads=1)
    assert np.array_equal(again.decision_function(X[700:]), batch)


def test_the_native_format_refuses_and_says_where_to_go(weights, tmp_path, capsys):
    assert main(["export", str(weights), "-o", str(tmp_path / "m.gguf")]) == 2
    assert "export it to onnx or tflite" in capsys.readouterr().err
    assert not (tmp_path / "m.gguf").exists()


def test_compression_refuses(weights, tmp_path, capsys):
    assert main(["compress", str(weights), "-o", str(tmp_path / "small.gguf"), "--steps", "1"]) == 2
    assert "transformer" in capsys.readouterr().err


def test_unknown_encoders_are_named():
    with pytest.raises(ValueError, match="transformer, tcn, gru"):
        ModelConfig(encoder="lstm")


@pytest.mark.slow
def test_tflite_scores_are_the_torch_modules(weights, tmp_path):
    pytest.importorskip("litert_torch")
    file = tmp_path / "m.tflite"
    shape = ["--tokens", "16", "--channels", "2"]
    assert main(["export", str(weights), "--format", "tflite", *shape, "-o", str(file)]) == 0
    engines = sanderling.Detector.load(file)._model.engine, TorchEngine(export.native_model(weights))
    found, wanted = (channel_scores(engine) for engine in engines)
    assert found.shape == (2, len(X) // 8)
    assert np.abs(found - wanted).max() < 1e-2
