"""The native file (docs/format.md) as the adapter needs it: read, put into the torch network, written again.

Keys and tensors that the adapter does not touch are copied, so a file keeps what its writer put there.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import FormatError, StorageError
from ..extras import require
from ..model import ModelConfig, Sanderling
from ..model.encoder import EncoderLayer

PREFIX = "sanderling."
CALIBRATION = ("sanderling.cal.", "cal.")
# Standard GGUF keys say where a model comes from; the loader ignores `general.*`.
LINEAGE = "general.adapter."


@dataclass(frozen=True)
class Native:
    """A native file without its calibration.

    keys: name -> (value, GGUF type, item type or None), in the file's order; tensors: name -> int8 or float32
    array, row-major; sha256: of the whole file.
    """

    keys: dict[str, tuple[Any, Any, Any]]
    tensors: dict[str, np.ndarray]
    sha256: str

    @property
    def parameters(self) -> int:
        """Weights, biases and norms of the network; grid steps and wavelet taps are none."""
        return sum(t.size for name, t in self.tensors.items() if not name.endswith((".scale", ".taps")))

    @property
    def config(self) -> ModelConfig:
        """The network's dimensions."""
        known = {f.name for f in fields(ModelConfig)}
        return ModelConfig.from_dict(
            {k[len(PREFIX) :]: v for k, (v, _, _) in self.keys.items() if k[len(PREFIX) :] in known}
        )


def read_native(path: Path) -> Native:
    """The file at `path`, which the engine has accepted. FormatError, StorageError."""
    gguf = require("gguf", "train")
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        reader = gguf.GGUFReader(path)
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, IndexError) as error:
        raise FormatError(f"{path}: expected a native file, found {error}; export the model again") from error
    keys = {}
    for name, field in reader.fields.items():
        skipped = name.startswith(("GGUF.", *CALIBRATION)) or name == "general.architecture"
        if not skipped:
            keys[name] = (field.contents(), field.types[0], field.types[-1] if len(field.types) > 1 else None)
    tensors = {t.name: np.array(t.data) for t in reader.tensors if not t.name.startswith(CALIBRATION)}
    return Native(keys, tensors, digest)


def write_native(path: Path, native: Native, tensors: Mapping[str, np.ndarray], lineage: Mapping[str, Any]) -> None:
    """`native` with some tensors replaced and `lineage` (text and counts) as `general.adapter.*`, atomically."""
    gguf = require("gguf", "train")
    temporary = path.with_name(f".{path.name[:100]}.{os.getpid()}.tmp")
    try:
        writer = gguf.GGUFWriter(temporary, "sanderling")
        for name, (value, kind, item) in native.keys.items():
            if not name.startswith(LINEAGE):
                writer.add_key_value(name, value, kind, item)
        for name, value in lineage.items():
            add = writer.add_string if isinstance(value, str) else writer.add_uint32
            add(LINEAGE + name, value)
        for name, tensor in native.tensors.items():
            writer.add_tensor(name, np.ascontiguousarray(tensors.get(name, tensor)))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise StorageError(
            f"expected to write {path}, found: {error.strerror or error}; check the folder, rights and space"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _blocks(model: Sanderling) -> list[EncoderLayer]:
    return [cast(EncoderLayer, layer) for layer in model.encoder.layers]


def linear_layers(model: Sanderling) -> dict[str, nn.Linear]:
    """Projections of encoder, graph decoder and metric by their names in the file, most useful to adapt first."""
    layers: dict[str, nn.Linear] = {"head": model.decoder.head, "metric": model.metric}
    for i, layer in reversed(list(enumerate(_blocks(model)))):
        layers |= {
            f"blk.{i}.qkv": layer.attn.qkv,
            f"blk.{i}.out": layer.attn.out,
            f"blk.{i}.ffn_up": layer.ffn_up,
            f"blk.{i}.ffn_down": layer.ffn_down,
        }
    return layers | {"graph.out": model.decoder.out, "graph.qkv": model.decoder.qkv, "embed": model.encoder.embed}


TRANSPOSED = ("head", "embed")  # float matrices, stored (K, N)


def _norms(model: Sanderling) -> dict[str, nn.LayerNorm]:
    norms = {"norm": model.encoder.norm, "graph.norm": model.decoder.norm}
    for i, layer in enumerate(_blocks(model)):
        norms |= {f"blk.{i}.attn_norm": layer.attn_norm, f"blk.{i}.ffn_norm": layer.ffn_norm}
    return norms


@torch.no_grad()
def to_torch(native: Native) -> tuple[Sanderling, dict[str, Tensor]]:
    """The network with the file's weights, and the INT8 steps (N,) of its matrices by name.

    Encoder, decoder and metric only: the scorer keeps its initial weights, which nothing here reads.
    """
    model = Sanderling(native.config).eval()
    steps: dict[str, Tensor] = {}

    def fill(target: Tensor, value: np.ndarray) -> None:
        target.copy_(torch.from_numpy(np.ascontiguousarray(value, np.float32)))

    try:
        for name, layer in linear_layers(model).items():
            weight = native.tensors[f"{name}.weight"].astype(np.float32)
            if name in TRANSPOSED:
                weight = weight.T
            else:
                step = native.tensors[f"{name}.scale"]
                steps[name] = torch.from_numpy(step.copy())
                weight = weight * step[:, None]
            fill(layer.weight, weight)
            fill(layer.bias, native.tensors[f"{name}.bias"])
        for name, norm in _norms(model).items():
            fill(norm.weight, native.tensors[f"{name}.weight"])
            fill(norm.bias, native.tensors[f"{name}.bias"])
        for i, block in enumerate(_blocks(model)):
            fill(block.attn.bias, native.tensors[f"blk.{i}.attn_bias"])
    except (KeyError, RuntimeError) as error:
        raise FormatError(f"expected the tensors of docs/format.md, found {error}; export the model again") from error
    return model, steps
