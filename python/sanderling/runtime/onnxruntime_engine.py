"""Runs an exported ONNX graph in onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sanderling.errors import FormatError, InputError, SanderlingError
from sanderling.extras import require
from sanderling.files import write_file
from sanderling.runtime.graph import Arrays, Float32
from sanderling.runtime.graph_metadata import parse_document, write_document
from sanderling.runtime.graph_spec import CALIBRATION, input_shapes, output_shapes
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
        _check_signature(self.metadata, file.inputs, file.outputs)
        self._data = file.data
        there = {tensor.name for tensor in file.initializers}
        self.stored = {n: initializer(file, n) for n in CALIBRATION} if there >= set(CALIBRATION) else None

        runtime = require("onnxruntime", EXTRA)
        # From memory the bytes are those that were checked; data outside the file needs its path.
        source = str(path) if file.external else file.data
        self._session = _open(runtime, source, options)
        self._outputs = {output.name for output in self._session.get_outputs()}
        self.version = f"{runtime.__version__} {self._session.get_providers()[0]}"

    def run(self, inputs: Arrays, outputs: Sequence[str]) -> dict[str, Float32]:
        """As `Engine.run`. InputError where the runtime refuses the shapes."""
        try:
            found = self._session.run(list(outputs), dict(inputs))
        except Exception as error:  # onnxruntime's own exceptions share no base but Exception
            raise InputError(f"expected onnxruntime to run the graph, found: {_one_line(error)}") from error
        return dict(zip(outputs, found, strict=True))

    def write(self, path: bytes, metadata: Mapping[str, Any], calibration: Arrays) -> None:
        """As `Engine.write`."""
        document = {**metadata, "config": self.config.to_keys()}
        data = with_calibration(self._data, write_document(document), calibration)
        write_file(path.decode(errors="surrogateescape"), lambda file: file.write(data))


def open_engine(path: Path, options: Mapping[str, Any]) -> OnnxRuntimeEngine:
    """Loads a file. options: providers, provider_options, threads, session_options.

    Raises FormatError, VersionError, StorageError, InputError (an option), DependencyError.
    """
    unknown = sorted(set(options) - set(OPTIONS))
    if unknown:
        raise InputError(f"expected options of onnxruntime ({', '.join(OPTIONS)}), found {', '.join(unknown)}")
    return OnnxRuntimeEngine(path, options)


def _open(runtime: Any, source: str | bytes, options: Mapping[str, Any]) -> Any:
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


def _check_signature(document: Mapping[str, Any], inputs: list[Tensor], outputs: list[Tensor]) -> None:
    """FormatError unless names, ranks, dtypes and fixed sizes are those of `graph_spec`."""
    config, channels = document["config"], document["channels"]
    dims = {"channels": channels or "channels"}
    for kind, found, wanted in (
        ("input", inputs, input_shapes(config, **dims)),
        ("output", outputs, output_shapes(config, **dims)),
    ):
        there = {tensor.name: tensor for tensor in found}
        if set(there) != set(wanted):
            odd = sorted(set(there) ^ set(wanted))
            raise FormatError(f"expected the {kind}s of sanderling's graph, found a difference in {odd}; export it again")
        for name, shape in wanted.items():
            tensor = there[name]
            fits = len(tensor.shape) == len(shape) and all(
                a == b for a, b in zip(tensor.shape, shape, strict=True) if isinstance(b, int)
            )
            if tensor.dtype != "float32" or not fits:
                raise FormatError(
                    f"expected {kind} {name} as float32 {shape}, found {tensor.dtype} {tensor.shape}; export it again"
                )
