"""Writes a model as a .tflite file: one file, a step graph and a sequence graph that share their weights.

litert-torch converts the torch module (`tflite_graph`), ai-edge-quantizer makes the INT8 weights. A file's shapes are
fixed: channels, tokens of the sequence graph, rows of the memories.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from typing import Any

import numpy as np
from sanderling.export.onnx import native_calibration
from sanderling.export.reading import NativeModel

from sanderling.errors import InputError
from sanderling.extras import require
from sanderling.files import write_file
from sanderling.runtime.graph_metadata import PRECISIONS, make_document
from sanderling.runtime.graph_spec import ABSENT, MEMORIES, input_shapes, output_shapes
from sanderling.runtime.tflite_container import DIGEST, DIGEST_BYTES, DOCUMENT, reserved, sealed
from sanderling.runtime.tflite_engine import LITERT, TFLITE_RUNTIME

EXTRA = "tflite-export"
TOKENS = 64
LONGEST_REFERENCE = 1 << 20  # tokens: the memories have their full size
# Of each target: how ai-edge-quantizer stores a weight, and whether a row has a scale of its own.
TARGETS = {LITERT: ("dynamic", "CHANNELWISE"), TFLITE_RUNTIME: ("weight_only", "CHANNELWISE")}
# The matrices that are INT8 in the native file; names are those of `export.network`.
QUANTISED = r".*Linear_(qkv|taps|gates|out|ffn_up|ffn_down|graph_qkv|graph_out|metric|fc1|fc2).*"
# The last conversion, half a minute's work: another precision or target of the same model needs no second one.
_converted: dict[tuple[str, int, int], bytes] = {}


def write_tflite(path: str | os.PathLike[str], native: NativeModel, **options: Any) -> str:
    """Writes `tflite_bytes(native, **options)`, whole or not at all; returns the file's sha256. Also StorageError."""
    content = tflite_bytes(native, **options)
    write_file(path, lambda out: out.write(content))
    return hashlib.sha256(content).hexdigest()


def tflite_bytes(
    native: NativeModel,
    *,
    precision: str = "fp32",
    target: str = LITERT,
    tokens: int = TOKENS,
    channels: int | None = None,
) -> bytes:
    """The model as a .tflite file's bytes; a calibration goes along.

    precision: "fp32" or "int8" (weights; activations are quantised row by row or not at all, so that no sample changes
    an earlier score). target: the runtime, "litert" or "tflite-runtime". tokens: patches a call of the sequence graph.
    channels: of the signals; None: those of the calibration, or 1. Raises InputError, DependencyError.
    """
    for name, value, table in (("precision", precision, PRECISIONS), ("target", target, TARGETS)):
        if value not in table:
            raise InputError(f"expected {name} {' or '.join(table)}, found {value!r}")
    kept = native_calibration(native)
    channels = channels if channels is not None else (kept.channels if kept else 1)
    if kept is not None and channels != kept.channels:
        raise InputError(
            f"expected the calibration's {kept.channels} channel(s), found channels {channels}; leave it out"
        )
    if channels < 1 or tokens < 2:
        raise InputError(f"expected channels above 0 and tokens above 1, found {channels} and {tokens}; change them")
    key = (native.sha256, channels, tokens)
    if key not in _converted:
        require("torch", EXTRA)
        from sanderling.export.tflite_graph import float_graph

        rows = native.config.memory_shape(LONGEST_REFERENCE, channels)
        graph = float_graph(native, channels, tokens, rows)
        _converted.clear()
        _converted[key] = graph
    return finished(_converted[key], native, precision, target, tokens, channels)


def finished(graph: bytes, native: NativeModel, precision: str, target: str, tokens: int, channels: int) -> bytes:
    """The file of a `float_graph`: quantised, with names, document, calibration and digest."""
    kept = native_calibration(native)
    rows = native.config.memory_shape(LONGEST_REFERENCE, channels)
    document = make_document(
        native.config,
        format="tflite",
        profile=target,
        precision=precision,
        channels=channels,
        tokens=(1, tokens),
        rows=rows,
        lineage=native.lineage,
        native_sha256=native.sha256,
        calibration=kept,
        frames=native.frames,
    )
    if precision == "int8":
        graph = quantised(graph, *TARGETS[target])
    tensors = {} if kept is None else dict(kept.tensors)
    for name, size in zip(MEMORIES, (*rows, rows[1]), strict=True):
        if tensors:
            tensors[name] = _padded(tensors[name], size)
    config, room = native.config, {DOCUMENT: bytes(reserved(document, channels)), DIGEST: bytes(DIGEST_BYTES)}
    return sealed(named(graph, list(input_shapes(config)), list(output_shapes(config)), room), document, tensors)


def _padded(memory: np.ndarray, size: int) -> np.ndarray:
    """(..., k, n) with absent rows up to (..., k, size)."""
    absent = np.zeros((*memory.shape[:-1], size - memory.shape[-1]), np.float32)
    absent[..., -1, :] = -ABSENT
    return np.concatenate([memory, absent], axis=-1)


def quantised(graph: bytes, method: str, granularity: str, matrices: str = QUANTISED, lookups: bool = False) -> bytes:
    """The same file with the matrices whose names match `matrices` in INT8; lookups: tables of embeddings as well.

    method: "dynamic" (the kernel quantises each row of activations) or "weight_only" (weights are dequantised);
    granularity: "CHANNELWISE" or "TENSORWISE" scales.
    """
    quantizer = require("ai_edge_quantizer.quantizer", EXTRA)
    types = require("ai_edge_quantizer.qtyping", EXTRA)
    chosen, kind = quantizer.Quantizer(bytearray(graph)), getattr(types.QuantGranularity, granularity)
    add = chosen.add_dynamic_config if method == "dynamic" else chosen.add_weight_only_config
    add(matrices, types.TFLOperationName.FULLY_CONNECTED, 8, kind)
    if lookups:
        chosen.add_weight_only_config(".*", types.TFLOperationName.EMBEDDING_LOOKUP, 8, kind)
    with redirect_stdout(sys.stderr):  # it tells its progress
        return bytes(chosen.quantize().quantized_model)


def named(graph: bytes, inputs: Sequence[str], outputs: Sequence[str], metadata: Mapping[str, bytes]) -> bytes:
    """The file with our names at its signatures, and entries of metadata."""
    flatbuffers = require("flatbuffers", EXTRA)
    schema = require("ai_edge_litert.schema_py_generated", EXTRA)
    model = schema.ModelT.InitFromPackedBuf(graph, 0)
    for buffer in model.buffers:
        if buffer.offset > 1:  # the quantizer's place, behind the tables; tflite-runtime 2.14 looks there in vain
            buffer.data = np.frombuffer(graph, np.uint8, buffer.size, buffer.offset)
        buffer.offset = buffer.size = 0
    for signature in model.signatureDefs:
        for side, names in ((signature.inputs, inputs), (signature.outputs, outputs)):
            for tensor in side:  # `args_3` and `output_3` get the third name
                tensor.name = names[int(tensor.name.decode().rpartition("_")[2])]
    model.metadata = list(model.metadata or [])
    for name, data in metadata.items():
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(data, np.uint8)
        entry = schema.MetadataT()
        entry.name, entry.buffer = name, len(model.buffers)
        model.buffers.append(buffer)
        model.metadata.append(entry)
    builder = flatbuffers.Builder(len(graph) + sum(map(len, metadata.values())))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())
