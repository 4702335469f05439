"""Writes a model as a .tflite file: one file, a step graph and a sequence graph that share their weights.

litert-torch converts `export.network`, ai-edge-quantizer makes the INT8 weights. A file's shapes are fixed: channels, tokens of
the sequence graph, rows of the memories.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sanderling.errors import InputError
from sanderling.export.network import ExportNetwork
from sanderling.export.reading import NativeModel
from sanderling.extras import require
from sanderling.files import write_file
from sanderling.runtime.graph_spec import GraphConfig, input_shapes, output_shapes
from sanderling.runtime.tflite_container import DIGEST, DIGEST_BYTES, DOCUMENT, reserved, sealed
from sanderling.runtime.tflite_engine import LITERT, SEQUENCE, STEP, TFLITE_RUNTIME

EXTRA = "tflite"
TOKENS = 64
LONGEST_REFERENCE = 1 << 20  # tokens: the memories have their full size
# Of each profile: how ai-edge-quantizer stores a weight, and whether a row has a scale of its own.
PROFILES = {LITERT: ("dynamic", "CHANNELWISE"), TFLITE_RUNTIME: ("weight_only", "CHANNELWISE")}
PRECISIONS = ("fp32", "int8")
# The matrices that are INT8 in the native file; names are those of `export.network`.
QUANTISED = r".*Linear_(qkv|out|ffn_up|ffn_down|graph_qkv|graph_out|metric|fc1|fc2).*"
NEVER = -1e9  # below every activation


class PlainNorm(nn.Module):
    """A layer norm whose gain the converter does not fold into the next matrix.

    It does so in the sequence graph alone: the two graphs would have different INT8 weights, neither the trained ones.
    """

    def __init__(self, norm: nn.LayerNorm) -> None:
        super().__init__()
        self.norm = norm
        self.register_buffer("floor", torch.tensor(NEVER))

    def forward(self, x: Tensor) -> Tensor:
        return torch.maximum(self.norm(x), self.floor)


def write_tflite(
    path: str | os.PathLike[str],
    native: NativeModel,
    *,
    profile: str = LITERT,
    precision: str = "int8",
    channels: int | None = None,
    tokens: int = TOKENS,
) -> None:
    """Writes `native` (`export.reading.read_native`) as a .tflite file, whole or not at all.

    profile: the runtime it is for, "litert" or "tflite-runtime". precision: "fp32" or "int8" (weights INT8, activations
    quantised row by row or not at all, so no sample changes an earlier score). channels: of the signals; None: those of the
    calibration, or 1. tokens: patches a call of the sequence graph. A calibration goes along. Raises InputError (an
    option), DependencyError (the extra tflite), StorageError.
    """
    if profile not in PROFILES or precision not in PRECISIONS:
        raise InputError(
            f"expected a profile of {tuple(PROFILES)} and a precision of {PRECISIONS}, found {profile!r}, {precision!r}"
        )
    stated = native.keys.get("cal.channels")
    channels = channels or stated or 1
    if channels < 1 or (stated and channels != stated) or tokens < 2:
        raise InputError(f"expected {stated or 'some'} channels and at least 2 tokens, found {channels} and {tokens}")
    config = native.config
    rows = config.memory_shape(LONGEST_REFERENCE, channels)
    graph = convert(native, channels, tokens, rows)
    if precision == "int8":
        graph = quantise(graph, *PROFILES[profile])
    document: dict[str, Any] = {
        "version": 1,
        "format": "tflite",
        "profile": profile,
        "precision": precision,
        "config": config.to_keys(),
        "channels": channels,
        "tokens": [1, tokens],
        "rows": list(rows),
        "lineage": native.lineage,
        "native_sha256": native.sha256,
        "calibration": None,
    }
    content = named(graph, config, reserved(document, channels))
    calibration = None
    content = sealed(content, document, calibration)
    write_file(path, lambda out: out.write(content))


def convert(native: NativeModel, channels: int, tokens: int, rows: tuple[int, int]) -> bytes:
    """The FP32 file of both graphs, as litert-torch leaves it."""
    logging.getLogger("root").setLevel(logging.WARNING)
    litert = require("litert_torch", EXTRA)
    network = ExportNetwork(native)
    _without_folding(network)

    def example(n: int) -> tuple[Tensor, ...]:
        return tuple(torch.full(shape, 0.5) for shape in input_shapes(native.config, channels, n, *rows).values())

    model = litert.signature(STEP, network, example(1)).signature(SEQUENCE, network, example(tokens)).convert()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        model.export(str(path))
        return path.read_bytes()


def _without_folding(module: nn.Module) -> None:
    for name, child in list(module.named_children()):
        if isinstance(child, nn.LayerNorm):
            setattr(module, name, PlainNorm(child))
        else:
            _without_folding(child)


def quantise(graph: bytes, method: str, granularity: str) -> bytes:
    """The same file with the matrices of `QUANTISED` in INT8.

    method: "dynamic" (the kernel quantises each row of activations) or "weight_only" (weights are dequantised);
    granularity: "CHANNELWISE" or "TENSORWISE" scales.
    """
    quantizer = require("ai_edge_quantizer.quantizer", EXTRA)
    types = require("ai_edge_quantizer.qtyping", EXTRA)
    chosen = quantizer.Quantizer(bytearray(graph))
    add = chosen.add_dynamic_config if method == "dynamic" else chosen.add_weight_only_config
    add(QUANTISED, types.TFLOperationName.FULLY_CONNECTED, 8, getattr(types.QuantGranularity, granularity))
    return bytes(chosen.quantize().quantized_model)


def named(graph: bytes, config: GraphConfig, document_bytes: int) -> bytes:
    """The file with our names at its signatures, and room for the document and the digest."""
    flatbuffers = require("flatbuffers", EXTRA)
    schema = require("ai_edge_litert.schema_py_generated", EXTRA)
    model = schema.ModelT.InitFromPackedBuf(graph, 0)
    for buffer in model.buffers:
        if buffer.offset > 1:  # the quantizer's place, behind the tables; tflite-runtime 2.14 looks there in vain
            buffer.data = np.frombuffer(graph, np.uint8, buffer.size, buffer.offset)
        buffer.offset = buffer.size = 0
    for signature in model.signatureDefs:
        for side, names in ((signature.inputs, input_shapes(config)), (signature.outputs, output_shapes(config))):
            _rename(side, list(names))
    for name, size in ((DOCUMENT, document_bytes), (DIGEST, DIGEST_BYTES)):
        buffer = schema.BufferT()
        buffer.data = np.zeros(size, np.uint8)
        entry = schema.MetadataT()
        entry.name, entry.buffer = name, len(model.buffers)
        model.buffers.append(buffer)
        model.metadata.append(entry)
    builder = flatbuffers.Builder(len(graph) + document_bytes)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _rename(side: Sequence[Any], names: Sequence[str]) -> None:
    """Gives `args_3` and `output_3` the third name."""
    for entry in side:
        entry.name = names[int(entry.name.decode().rpartition("_")[2])]


