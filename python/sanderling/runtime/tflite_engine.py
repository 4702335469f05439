"""Runs an exported .tflite file: ai-edge-litert (LiteRT) first, then tflite-runtime."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any

from sanderling.errors import DependencyError, FormatError, InputError
from sanderling.files import write_file
from sanderling.runtime.graph import Arrays, Float32
from sanderling.runtime.graph_metadata import parse_document
from sanderling.runtime.graph_model import GraphModel
from sanderling.runtime.graph_spec import Shape, calibration_shapes, input_shapes, output_shapes
from sanderling.runtime.tflite_container import document_text, sealed, stored_calibration
from sanderling.runtime.tflite_file import TfliteFile, parse, read_bytes

STEP, SEQUENCE = "step", "sequence"  # signatures: one patch, and a block of patches
LITERT, TFLITE_RUNTIME = "litert", "tflite-runtime"  # a file's profile is the runtime that it is right on
# Module, package on the index, profiles that it scores right.
RUNTIMES = (
    ("ai_edge_litert", "ai-edge-litert", (LITERT, TFLITE_RUNTIME)),
    ("tflite_runtime", "tflite-runtime", (TFLITE_RUNTIME,)),
)
OPTIONS = ("delegates", "threads")


def runtime() -> tuple[ModuleType, str, tuple[str, ...]]:
    """The interpreter's module, "package version", and the profiles that it runs right. DependencyError."""
    found = []
    for module, package, profiles in RUNTIMES:
        try:
            interpreter = import_module(f"{module}.interpreter")
        except (ImportError, AttributeError) as error:  # built for NumPy 1, tflite-runtime fails with either on NumPy 2
            if find_spec(module) is not None:
                found.append(f"{package} that does not load ({_one_line(error)})")
            continue
        return interpreter, f"{package} {getattr(import_module(module), '__version__', '')}".strip(), profiles
    raise DependencyError(
        f"expected ai-edge-litert or tflite-runtime, found {' and '.join(found) or 'neither'}; "
        "run: pip install 'sanderling[tflite]'"
    )


def open_engine(path: str | os.PathLike[str], options: Mapping[str, Any] | None = None) -> TfliteEngine:
    """Opens a .tflite file that Sanderling exported.

    options: threads (int, default 1), delegates (a list of the runtime's delegate objects, paths of delegate libraries,
    or pairs of a path and its options). Raises FormatError (damaged, not ours, custom operators, a profile for another
    runtime), DependencyError (no runtime), InputError (an option), StorageError.
    """
    return TfliteEngine(read_bytes(path), dict(options or {}))


def open_model(path: str | os.PathLike[str], options: Mapping[str, Any] | None = None) -> GraphModel:
    """The same as a model, with the calibration that the file holds."""
    return GraphModel.of_file(open_engine(path, options))


class TfliteEngine:
    """A loaded .tflite file as `runtime.graph.Engine`."""

    name = "tflite"

    def __init__(self, content: bytes, options: Mapping[str, Any]) -> None:
        file = parse(content)
        if file.custom_operators:
            names = ", ".join(file.custom_operators)[:200]
            raise FormatError(f"expected TFLite's own operators, found custom ones: {names}; export the model again")
        document = parse_document(document_text(file))
        self.metadata: Mapping[str, Any] = document
        self.config = document["config"]
        self.channels, self.tokens, self.rows = (document[key] for key in ("channels", "tokens", "rows"))
        if None in (self.channels, self.tokens, self.rows):
            raise FormatError("expected channels, tokens and rows in the metadata, found none; export the model again")
        self._content, self._lock = content, Lock()
        self._check_signatures(file)
        self.stored: Arrays | None = None
        if document["calibration"] is not None:
            self.stored = stored_calibration(file, self._calibration_shapes())
        module, self.version, profiles = runtime()
        if document["profile"] not in profiles:
            raise FormatError(
                f"expected profile {profiles[0]!r} for {self.version}, found {document['profile']!r}, whose INT8 "
                "it scores wrongly; run: pip install ai-edge-litert, or export with --profile tflite-runtime"
            )
        self._runners = self._opened(module, options)

    def run(self, inputs: Arrays, outputs: Sequence[str]) -> dict[str, Float32]:
        """As `Engine.run`."""
        given = {**(self.stored or {}), **inputs}
        runner = self._runners[given["component_shift"].shape[1]]
        try:
            with self._lock:  # a runner keeps its tensors
                found = runner(**given)
        except (ValueError, RuntimeError) as error:
            raise FormatError(f"expected the graph to run, found: {_one_line(error)}; export it again") from error
        return {name: found[name] for name in outputs}

    def write(self, path: bytes, metadata: Mapping[str, Any], calibration: Arrays) -> None:
        """As `Engine.write`."""
        content = sealed(self._content, {**metadata, "config": self.config.to_keys()}, calibration)
        write_file(os.fsdecode(path), lambda out: out.write(content))

    def _calibration_shapes(self) -> dict[str, Shape]:
        return calibration_shapes(self.channels, *self.rows)

    def _check_signatures(self, file: TfliteFile) -> None:
        for n, key in _signatures(self.tokens).items():
            wanted = (
                input_shapes(self.config, self.channels, n, *self.rows),
                output_shapes(self.config, self.channels, n),
            )
            for shapes, found in zip(wanted, file.tensors(key), strict=True):
                stated = {name: (tensor.dtype, tensor.shape) for name, tensor in found.items()}
                expected = {name: ("float32", shape) for name, shape in shapes.items()}
                for name in sorted({*stated, *expected}):
                    a, b = expected.get(name), stated.get(name)
                    if a != b:
                        raise FormatError(f"expected {name} of {key} as {a}, found {b}; export the model again")

    def _opened(self, module: ModuleType, options: Mapping[str, Any]) -> dict[int, Any]:
        unknown = sorted(set(options) - set(OPTIONS))
        if unknown:
            raise InputError(f"expected options of {OPTIONS} for TFLite, found {unknown}; remove them")
        threads = options.get("threads", 1)
        if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= 1024:
            raise InputError(f"expected threads of 1 to 1024, found {threads!r}; give a whole number")
        delegates = [_delegate(module, given) for given in options.get("delegates", ())]
        try:
            interpreter = module.Interpreter(
                model_content=self._content, num_threads=threads, experimental_delegates=delegates or None
            )
            return {n: interpreter.get_signature_runner(key) for n, key in _signatures(self.tokens).items()}
        except (ValueError, RuntimeError) as error:
            raise FormatError(
                f"expected a graph that {self.version} runs, found: {_one_line(error)}; export it for this runtime"
            ) from error


def _signatures(tokens: tuple[int, ...]) -> dict[int, str]:
    """Block length -> signature."""
    return {n: STEP if n == 1 else SEQUENCE for n in tokens}


def _delegate(module: ModuleType, given: Any) -> Any:
    path, options = given if isinstance(given, tuple) else (given, None)
    if not isinstance(path, str | Path):
        return path
    try:
        return module.load_delegate(os.fspath(path), options)
    except (ValueError, OSError) as error:
        raise InputError(f"expected a delegate library, found {path}: {_one_line(error)}; check its path") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
