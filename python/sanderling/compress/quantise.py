"""INT8 by NNCF: the weight grid that is deployed, and NNCF's own static activations to compare with.

The engine takes NNCF's symmetric per-channel weight grid (+-127) and quantises activations per row. NNCF
itself has static per-tensor activations only, which clip what calibration has not seen: anomalies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ..model import Sanderling
from ..model.encoder import WindowedAttention
from ..model.mixers import Recurrence
from ..signal.wavelet import HAAR
from .grid import LEVELS
from .network import FLOAT_LAYERS, Network, encoder_layers, quantised_layers
from .nncf_import import import_nncf

MODES = ("row", "static")


@dataclass(frozen=True)
class Quantised:
    """NNCF's result: `network` runs with static activations, `scales` are the weight grid (N,) by name."""

    network: nn.Module
    scales: dict[str, Tensor]


@torch.no_grad()
def calibration_items(model: Sanderling, batches: Sequence) -> list[tuple[Tensor, Tensor]]:
    """Inputs (features, l) of `Network` from training batches (`train.step.Batch`)."""
    items = []
    for batch in batches:
        encoded = model.encode(batch.x, batch.valid)
        features = model.features(batch.x, batch.valid)[2]
        items.append((features, model.compressed(encoded, batch.reference)))
    return items


def quantise(model: Sanderling, batches: Sequence) -> Quantised:
    """Quantise a float model with NNCF (post-training, transformer scheme).

    Args:
        model: float32, eval mode; it is left as it is.
        batches: `train.step.Batch`es that NNCF takes its statistics from.
    """
    nncf = import_nncf()
    model = deepcopy(model).eval()
    items = calibration_items(model, batches)
    nncf.set_log_level(30)
    network = nncf.quantize(
        Network(model),
        nncf.Dataset(items),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(items),
        ignored_scope=nncf.IgnoredScope(names=list(FLOAT_LAYERS)),
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            # Both move weights or biases to suit static activations, which the engine does not have.
            smooth_quant_alphas=nncf.AdvancedSmoothQuantParameters(matmul=-1),
            disable_bias_correction=True,
        ),
    )
    return Quantised(network, weight_scales(model, network))


def weight_scales(model: Sanderling, network: nn.Module) -> dict[str, Tensor]:
    """Step (N,) of each INT8 matrix from NNCF's weight quantisers.

    Raises:
        ValueError: a quantiser is missing, or its grid is not symmetric in +-127.
    """
    found = {
        name.removeprefix("__nncf_hooks.pre_hooks.").removesuffix("__1.0"): module
        for name, module in network.named_modules()
        if name.startswith("__nncf_hooks.pre_hooks.") and name.endswith("__1.0")
    }
    scales = {}
    for name, layer, node in quantised_layers(model):
        quantiser = found.get(node)
        if quantiser is None:
            raise ValueError(f"{name}: expected an NNCF weight quantiser at {node}, found none")
        levels = (int(quantiser.level_low), int(quantiser.level_high))
        if levels != (-LEVELS, LEVELS):
            raise ValueError(f"{name}: expected weight levels -127..127 from NNCF, found {levels}")
        scales[name] = quantiser.scale.detach().reshape(-1).abs().float() / LEVELS
        if len(scales[name]) != layer.out_features:
            raise ValueError(
                f"{name}: expected one weight scale a channel ({layer.out_features}), found {len(scales[name])}"
            )
    return scales


def _integers(weight: Tensor, scale: Tensor) -> tuple[np.ndarray, np.ndarray]:
    safe = torch.where(scale > 0, scale, torch.ones_like(scale))
    q = torch.round(weight / safe[:, None]).clamp(-LEVELS, LEVELS)
    return q.to(torch.int8).numpy(), scale.numpy().astype(np.float32)


@torch.no_grad()
def to_native_tensors(model: Sanderling, scales: Mapping[str, Tensor] | None = None) -> dict[str, np.ndarray]:
    """The tensors of docs/format.md, in the file's order: what `write_native` and `Int8Reference` take.

    Other encoders than the transformer have taps (tcn: oldest first), or gates and hidden (gru: reset, update, new)
    for qkv; exported graphs alone take them.

    Args:
        model: float32 network.
        scales: weight step (N,) by name (`Quantised.scales`); None: each row's largest weight / 127, which
            is the same grid without NNCF.
    """
    matrices: dict[str, np.ndarray] = {}
    for name, layer, _ in quantised_layers(model):
        weight = layer.weight.detach().float()
        scale = weight.abs().amax(1) / LEVELS if scales is None else scales[name]
        q, step = _integers(weight, scale)
        matrices |= {f"{name}.weight": q, f"{name}.scale": step, f"{name}.bias": _array(layer.bias)}
    encoder, decoder = model.encoder, model.decoder
    floats: dict[str, Tensor] = {
        "wavelet.taps": torch.tensor(HAAR),
        "embed.weight": encoder.embed.weight.T,
        "embed.bias": encoder.embed.bias,
    }
    for i, block in enumerate(encoder_layers(model)):
        if isinstance(block.attn, WindowedAttention):
            floats[f"blk.{i}.attn_bias"] = block.attn.bias
        elif isinstance(block.attn, Recurrence):
            hidden = block.attn.hidden_gates()
            floats |= {f"blk.{i}.hidden.weight": hidden.weight.T, f"blk.{i}.hidden.bias": hidden.bias}
        for name in ("attn_norm", "ffn_norm"):
            norm = getattr(block, name)
            floats |= {f"blk.{i}.{name}.weight": norm.weight, f"blk.{i}.{name}.bias": norm.bias}
    for name, norm in (("norm", encoder.norm), ("graph.norm", decoder.norm)):
        floats |= {f"{name}.weight": norm.weight, f"{name}.bias": norm.bias}
    floats |= {
        "head.weight": decoder.head.weight.T,
        "head.bias": decoder.head.bias,
        "fusion.weight": model.scorer.fusion,
    }
    return matrices | {name: _array(value) for name, value in floats.items()}


def _array(value: Tensor) -> np.ndarray:
    return np.ascontiguousarray(value.detach().float().numpy())
