"""Weights from elsewhere: three namings, two layouts, and what is refused by name."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

from sanderling.errors import FormatError, InputWarning, ReadError  # noqa: E402
from sanderling.model import ModelConfig, Sanderling  # noqa: E402
from sanderling.train.importer import load_model  # noqa: E402

CONFIG = ModelConfig(d_model=64, n_heads=(2, 2), ffn=(96, 96), scorer_hidden=32)
ELSEWHERE = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 96}
ELSEWHERE |= {"scorer_hidden": 32, "hidden_act": "gelu", "model_type": "own"}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = Sanderling(CONFIG).eval()
    with torch.no_grad():
        for layer in model.encoder.layers:
            layer.attn.bias.zero_()
    return model


def folder(path, settings, state):
    path.mkdir()
    (path / "config.json").write_text(json.dumps(settings))
    safetensors.save_file({name: t.contiguous() for name, t in state.items()}, path / "model.safetensors")
    return path


def torch_names(model):
    """As torch.nn.TransformerEncoder names them."""
    table = {"attn_norm": "norm1", "ffn_norm": "norm2", "ffn_up": "linear1", "ffn_down": "linear2"}
    table |= {"attn.out": "self_attn.out_proj"}
    out = {}
    for name, tensor in encoder_of(model).items():
        for ours, theirs in table.items():
            name = name.replace(f".{ours}.", f".{theirs}.")
        name = name.replace("attn.qkv.weight", "self_attn.in_proj_weight").replace(
            "attn.qkv.bias", "self_attn.in_proj_bias"
        )
        out[name.removeprefix("encoder.")] = tensor
    return out


def separate_names(model):
    """As Hugging Face's encoders with q_proj, k_proj, v_proj name them."""
    table = {"attn_norm": "layer_norm1", "ffn_norm": "layer_norm2", "ffn_up": "mlp.fc1", "ffn_down": "mlp.fc2"}
    table |= {"attn.out": "self_attn.out_proj", "encoder.norm": "encoder.final_layer_norm"}
    out = {}
    for name, tensor in encoder_of(model).items():
        for ours, theirs in table.items():
            name = name.replace(f"{ours}.", f"{theirs}.")
        if "attn.qkv" in name:
            for part, rows in zip("qkv", tensor.chunk(3), strict=True):
                out["model." + name.replace("attn.qkv", f"self_attn.{part}_proj")] = rows
        else:
            out["model." + name] = tensor
    return out


def encoder_of(model):
    kept = {k: v for k, v in model.state_dict().items() if k.startswith("encoder.")}
    return {k: v for k, v in kept.items() if not k.endswith(("attn.bias", "mask_token"))}


@pytest.mark.parametrize("names", [torch_names, separate_names])
def test_an_encoder_by_other_names(model, tmp_path, names):
    with pytest.warns(InputWarning, match="distances"):
        found, _ = load_model(folder(tmp_path / "m", ELSEWHERE, names(model)))
    features = torch.randn(2, 20, CONFIG.in_features)
    with torch.no_grad():
        assert torch.equal(found.encoder(features), model.encoder(features))
        assert np.allclose(found.scorer.fusion, [0.5, 0.5, 1, 0, 0, 0, 0.5, 0], atol=1e-6)


def test_torch_s_own_encoder_computes_the_same(model, tmp_path):
    """torch.nn.TransformerEncoderLayer, within the window, and up to erf against tanh in GELU."""
    layer = torch.nn.TransformerEncoderLayer(
        64, 2, 96, dropout=0.0, batch_first=True, norm_first=True, activation=torch.nn.GELU(approximate="tanh")
    ).eval()
    state = {f"layers.0.{name}": tensor for name, tensor in layer.state_dict().items()}
    own = model.state_dict()
    for end in ("embed.weight", "embed.bias", "norm.weight", "norm.bias"):
        state[end] = own[f"encoder.{end}"]
    settings = {**ELSEWHERE, "num_hidden_layers": 1}
    with pytest.warns(InputWarning):
        found, _ = load_model(folder(tmp_path / "m", settings, state))
    h = torch.randn(1, CONFIG.window, 64)
    mask = torch.nn.Transformer.generate_square_subsequent_mask(CONFIG.window)
    with torch.no_grad():
        assert torch.allclose(found.encoder.layers[0](h), layer(h, mask), atol=1e-3)


