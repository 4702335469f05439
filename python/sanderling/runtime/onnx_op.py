"""The native engine as onnxruntime's operator `sanderling.Score`, in a library that a session loads (csrc/ort/op.cpp).

The file is an ONNX model of one node whose attribute `model` holds a native file's bytes. Scores are the native
engine's, byte for byte, frames and dynamic mode included. onnxruntime 1.16 or later.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sanderling import _core
from sanderling.errors import DependencyError, FormatError, InputError, VersionError
from sanderling.files import write_file
from sanderling.runtime.graph import Result
from sanderling.runtime.onnx_file import DIGEST_KEY, KEY, OnnxFile, check_digest, value_info
from sanderling.runtime.onnxruntime_session import onnxruntime, open_session
from sanderling.runtime.wire import BYTES, fields, put

DOMAIN, OPERATOR = "sanderling", "Score"
LIBRARY = "libsanderling_ort.so"
PROFILE = "native"
VERSION = 1
_FLOAT, _UINT8, _INT64, _BOOL = 1, 2, 7, 9  # TensorProto.DataType
_STRING = 3  # AttributeProto.AttributeType
_REGISTERED = "registered"  # among an OpModel's own options
_Float32 = NDArray[np.float32]
COUNTS = ("samples", "tokens", "skipped", "patch", "frame_samples", "cold_samples", "outputs")
# name -> element type, shape; in the operator's order
INPUTS: Mapping[str, tuple[int, tuple[int | str, ...]]] = {
    "x": (_FLOAT, ("samples", "channels")),
    "state": (_UINT8, ("state_bytes",)),
    "end": (_BOOL, (1,)),
    "options": (_FLOAT, ("n_options",)),
}
OUTPUTS: Mapping[str, tuple[int, tuple[int | str, ...]]] = {
    "score": (_FLOAT, ("scored",)),
    "channel_score": (_FLOAT, ("scored", "outputs")),
    "reconstruction": (_FLOAT, ("scored", "outputs")),
    "components": (_FLOAT, ("patches", "outputs", 8)),
    "skipped": (_UINT8, ("patches", "outputs")),
    "threshold": (_FLOAT, (1,)),
    "counts": (_INT64, (len(COUNTS),)),
    "state_out": (_UINT8, ("state_out_bytes",)),
}
# Keys of `_core.Model.info` that the file repeats for who reads it without us.
_TOLD = ("variant", "calibrated", "channels", "threshold", "scaling", "false_alarms", "period_s", "frame_samples")


def onnxruntime_library() -> str:
    """Path of the library, for `SessionOptions.register_custom_ops_library`. DependencyError where it was not built."""
    path = _library()
    if not path.is_file():
        raise DependencyError(
            f"expected {LIBRARY} in the package, found none: it was built without onnxruntime's header; "
            "build the wheel with SANDERLING_ORT_INCLUDE set to the folder of onnxruntime_c_api.h"
        )
    return str(path)


def has_operator() -> bool:
    """Whether the library is there."""
    return _library().is_file()


def _library() -> Path:
    return Path(__file__).parents[1] / LIBRARY


def op_model_bytes(native: bytes) -> bytes:
    """The ONNX model around a native file's bytes; same bytes, same model. FormatError, VersionError (the file)."""
    info = _core.Model.parse(native).info()
    attribute = put(1, b"model") + put(4, native) + put(20, _STRING)
    node = b"".join(put(1, name.encode()) for name in INPUTS) + b"".join(put(2, name.encode()) for name in OUTPUTS)
    node += put(3, b"score") + put(4, OPERATOR.encode()) + put(5, attribute) + put(7, DOMAIN.encode())
    graph = put(1, node) + put(2, b"sanderling")
    for number, ports in ((11, INPUTS), (12, OUTPUTS)):
        graph += b"".join(put(number, value_info(name, shape, kind)) for name, (kind, shape) in ports.items())
    document = {
        "version": VERSION,
        "format": "onnx",
        "profile": PROFILE,
        "precision": "int8",
        "native_sha256": hashlib.sha256(native).hexdigest(),
        **{name: info[name] for name in _TOLD},
    }
    texts = {KEY: json.dumps(document, sort_keys=True), DIGEST_KEY: hashlib.sha256(graph).hexdigest()}
    opsets = put(8, put(1, b"") + put(2, 13)) + put(8, put(1, DOMAIN.encode()) + put(2, VERSION))
    metadata = b"".join(put(14, put(1, key.encode()) + put(2, text.encode())) for key, text in texts.items())
    return put(1, 8) + put(2, b"sanderling") + put(7, graph) + opsets + metadata


def holds_op(file: OnnxFile) -> bool:
    """Whether an ONNX file runs the operator."""
    return DOMAIN in file.opsets


