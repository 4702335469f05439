"""ONNX: one graph for sequences and steps, in FP32 or row-scaled INT8, standard operators only (docs/runtimes.md)."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass

from sanderling.export.onnx_graph import Graph
from sanderling.export.onnx_linear import PRECISIONS
from sanderling.export.reading import NativeModel

from sanderling.errors import InputError
from sanderling.extras import require
from sanderling.files import write_file
from sanderling.runtime.graph import GraphCalibration
from sanderling.runtime.graph_metadata import make_document, write_document
from sanderling.runtime.graph_spec import calibration_shapes
from sanderling.runtime.onnx_file import with_calibration

NAME = "sanderling"


@dataclass(frozen=True)
class Target:
    """What a runtime reads: operator set and file version."""

    opset: int
    ir_version: int


# modern: onnxruntime 1.17 and later. jetpack4: 1.10, the last one for JetPack 4.
TARGETS = {"modern": Target(20, 9), "jetpack4": Target(13, 7)}


def onnx_bytes(
    native: NativeModel,
    *,
    precision: str = "fp32",
    target: str = "modern",
    tokens: int | None = None,
    channels: int | None = None,
) -> bytes:
    """The model as an ONNX file's bytes; a calibrated file's reference becomes constants of the graph.

    precision: "fp32" or "int8". target: "modern" or "jetpack4". tokens, channels: fix a dimension; None leaves it free,
    and one file serves sequences and steps. Raises InputError, DependencyError (onnx).
    """
    for name, value, table in (("precision", precision, PRECISIONS), ("target", target, TARGETS)):
        if value not in table:
            raise InputError(f"expected {name} {' or '.join(table)}, found {value!r}")
    for name, count in (("tokens", tokens), ("channels", channels)):
        if count is not None and count < 1:
            raise InputError(f"expected {name} above 0, found {count}; leave it out for any number")
    kept = native_calibration(native)
    if kept is not None and channels not in (None, kept.channels):
        raise InputError(
            f"expected the calibration's {kept.channels} channel(s), found channels {channels}; leave it out"
        )
    chosen = TARGETS[target]
    graph = Graph(native, PRECISIONS[precision], chosen.opset, tokens, channels)
    model = graph.build(chosen.ir_version, NAME)
    require("onnx", "export").checker.check_model(model, full_check=True)
    document = make_document(
        native.config,
        format="onnx",
        profile=target,
        precision=precision,
        channels=channels,
        tokens=None if tokens is None else (tokens,),
        lineage=native.lineage,
        native_sha256=native.sha256,
        calibration=kept,
        frames=native.frames,
    )
    tensors = {} if kept is None else kept.tensors
    data, free = (
        model.SerializeToString(deterministic=True),
        calibration_shapes(channels or "channels", "rows", "raw_rows"),
    )
    return with_calibration(data, write_document(document), tensors, free)


def write_onnx(path: str | os.PathLike[str], native: NativeModel, **options: object) -> str:
    """Writes `onnx_bytes(native, **options)`, whole or not at all; returns the file's sha256. Also StorageError."""
    data = onnx_bytes(native, **options)  # type: ignore[arg-type]
    write_file(path, lambda file: file.write(data))
    return hashlib.sha256(data).hexdigest()


def native_calibration(native: NativeModel) -> GraphCalibration | None:
    """The calibration of a native file, for a graph; None where it has none."""
    if not native.calibrated:
        return None
    keys, tensors = native.keys, native.tensors
    request = {name: keys[f"cal.{name}"] for name in ("scaling", "samples", "false_alarms", "period_s")}
    return GraphCalibration(
        tensors["cal.location"],
        tensors["cal.spread"],
        float(keys["cal.threshold"]),
        native.calibration_inputs(),
        request,
    )
