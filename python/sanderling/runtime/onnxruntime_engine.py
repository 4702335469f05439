"""Runs an exported ONNX graph in onnxruntime."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from sanderling.errors import FormatError, InputError
from sanderling.files import write_file
from sanderling.runtime.graph import Arrays, Float32
from sanderling.runtime.graph_metadata import parse_document, write_document
from sanderling.runtime.graph_model import GraphModel
from sanderling.runtime.graph_spec import CALIBRATION, calibration_shapes, input_shapes, output_shapes
from sanderling.runtime.onnx_file import (
    KEY,
    OnnxFile,
    Tensor,
    check_digest,
    check_external,
    initializer,
    read_onnx,
    with_calibration,
)
from sanderling.runtime.onnx_op import OpModel, holds_op, native_of
from sanderling.runtime.onnxruntime_session import OPTIONS, one_line, onnxruntime, open_session


class OnnxRuntimeEngine:
    """An `Engine` (runtime.graph). One session; onnxruntime's Run is thread-safe."""

    name = "onnxruntime"

    def __init__(self, file: OnnxFile, path: Path, options: Mapping[str, Any]) -> None:
        check_external(file, path)
        self.metadata: Mapping[str, Any] = parse_document(file.metadata.get(KEY))
        self.config = self.metadata["config"]
        self.channels, self.tokens, self.rows = (self.metadata[key] for key in ("channels", "tokens", "rows"))
        there = {tensor.name for tensor in file.initializers}
        self.stored: Arrays | None = (
            {n: initializer(file, n) for n in CALIBRATION} if there >= set(CALIBRATION) else None
        )
        _check_signature(self.metadata, file.inputs, file.outputs, self.stored or ())
        self._file, self._path, self._options = file, path, options
        # From memory the bytes are those that were checked; data outside the file needs its path, without the links
        # that the check followed.
        self._session = open_session(os.path.realpath(path) if file.external else file.data, options)
        self._with_inputs = None if self.stored else self._session
        self.version = f"{onnxruntime().__version__} {self._session.get_providers()[0]}"

    def run(self, inputs: Arrays, outputs: Sequence[str]) -> dict[str, Float32]:
        """As `Engine.run`. InputError where the runtime refuses the shapes."""
        session = self._session
        if CALIBRATION[0] in inputs:
            session = self._with_inputs = self._with_inputs or self._reopened()
        try:
            found = session.run(list(outputs), dict(inputs))
        except Exception as error:  # onnxruntime's own exceptions share no base but Exception
            raise InputError(f"expected onnxruntime to run the graph, found: {one_line(error)}") from error
        return dict(zip(outputs, found, strict=True))

    def write(self, path: bytes, metadata: Mapping[str, Any], calibration: Arrays) -> None:
        """As `Engine.write`."""
        data = self._rewritten(metadata, calibration)
        write_file(path.decode(errors="surrogateescape"), lambda file: file.write(data))

    def _rewritten(self, metadata: Mapping[str, Any], calibration: Arrays) -> bytes:
        document = write_document({**metadata, "config": self.config.to_keys()})
        free = calibration_shapes(self.channels or "channels", *(self.rows or ("rows", "raw_rows")))
        return with_calibration(self._file.data, document, calibration, free)

    def _reopened(self) -> Any:
        """A calibrated file's graph with its calibration as inputs again, for another fit."""
        if self._file.external:
            raise InputError("expected a model in one file to calibrate again, found data beside it; export it again")
        return open_session(self._rewritten(self.metadata, {}), self._options)


def open_engine(path: Path, options: Mapping[str, Any]) -> OnnxRuntimeEngine:
    """Loads a graph. options: providers, provider_options, threads, session_options.

    Raises FormatError, VersionError, StorageError, InputError (an option), DependencyError.
    """
    return OnnxRuntimeEngine(_read(path, options), path, options)


def open_model(path: Path, options: Mapping[str, Any]) -> GraphModel | OpModel:
    """Loads a file, a graph's or the operator's; options also library (the operator's). Errors as above."""
    file = _read(path, options)
    if holds_op(file):
        return OpModel(native_of(file), options)
    if options.get("library"):
        raise InputError("expected library with a file of --format onnx-native alone, found another; leave it out")
    return GraphModel.of_file(OnnxRuntimeEngine(file, path, options))


def _read(path: Path, options: Mapping[str, Any]) -> OnnxFile:
    unknown = sorted(set(options) - set(OPTIONS))
    if unknown:
        raise InputError(f"expected options of onnxruntime ({', '.join(OPTIONS)}), found {', '.join(unknown)}")
    file = read_onnx(path)
    check_digest(file)
    return file


def _check_signature(
    document: Mapping[str, Any], inputs: list[Tensor], outputs: list[Tensor], stored: Collection[str]
) -> None:
    """FormatError unless names, ranks, dtypes and fixed sizes are those of `graph_spec`."""
    config, channels = document["config"], document["channels"]
    dims = {"channels": channels or "channels"}
    wanted_inputs = {n: shape for n, shape in input_shapes(config, **dims).items() if n not in stored}
    for kind, found, wanted in (
        ("input", inputs, wanted_inputs),
        ("output", outputs, output_shapes(config, **dims)),
    ):
        there = {tensor.name: tensor for tensor in found}
        if set(there) != set(wanted):
            odd = sorted(set(there) ^ set(wanted))
            raise FormatError(
                f"expected the {kind}s of sanderling's graph, found a difference in {odd}; export it again"
            )
        for name, shape in wanted.items():
            tensor = there[name]
            fits = len(tensor.shape) == len(shape) and all(
                a == b for a, b in zip(tensor.shape, shape, strict=True) if isinstance(b, int)
            )
            if tensor.dtype != "float32" or not fits:
                raise FormatError(
                    f"expected {kind} {name} as float32 {shape}, found {tensor.dtype} {tensor.shape}; export it again"
                )