def test_a_whole_network_as_a_folder_and_as_pt(model, tmp_path):
    torch.save({"config": CONFIG.to_dict(), "state_dict": model.state_dict()}, tmp_path / "m.pt")
    for path in (folder(tmp_path / "m", CONFIG.to_dict(), model.state_dict()), tmp_path / "m.pt"):
        found, _ = load_model(path)
        assert found.config == CONFIG
        for name, tensor in model.state_dict().items():
            assert torch.equal(found.state_dict()[name], tensor)


def test_it_exports(model, tmp_path, capsys):
    pytest.importorskip("gguf")
    from sanderling.cli.main import main
    from sanderling.runtime.detector import Detector

    path = folder(tmp_path / "m", ELSEWHERE, torch_names(model))
    assert main(["export", str(path), "-o", str(tmp_path / "m.gguf")]) == 0
    assert "distances to the reference" in capsys.readouterr().err
    x = np.sin(np.arange(1500) / 9).astype(np.float32)
    x[1000:1030] += 2
    scores = Detector.load(tmp_path / "m.gguf").fit(x[:700]).decision_function(x)
    assert scores[1000:1030].max() > 1.2 * scores[800:960].max()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"conv1.weight": torch.zeros(4, 4), "pos_embed": torch.zeros(3)}, "conv1.weight, pos_embed"),
        ({"layers.0.cross_attn.weight": torch.zeros(4)}, "cross_attn"),
        ({"embed.weight": torch.zeros(64, 32)}, r"encoder.embed.weight as float \(64, 64\)"),
        ({"embed.weight": torch.zeros(64, 64, dtype=torch.int8)}, "found int8"),
    ],
)
def test_unsupported_layers_are_named(model, tmp_path, change, said):
    with pytest.raises(FormatError, match=said), pytest.warns(InputWarning):
        raise_after_warning(folder(tmp_path / "m", ELSEWHERE, {**torch_names(model), **change}))


def raise_after_warning(path):
    import warnings

    warnings.warn("so that pytest.warns is content where the error comes first", InputWarning, stacklevel=1)
    load_model(path)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"norm_first": False}, "norm_first"),
        ({"hidden_act": "relu"}, "hidden_act"),
        ({"hidden_size": 65}, "multiple of 16"),
        ({"hidden_size": "64"}, "d_model as an integer of 1 to 2048, found 64"),
        ({"hidden_size": 2**40}, "d_model as an integer"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers of 1 to 32"),
        ({"intermediate_size": [128.0, 128]}, "ffn as an integer"),
    ],
)
def test_unsupported_configurations_are_named(model, tmp_path, settings, said):
    with pytest.raises(FormatError, match=said):
        load_model(folder(tmp_path / "m", {**ELSEWHERE, **settings}, torch_names(model)))


def test_missing_layers_are_named(model, tmp_path):
    state = torch_names(model)
    del state["layers.1.linear1.weight"]
    with pytest.warns(InputWarning), pytest.raises(FormatError, match="encoder.layers.1.ffn_up.weight missing"):
        load_model(folder(tmp_path / "m", ELSEWHERE, state))


def test_more_layers_than_the_configuration_says(model, tmp_path):
    with pytest.raises(FormatError, match="found also encoder.layers.1"):
        load_model(folder(tmp_path / "m", {**ELSEWHERE, "num_hidden_layers": 1}, torch_names(model)))


class Planted:
    def __reduce__(self):
        return (print, ("this must never be printed",))


def test_pickles_do_not_run(tmp_path, capsys):
    torch.save({"config": {}, "state_dict": {"a": Planted()}}, tmp_path / "m.pt")
    with pytest.raises(FormatError, match="weights_only"):
        load_model(tmp_path / "m.pt")
    assert "never" not in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", bytes(200)])
def test_damaged_files(tmp_path, content):
    (tmp_path / "m.pt").write_bytes(content)
    with pytest.raises(FormatError):
        load_model(tmp_path / "m.pt")
    (tmp_path / "d").mkdir()
    with pytest.raises(ReadError):
        load_model(tmp_path / "d")
    (tmp_path / "d" / "config.json").write_bytes(content or b"[")
    with pytest.raises(FormatError):
        load_model(tmp_path / "d")