def native_of(file: OnnxFile) -> bytes:
    """The native file inside; nothing else of the ONNX file is used. FormatError, VersionError."""
    check_digest(file)
    version = _document(file).get("version")
    if version != VERSION:
        raise VersionError(f"expected version {VERSION} of {DOMAIN}.{OPERATOR}, found {version!r}; export it again")
    for number, kind, start, end in fields(file.data, *file.graph):
        for n, k, a, b in fields(file.data, start, end) if (number, kind) == (1, BYTES) else ():
            if (n, k) == (5, BYTES):
                parts = {m: file.data[x:y] for m, wire, x, y in fields(file.data, a, b) if wire == BYTES}
                if parts.get(1) == b"model" and 4 in parts:
                    return parts[4]
    raise FormatError(f"expected a native file in {DOMAIN}.{OPERATOR}, found none; export the model again")


def _document(file: OnnxFile) -> dict[str, Any]:
    try:
        document = json.loads(file.metadata.get(KEY, ""))
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or document.get("profile") != PROFILE:
        raise FormatError("expected sanderling's metadata of profile native, found none; export the model again")
    return document


class OpModel:
    """A model that runs as the operator. Same methods and meanings as `_core.Model`."""

    def __init__(self, native: bytes, options: Mapping[str, Any]) -> None:
        self._native, self._options = native, dict(options)
        library = options.get("library") or onnxruntime_library()
        # A caller's session options are registered with once: another fit opens a session with them again.
        registered = options.get(_REGISTERED) is not None
        self._session = open_session(op_model_bytes(native), options, None if registered else os.fspath(library))

    def calibrate(
        self, x: _Float32, standard_scaling: bool, false_alarms: float, period_s: float, frame_ms: float = -1.0
    ) -> OpModel:
        """CalibrationError, InputError."""
        fitted = _core.Model.parse(self._native).calibrate(x, standard_scaling, false_alarms, period_s, frame_ms)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.gguf")
            fitted.save(os.fsencode(path))
            return OpModel(path.read_bytes(), self._options | {_REGISTERED: self._options.get("session_options")})

    def stream(
        self,
        channels: int,
        false_alarms: float = 1.0,
        period_s: float = 0.0,
        frame_ms: float = -1.0,
        dynamic: bool = False,
        threads: int = 1,
    ) -> OpStream:
        """A new stream; arguments as `_core.Stream`'s."""
        return OpStream(self._session, channels, (false_alarms, period_s, frame_ms, dynamic, threads))

    def save(self, path: bytes | str) -> None:
        """Writes the file. StorageError."""
        write_file(os.fsdecode(path), lambda file: file.write(op_model_bytes(self._native)))

    def info(self) -> dict[str, Any]:
        """As `_core.Model.info`, and precision and profile of the file."""
        info = dict(_core.Model.parse(self._native).info())
        runs = f"onnxruntime {onnxruntime().__version__} {DOMAIN}.{OPERATOR} {info['isa']}"
        return {**info, "isa": runs, "precision": "int8", "profile": PROFILE}


class OpStream:
    """What `_core.Stream` is: the state goes into every call of the session and comes out of it."""

    samples: int
    tokens: int
    skipped: int
    patch: int
    frame_samples: int
    cold_samples: int
    outputs: int

    def __init__(self, session: Any, channels: int, options: tuple[float, float, float, bool, int]) -> None:
        self._session, self.channels = session, channels
        self._given = np.array(options, np.float32)
        self._quiet = onnxruntime().RunOptions()
        self._quiet.log_severity_level = 4  # what it would print, the error says
        self._state = np.zeros(0, np.uint8)
        self.threshold = float("nan")
        self._run(np.zeros((0, channels), np.float32), end=False)

    def update(self, x: _Float32, blame: bool = False, reconstruction: bool = False) -> Result:
        """As `_core.Stream.update`."""
        return _chosen(self._run(x, end=False), blame, reconstruction)

    def flush(self, blame: bool = False, reconstruction: bool = False) -> Result:
        """As `_core.Stream.flush`."""
        return _chosen(self._run(np.zeros((0, self.channels), np.float32), end=True), blame, reconstruction)

    def _run(self, x: _Float32, end: bool) -> dict[str, np.ndarray]:
        given = {"x": x, "state": self._state, "end": np.array([end]), "options": self._given}
        try:
            found = dict(zip(OUTPUTS, self._session.run(list(OUTPUTS), given, self._quiet), strict=True))
        except Exception as error:  # onnxruntime's own exceptions share no base but Exception
            said = " ".join(str(error).split()).partition("Status Message: ")
            raise InputError((said[2] or said[0])[:400]) from error
        self._state = found["state_out"]
        self.threshold = float(found["threshold"][0])
        for name, n in zip(COUNTS, found["counts"], strict=True):
            setattr(self, name, int(n))
        return found


def _chosen(found: Mapping[str, np.ndarray], blame: bool, reconstruction: bool) -> Result:
    blamed = ("channel_score", "components", "skipped")
    channel_score, components, skipped = (found[name] if blame else None for name in blamed)
    return found["score"], channel_score, components, found["reconstruction"] if reconstruction else None, skipped
