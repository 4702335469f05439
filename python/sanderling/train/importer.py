"""Weights from elsewhere: a torch encoder of the supported family becomes a `Sanderling` network.

The family: pre-LN transformer layers of LN, attention with fused or separate Q, K, V and heads of 32, LN, a two-layer
GELU MLP; `embed`, a linear layer on the 64 features of a patch (docs/model.md section 3); a last LN `norm`. Read from

    folder/                config.json and model.safetensors, as Hugging Face lays them out
    file.pt, file.pth      {"config": {...}, "state_dict": {...}}, read with weights_only=True
    file.safetensors       as `sanderling pretrain` writes it

The configuration has this package's keys (model.ModelConfig) or hidden_size, num_hidden_layers, num_attention_heads and
intermediate_size. Layers are named as here, as in torch.nn.TransformerEncoderLayer, or as in Hugging Face's encoders
(the tables below). Metric, decoder and scorer may be missing, all three: then scores are distances alone.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import FormatError, InputWarning, ReadError
from ..model import ModelConfig, Sanderling
from ..sizes import LARGEST, MAX_LAYERS
from .checkpoint import load_weights

CONFIG, WEIGHTS = "config.json", "model.safetensors"
# Of a configuration: what says the same elsewhere, and values that the family has.
CONFIG_NAMES = {"hidden_size": "d_model", "num_attention_heads": "n_heads", "intermediate_size": "ffn"}
LAYERS = "num_hidden_layers"
FAMILY: dict[str, tuple[Any, ...]] = {
    "hidden_act": ("gelu", "gelu_new", "gelu_pytorch_tanh"),
    "activation": ("gelu", "gelu_new", "gelu_pytorch_tanh"),
    "norm_first": (True,),
    "layer_norm_eps": (1e-5,),
    "head_dim": (32,),
    "position_embedding_type": (None, "none"),
}
OURS = {f.name for f in fields(ModelConfig) if f.init}
_LAYER = re.compile(r"^(?:\w+\.)*?(?:layers|layer|h|blocks)\.(\d+)\.(.+)\.(weight|bias)$")
# Of a layer: the part's name here -> its names elsewhere
PARTS = {
    "attn_norm": ("norm1", "input_layernorm", "layer_norm1", "layernorm_before", "ln_1"),
    "ffn_norm": ("norm2", "post_attention_layernorm", "layer_norm2", "layernorm_after", "ln_2"),
    "attn.qkv": ("attn.in_proj", "attention.qkv", "self_attn.qkv_proj", "attn.qkv_proj"),
    "attn.out": ("self_attn.out_proj", "attn.out_proj", "self_attn.o_proj", "attn.o_proj", "attention.output.dense"),
    "ffn_up": ("linear1", "mlp.fc1", "mlp.up_proj", "intermediate.dense"),
    "ffn_down": ("linear2", "mlp.fc2", "mlp.down_proj", "output.dense"),
}
WITHIN = ("self_attn", "attn", "attention.attention", "attention.self")
SEPARATE = {"q": ("q_proj", "query"), "k": ("k_proj", "key"), "v": ("v_proj", "value")}
_BY_NAME = {name: part for part, names in PARTS.items() for name in (part, *names)}
_BY_SEPARATE = {f"{at}.{name}": part for part, names in SEPARATE.items() for name in names for at in WITHIN}
ENDS = {
    **dict.fromkeys(("norm", "final_layer_norm", "layernorm", "ln_f"), "norm"),
    **dict.fromkeys(("embed", "embeddings", "input_proj"), "embed"),
}
HEADS = ("metric.", "decoder.", "scorer.")
# Without trained heads: the weights of docs/model.md's components, the distances and the amplitude.
DISTANCES = (0.5, 0.5, 1.0, 0.0, 0.0, 0.0, 0.5, 0.0)


def load_model(path: Path) -> tuple[Sanderling, dict[str, str]]:
    """A float32 network in eval mode, and metadata, from any of the layouts above.

    Raises ReadError (no such file), FormatError: a layer or configuration outside the family, named. Warns
    (InputWarning) where the heads are missing.
    """
    if path.is_dir():
        return _built(path, _read_json(path / CONFIG), _read_safetensors(path / WEIGHTS)), {}
    if path.suffix in (".pt", ".pth"):
        return _built(path, *_read_torch(path)), {}
    return load_weights(path)


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise ReadError(f"{path}: expected a model's configuration, found no such file") from error
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(f"{path}: expected JSON, found: {error}") from error
    if not isinstance(found, dict):
        raise FormatError(f"{path}: expected an object of settings, found {type(found).__name__}")
    return found


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise ReadError(f"{path}: expected weights, found no such file") from error
    except (OSError, SafetensorError) as error:
        raise FormatError(f"{path}: expected safetensors, found: {error}") from error


def _read_torch(path: Path) -> tuple[Mapping[str, Any], dict[str, Tensor]]:
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ReadError(f"{path}: expected a .pt file, found no such file") from error
    except Exception as error:  # the unpickler's errors have no common base
        why = " ".join(str(error).split())[:200]
        raise FormatError(f"{path}: expected tensors and plain types (weights_only), found: {why}") from error
    parts = (found.get("config"), found.get("state_dict")) if isinstance(found, dict) else (None, None)
    if not all(isinstance(part, dict) for part in parts):
        raise FormatError(f'{path}: expected {{"config": ..., "state_dict": ...}}, found another layout; save both')
    return parts  # type: ignore[return-value]


def _built(path: Path, settings: Mapping[str, Any], state: Mapping[str, Tensor]) -> Sanderling:
    try:
        model = Sanderling(_config(path, settings))
    except FormatError:
        raise
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        wanted = "a configuration of the family (docs/runtimes.md)"
        raise FormatError(f"{path}: expected {wanted}, found: {error}") from error
    named = _renamed(path, state)
    own = model.state_dict()
    surplus = sorted(set(named) - set(own))
    if surplus:
        raise FormatError(f"{path}: expected the configuration's layers, found also {', '.join(surplus[:8])}")
    missing = sorted(set(own) - set(named))
    heads = [name for name in missing if name.startswith(HEADS)]
    if len(heads) == sum(name.startswith(HEADS) for name in own):
        _distances_only(model)
        warnings.warn(
            f"{path}: no metric, decoder and scorer: scores will be distances to the reference; train them for more",
            InputWarning,
            stacklevel=3,
        )
        missing = [name for name in missing if name not in heads]
    # An encoder without these has them as zeros.
    optional = [name for name in missing if name.endswith(("bias", "mask_token"))]
    required = sorted(set(missing) - set(optional))
    if required:
        raise FormatError(f"{path}: expected the layers of the family, found {', '.join(required[:8])} missing")
    for name, tensor in named.items():
        if tensor.shape != own[name].shape or not tensor.is_floating_point():
            found = f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
            raise FormatError(f"{path}: expected {name} as float {tuple(own[name].shape)}, found {found}")
    filled = {name: torch.zeros_like(own[name]) for name in optional}
    model.load_state_dict({**model.state_dict(), **filled, **{name: t.float() for name, t in named.items()}})
    return model.eval()


def _config(path: Path, settings: Mapping[str, Any]) -> ModelConfig:
    for key, allowed in FAMILY.items():
        if key in settings and settings[key] not in allowed:
            raise FormatError(f"{path}: expected {key} {allowed[0]!r}, found {settings[key]!r}, which is unsupported")
    known = {CONFIG_NAMES.get(key, key): value for key, value in settings.items()}
    known = {key: value for key, value in known.items() if key in OURS}
    layers = settings.get(LAYERS, 1)
    if not isinstance(layers, int) or not 1 <= layers <= MAX_LAYERS:
        raise FormatError(f"{path}: expected {LAYERS} of 1 to {MAX_LAYERS}, found {layers!r}")
    for key in ("n_heads", "ffn"):
        if isinstance(known.get(key), int):
            known[key] = [known[key]] * int(settings[LAYERS])
    for key, most in LARGEST.items():  # asked before memory for it is
        sizes = known[key] if isinstance(known.get(key), list) else [known.get(key, 1)]
        if not all(isinstance(size, int) and 0 < size <= most for size in sizes):
            raise FormatError(f"{path}: expected {key} as an integer of 1 to {most}, found {str(known[key])[:80]}")
    return ModelConfig.from_dict(known)


def _renamed(path: Path, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors by this package's names. FormatError names those that the family does not have."""
    own = re.compile(r"^(encoder\.(mask_token|layers\.\d+\.attn\.bias)|(metric|decoder|scorer)\.[\w.]+)$")
    found: dict[str, Tensor] = {}
    separate: dict[tuple[str, str], dict[str, Tensor]] = {}
    unsupported = []
    for name, tensor in state.items():
        plain = name.replace("in_proj_weight", "in_proj.weight").replace("in_proj_bias", "in_proj.bias")
        plain = plain.replace("self_attn.in_proj", "attn.in_proj")
        layer = _LAYER.match(plain)
        end = ENDS.get(f".{plain}".split(".")[-2])
        if own.match(name):
            found[name] = tensor
        elif layer and layer[2] in _BY_NAME:
            found[f"encoder.layers.{layer[1]}.{_BY_NAME[layer[2]]}.{layer[3]}"] = tensor
        elif layer and layer[2] in _BY_SEPARATE:
            separate.setdefault((layer[1], layer[3]), {})[_BY_SEPARATE[layer[2]]] = tensor
        elif not layer and end and plain.count(".") <= 3:
            found[f"encoder.{end}.{plain.rsplit('.', 1)[1]}"] = tensor
        else:
            unsupported.append(name)
    for (layer_index, kind), parts in separate.items():
        if set(parts) == set("qkv"):
            found[f"encoder.layers.{layer_index}.attn.qkv.{kind}"] = torch.cat([parts[part] for part in "qkv"])
        else:
            unsupported.append(f"layer {layer_index} with {', '.join(sorted(parts))} of q, k, v")
    if unsupported:
        shown = ", ".join(unsupported[:8]) + (f" and {len(unsupported) - 8} more" if len(unsupported) > 8 else "")
        raise FormatError(f"{path}: expected layers of the supported family, found unsupported ones: {shown}")
    return found


@torch.no_grad()
def _distances_only(model: Sanderling) -> None:
    """Heads that need no training: orthogonal metric rows, no prediction, the distances' weights."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(model.metric.weight.shape, generator=generator)
    model.metric.weight.copy_(torch.linalg.qr(rows.T).Q.T if rows.shape[0] <= rows.shape[1] else rows)
    for layer in (model.metric, model.decoder.qkv, model.decoder.out, model.decoder.head, model.scorer.fc1):
        layer.bias.zero_()
    for layer in (model.decoder.qkv, model.decoder.out, model.decoder.head, model.scorer.fc1, model.scorer.fc2):
        layer.weight.zero_()
    # The inverse of softplus; a weight of 0 is far below float32's resolution of the others.
    weights = torch.tensor(DISTANCES).clamp_min(1e-12).double()
    model.scorer.fusion_raw.copy_(torch.log(torch.expm1(weights)))
