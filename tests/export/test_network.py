"""The torch module in exportable form: against the trained network's own code, and against the native engine."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from sanderling.export.native import write_native  # noqa: E402
from sanderling.export.network import ExportNetwork, TorchEngine  # noqa: E402
from sanderling.export.reading import read_native  # noqa: E402

import sanderling  # noqa: E402
from sanderling.compress.quantise import to_native_tensors  # noqa: E402
from sanderling.model import ModelConfig, Sanderling  # noqa: E402
from sanderling.runtime.graph import GraphMachine, empty_memory  # noqa: E402
from sanderling.runtime.graph_model import GraphModel  # noqa: E402
from sanderling.runtime.graph_spec import input_shapes, output_shapes  # noqa: E402
from sanderling.signal.scale import apply_scale, fit_scale  # noqa: E402
from tests.helpers.graphs import recording  # noqa: E402

MICRO = ModelConfig(d_model=64, n_heads=(2, 1), ffn=(96, 64), scorer_hidden=64, raw_rows=512, smooth=3)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A random network on the INT8 grid, and its file."""
    torch.manual_seed(0)
    model = Sanderling(MICRO).eval()
    torch.nn.init.normal_(model.scorer.fc2.weight, std=0.3)
    for layer in model.encoder.layers:
        torch.nn.init.normal_(layer.attn.out.weight, std=0.1)
    tensors = to_native_tensors(model)
    path = tmp_path_factory.mktemp("network") / "micro.gguf"
    write_native(path, {**MICRO.to_dict(), "variant": "micro"}, tensors)
    names = {"metric": model.metric, "graph.qkv": model.decoder.qkv, "graph.out": model.decoder.out}
    names |= {"scorer.fc1": model.scorer.fc1, "scorer.fc2": model.scorer.fc2}
    for i, layer in enumerate(model.encoder.layers):
        names |= {f"blk.{i}.qkv": layer.attn.qkv, f"blk.{i}.out": layer.attn.out}
        names |= {f"blk.{i}.ffn_up": layer.ffn_up, f"blk.{i}.ffn_down": layer.ffn_down}
    native = read_native(path)
    for name, layer in names.items():
        layer.weight.data = torch.tensor(native.weight(name))
    return model, native


@pytest.mark.parametrize("channels", [1, 3])
def test_it_computes_what_the_network_computes(trained, channels):
    model, native = trained
    x = np.nan_to_num(recording(512, channels))
    scaled = apply_scale(x, *fit_scale(x))
    engine = TorchEngine(native)
    machine = GraphMachine(engine, channels, *fit_scale(x), empty_memory(engine, channels))
    found = machine.run(scaled, np.ones_like(scaled), ["metric", "reconstruction", "raw_components"])
    with torch.no_grad():
        e = model.encode(torch.from_numpy(scaled)[None])
    assert np.allclose(found["metric"], e.u[0].flatten(2), atol=1e-4)
    assert np.allclose(found["reconstruction"], e.decoded.reconstruction[0], atol=1e-4)
    patches = e.y[0].unflatten(-1, (-1, 8))
    error = (patches[:, 1:] - e.decoded.next_patch[0, :, :-1]).abs().mean(-1)
    assert np.allclose(found["raw_components"][:, 1:, 3], error, atol=1e-4)
    assert np.all(found["raw_components"][:, 0, 3:5] == 0)


@pytest.mark.parametrize("cut", [1, 5])
def test_blocks_of_any_length_carry_the_state(trained, cut):
    _, native = trained
    engine = TorchEngine(native)
    x = recording(800)
    whole = GraphModel(engine).stream(3)
    expected = np.concatenate([whole.update(x)[0], whole.flush()[0]])
    engine.tokens = (1, cut) if cut > 1 else (1,)
    parts = GraphModel(engine).stream(3)
    found = np.concatenate([parts.update(x)[0], parts.flush()[0]])
    assert np.array_equal(np.isnan(found), np.isnan(expected))
    assert np.nanmax(np.abs(found - expected)) < 1e-4


def test_inputs_and_outputs_have_the_contract_s_shapes(trained):
    _, native = trained
    shapes = input_shapes(native.config, 2, 4, 7, 9)
    with torch.no_grad():
        outputs = ExportNetwork(native)(*(torch.rand(shape) for shape in shapes.values()))
    expected = output_shapes(native.config, 2, 4)
    assert [tuple(value.shape) for value in outputs] == list(expected.values())
    assert all(value.dtype == torch.float32 for value in outputs)


def test_it_ranks_as_the_native_engine():
    """The shipped model: INT8 against FP32 activations, cold and calibrated."""
    native = read_native(None)
    model = GraphModel(TorchEngine(native))
    x = recording(3000, 2)
    own = sanderling.Detector.load().fit(x[:1500])
    fitted = model.calibrate(x[:1500], False, 1.0, 0.0)
    assert fitted.calibration.threshold == pytest.approx(own.threshold_, rel=0.05)
    stream = fitted.stream(2)
    found, expected = stream.update(x[1500:])[0], own.decision_function(x[1500:])[: 1500 // 8 * 8]
    assert np.array_equal(np.isnan(found), np.isnan(expected))
    ranks = [np.argsort(np.argsort(a)) for a in (found, expected)]
    assert np.corrcoef(*ranks)[0, 1] > 0.98
