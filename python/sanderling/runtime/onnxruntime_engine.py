"""Runs an exported ONNX graph in onnxruntime."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from sanderling.errors import FormatError, InputError, SanderlingError
from sanderling.extras import require
from sanderling.files import write_file
from sanderling.runtime.graph import Arrays, Float32
from sanderling.runtime.graph_metadata import parse_document, write_document
from sanderling.runtime.graph_spec import CALIBRATION, calibration_shapes, input_shapes, output_shapes
from sanderling.runtime.onnx_file import (
    KEY,
    Tensor,
    check_digest,
    check_external,
    initializer,
    read_onnx,
    with_calibration,
)

EXTRA = "onnxruntime"
OPTIONS = ("providers", "provider_options", "threads", "session_options")


class OnnxRuntimeEngine:
    """An `Engine` (runtime.graph). One session; onnxruntime's Run is thread-safe."""

    name = "onnxruntime"

    def __init__(self, path: Path, options: Mapping[str, Any]) -> None:
        file = read_onnx(path)
        check_digest(file)
        check_external(file, path)
        self.metadata = parse_document(file.metadata.get(KEY))
        self.config = self.metadata["config"]
        self.channels, self.tokens, self.rows = (self.metadata[key] for key in ("channels", "tokens", "rows"))
        there = {tensor.name for tensor in file.initializers}
        self.stored = {n: initializer(file, n) for n in CALIBRATION} if there >= set(CALIBRATION) else None
        _check_signature(self.metadata, file.inputs, file.outputs, self.stored or ())
        self._file, self._path, self._options = file, path, options
        # From memory the bytes are those that were checked; data outside the file needs its path.
        self._session = _open(str(path) if file.external else file.data, options)
        self._with_inputs = None if self.stored else self._session
        self.version = f"{require('onnxruntime', EXTRA).__version__} {self._session.get_providers()[0]}"

    def run(self, inputs: Arrays, outputs: Sequence[str]) -> dict[str, Float32]:
        """As `Engine.run`. InputError where the runtime refuses the shapes."""
        session = self._session
        if CALIBRATION[0] in inputs:
            session = self._with_inputs = self._with_inputs or self._reopened()
        try:
            found = session.run(list(outputs), dict(inputs))
        except Exception as error:  # onnxruntime's own exceptions share no base but Exception
            raise InputError(f"expected onnxruntime to run the graph, found: {_one_line(error)}") from error
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
        return _open(self._rewritten(self.metadata, {}), self._options)


def open_engine(path: Path, options: Mapping[str, Any]) -> OnnxRuntimeEngine:
    """Loads a file. options: providers, provider_options, threads, session_options.

    Raises FormatError, VersionError, StorageError, InputError (an option), DependencyError.
    """
    unknown = sorted(set(options) - set(OPTIONS))
    if unknown:
        raise InputError(f"expected options of onnxruntime ({', '.join(OPTIONS)}), found {', '.join(unknown)}")
    return OnnxRuntimeEngine(path, options)


def _open(source: str | bytes, options: Mapping[str, Any]) -> Any:
    runtime = require("onnxruntime", EXTRA)
    session = options.get("session_options") or runtime.SessionOptions()
    threads = options.get("threads")
    if threads is not None:
        if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
            raise InputError(f"expected threads as a number above 0, found {threads!r}")
        session.intra_op_num_threads = threads
    providers = options.get("providers") or ["CPUExecutionProvider"]
    # onnxruntime falls back to the CPU with a warning; whoever asks for an accelerator should hear it.
    names = [provider if isinstance(provider, str) else provider[0] for provider in providers]
    missing = sorted(set(names) - set(runtime.get_available_providers()))
    if missing:
        raise InputError(
            f"expected providers of this onnxruntime ({', '.join(runtime.get_available_providers())}), "
            f"found {', '.join(missing)}; install a build that has them"
        )
    try:
        return runtime.InferenceSession(
            source, session, providers=providers, provider_options=options.get("provider_options")
        )
    except SanderlingError:
        raise
    except Exception as error:  # as above
        raise FormatError(f"expected an ONNX graph that onnxruntime loads, found: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


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
