"""The engines that can run a model, and which one a file gets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sanderling.errors import DependencyError, FormatError, InputError, StorageError
from sanderling.runtime.isa import isa_names, selected_isa

AUTO, NATIVE = "auto", "native"


def looks_like_onnx(head: bytes) -> bool:
    """Whether a file that starts so is an ONNX model: its first field is ir_version, a small number."""
    return len(head) >= 2 and head[0] == 0x08 and 1 <= head[1] < 0x40


# format -> what its first bytes look like
_SIGNS = {
    "gguf": lambda head: head[:4] == b"GGUF",
    "tflite": lambda head: head[4:8] == b"TFL3",
    "onnx": looks_like_onnx,
}


@dataclass(frozen=True)
class Backend:
    """A row of the table. packages: any of them brings the engine; module: has open_model(path, options)."""

    format: str
    packages: tuple[str, ...]
    module: str
    install: str


BACKENDS = {
    "native": Backend("gguf", (), "", ""),
    "onnxruntime": Backend(
        "onnx", ("onnxruntime",), "sanderling.runtime.onnxruntime_engine", "pip install 'sanderling[onnxruntime]'"
    ),
    "tflite": Backend(
        "tflite",
        ("ai_edge_litert", "tflite_runtime"),
        "sanderling.runtime.tflite_engine",
        "pip install 'sanderling[tflite]'",
    ),
}


@dataclass(frozen=True)
class BackendInfo:
    """name; available: whether it can run here; version: of what would run ("" where missing); detail: the instruction
    sets, best first, the command that installs it, or why what is installed does not load."""

    name: str
    available: bool
    version: str
    detail: str


def backends() -> tuple[BackendInfo, ...]:
    """The engines, their versions and instruction sets; nothing is loaded that is not installed."""
    from sanderling import __version__

    found = [BackendInfo("native", True, f"{__version__} {selected_isa()}", ", ".join(isa_names()))]
    for name, backend in BACKENDS.items():
        if name == NATIVE:
            continue
        package = installed(backend)
        if package is None:
            found.append(BackendInfo(name, False, "", backend.install))
            continue
        try:
            found.append(BackendInfo(name, True, f"{package} {_version(package)}", _detail(package)))
        except DependencyError as error:
            found.append(BackendInfo(name, False, package, str(error)))
    return tuple(found)


def installed(backend: Backend) -> str | None:
    """The first of the backend's packages that is installed."""
    return next((package for package in backend.packages if find_spec(package) is not None), None)


def format_of(path: Path) -> str:
    """ "gguf", "onnx" or "tflite" by content. FormatError, StorageError."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from error
    for name, matches in _SIGNS.items():
        if matches(head):
            return name
    raise FormatError(f"expected a model as .gguf, .onnx or .tflite, found {path.name} of neither; export it again")


def choose(path: Path, backend: str) -> tuple[str, str]:
    """The backend that runs the file, and why. InputError (unknown, or another format's), DependencyError."""
    if backend != AUTO and backend not in BACKENDS:
        raise InputError(f"expected backend auto, {', '.join(BACKENDS)}, found {backend!r}")
    kind = format_of(path)
    name, row = next((n, b) for n, b in BACKENDS.items() if b.format == kind)
    if backend not in (AUTO, name):
        wanted = BACKENDS[backend].format
        how = f"sanderling export {path} --format {wanted} -o {path.stem}.{wanted}"
        raise InputError(
            f"expected a .{wanted} file for backend {backend!r}, found {kind}; "
            + (f"run: {how}" if kind == "gguf" else f"use backend {name!r}, or export the native file to it")
        )
    if not row.packages:
        return name, f"the file is {kind}, which the core of this package runs ({selected_isa()})"
    package = installed(row)
    if package is None:
        raise DependencyError(
            f"expected one of {', '.join(row.packages)} to run a .{kind} file, found none; run: {row.install}"
        )
    return name, f"the file is {kind}, which {package} {_version(package)} runs"


def open_model(path: Path, backend: str, options: Mapping[str, Any]) -> Any:
    """The model of an exported file."""
    return import_module(BACKENDS[backend].module).open_model(path, options)


def _loaded(package: str) -> Any:
    try:
        return import_module(package)
    except (ImportError, OSError) as error:  # a build for an accelerator without the accelerator's libraries, say
        said = " ".join(str(error).split())[:200]
        raise DependencyError(f"expected {package} to load, found: {said}; install another build of it") from error


def _version(package: str) -> str:
    return str(getattr(_loaded(package), "__version__", "of unknown version"))


def _detail(package: str) -> str:
    providers = getattr(_loaded(package), "get_available_providers", None)
    if providers is None:
        return os.uname().machine
    from sanderling.runtime.onnx_op import has_operator

    return ", ".join([*providers(), *(["sanderling.Score"] if has_operator() else [])])
