"""What an ONNX file holds, read without the package onnx and without running anything; and its calibration replaced.

Field numbers are onnx.proto's.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sanderling.errors import FormatError, StorageError
from sanderling.runtime.backends import looks_like_onnx
from sanderling.runtime.gguf_file import by_dtype
from sanderling.runtime.wire import BYTES, VARINT, fields, put, varint

KEY = "sanderling"  # metadata property: the document of graph_metadata
DIGEST_KEY = "sanderling.graph_sha256"
MAX_DEPTH = 16
Shapes = Mapping[str, tuple[int | str, ...]]
_NAME = {5: 8, 11: 1}  # field of GraphProto (initializer, input) -> its message's field that holds the name
_EXTERNAL = 1  # TensorProto.DataLocation
_ITEM_BYTES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}
DTYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 8: "string",
    9: "bool", 10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 16: "bfloat16",
}  # fmt: skip
# message -> field -> message, as far as tensors can hide in it
_NESTED = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}


@dataclass(frozen=True)
class Tensor:
    """name, dtype ("float32"), shape (a str is a free dimension), bytes of its data in the file."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    bytes: int = 0


@dataclass
class OnnxFile:
    """An ONNX model. external: the locations that tensors name, relative to its folder; graph: its bytes' span."""

    data: bytes
    ir_version: int = 0
    producer: str = ""
    name: str = ""
    opsets: dict[str, int] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    ops: Counter[str] = field(default_factory=Counter)
    inputs: list[Tensor] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)
    initializers: list[Tensor] = field(default_factory=list)
    external: list[str] = field(default_factory=list)
    graph: tuple[int, int] = (0, 0)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def read_onnx(path: str | os.PathLike[str]) -> OnnxFile:
    """Reads and checks the structure. FormatError (not ONNX, truncated), StorageError."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise StorageError(f"cannot read {os.fspath(path)}: {error.strerror or error}") from error
    return parse_onnx(data)


def parse_onnx(data: bytes) -> OnnxFile:
    """The same from memory."""
    if not looks_like_onnx(data[:2]):
        raise FormatError("expected an ONNX model, found another file; export it again")
    found = OnnxFile(data)
    for number, kind, start, end in fields(data, 0, len(data)):
        if number == 1 and kind == VARINT:
            found.ir_version = varint(data, start, end)[0]
        elif kind != BYTES:
            continue
        elif number == 2:
            found.producer = _text(data, start, end)
        elif number == 7:
            if found.graph != (0, 0):
                raise FormatError("expected one graph in the ONNX file, found two; export it again")
            found.graph = (start, end)
            _read_graph(found, start, end)
        elif number == 8:
            domain, version = _strings_and_numbers(data, start, end)
            found.opsets[domain.get(1, "")] = version.get(2, 0)
        elif number == 14:
            text = _strings_and_numbers(data, start, end)[0]
            found.metadata[text.get(1, "")] = text.get(2, "")
    if found.graph == (0, 0) or not found.opsets:
        raise FormatError("expected an ONNX model with a graph, found none; the file is truncated or not ONNX")
    _find_external(found, "model", 0, len(data), 0)
    return found


def check_external(file: OnnxFile, path: Path) -> None:
    """FormatError unless every external tensor lies in a regular file within the model's own folder."""
    folder = Path(os.path.realpath(path)).parent
    for location in file.external:
        wanted = folder / location
        inside = not os.path.isabs(location) and Path(os.path.realpath(wanted)).is_relative_to(folder)
        if not inside or not wanted.is_file():
            raise FormatError(
                f"expected external data within the model's folder, found {location!r}; export the model as one file"
            )


def check_digest(file: OnnxFile) -> None:
    """FormatError when the graph is not the one that was exported."""
    stated = file.metadata.get(DIGEST_KEY)
    if stated is not None and stated != hashlib.sha256(file.data[slice(*file.graph)]).hexdigest():
        raise FormatError("expected the graph as it was exported, found changed bytes; export or copy the file again")


def with_calibration(data: bytes, document: str, tensors: Mapping[str, np.ndarray], free: Shapes) -> bytes:
    """The model with `tensors` (float32) as constants, and `document` as its metadata.

    Those of `free` (name -> shape, a str is a free dimension) that are not among `tensors` are inputs of the graph.
    """
    file = parse_onnx(data)
    inputs = {name: shape for name, shape in free.items() if name not in tensors}
    names = {name.encode() for name in free}
    graph = b"".join(
        put(number, data[start:end]) if kind == BYTES else put(number, varint(data, start, end)[0])
        for number, kind, start, end in fields(data, *file.graph)
        if not (number in _NAME and _name(data, start, end, _NAME[number]) in names)
    )
    graph += b"".join(put(5, _tensor(name, value)) for name, value in tensors.items())
    graph += b"".join(put(11, value_info(name, shape)) for name, shape in inputs.items())
    ours = {KEY: document, DIGEST_KEY: hashlib.sha256(graph).hexdigest()}
    out = bytearray()
    for number, kind, start, end in fields(data, 0, len(data)):
        if number == 14 and _strings_and_numbers(data, start, end)[0].get(1) in ours:
            continue
        value = varint(data, start, end)[0] if kind == VARINT else data[start:end]
        out += put(number, graph if number == 7 else value)
    for key, text in ours.items():
        out += put(14, put(1, key.encode()) + put(2, text.encode()))
    return bytes(out)


def initializer(file: OnnxFile, name: str) -> np.ndarray:
    """A float32 initialiser's values. FormatError unless it is stored as plain bytes."""
    data = file.data
    for number, kind, start, end in fields(data, *file.graph):
        if number == 5 and kind == BYTES and _name(data, start, end, 8) == name.encode():
            tensor = _read_tensor(data, start, end)
            raw = next((data[a:b] for n, k, a, b in fields(data, start, end) if n == 9 and k == BYTES), None)
            if raw is not None and tensor.dtype == "float32":
                return np.frombuffer(raw, "<f4").reshape(tensor.shape)
    raise FormatError(f"expected {name} as float32 in the ONNX file, found it otherwise; export the model again")


def _tensor(name: str, value: np.ndarray) -> bytes:
    dims = b"".join(put(1, int(n)) for n in value.shape)
    return dims + put(2, 1) + put(8, name.encode()) + put(9, np.ascontiguousarray(value, "<f4").tobytes())


def value_info(name: str, shape: tuple[int | str, ...], element: int = 1) -> bytes:
    """ValueInfoProto of a tensor; element: TensorProto.DataType, float32."""
    dims = b"".join(put(1, put(1, n) if isinstance(n, int) else put(2, n.encode())) for n in shape)
    return put(1, name.encode()) + put(2, put(1, put(1, element) + put(2, dims)))


def _name(data: bytes, start: int, end: int, number: int) -> bytes:
    return next((data[a:b] for n, kind, a, b in fields(data, start, end) if n == number and kind == BYTES), b"")


def _text(data: bytes, start: int, end: int) -> str:
    try:
        return data[start:end].decode()
    except UnicodeDecodeError as error:
        raise FormatError("expected names as UTF-8 in the ONNX file, found other bytes; it is damaged") from error


def _strings_and_numbers(data: bytes, start: int, end: int) -> tuple[dict[int, str], dict[int, int]]:
    texts, numbers = {}, {}
    for number, kind, a, b in fields(data, start, end):
        if kind == BYTES:
            texts[number] = _text(data, a, b)
        elif kind == VARINT:
            numbers[number] = varint(data, a, b)[0]
    return texts, numbers


def _read_graph(file: OnnxFile, start: int, end: int) -> None:
    data = file.data
    for number, kind, a, b in fields(data, start, end):
        if kind != BYTES:
            continue
        if number == 1:
            texts = {n: _text(data, x, y) for n, k, x, y in fields(data, a, b) if k == BYTES and n in (4, 7)}
            domain = texts.get(7, "")
            file.ops[f"{domain}::{texts.get(4, '')}" if domain else texts.get(4, "")] += 1
        elif number == 2:
            file.name = _text(data, a, b)
        elif number == 5:
            file.initializers.append(_read_tensor(data, a, b))
        elif number == 11:
            file.inputs.append(_read_value(data, a, b))
        elif number == 12:
            file.outputs.append(_read_value(data, a, b))


def _read_tensor(data: bytes, start: int, end: int) -> Tensor:
    name, kind_of, shape, raw = "", 0, [], None
    for number, kind, a, b in fields(data, start, end):
        if number == 1 and kind == VARINT:
            shape.append(varint(data, a, b)[0])
        elif number == 1 and kind == BYTES:
            while a < b:
                value, a = varint(data, a, b)
                shape.append(value)
        elif number == 2 and kind == VARINT:
            kind_of = varint(data, a, b)[0]
        elif number == 8 and kind == BYTES:
            name = _text(data, a, b)
        elif number == 9 and kind == BYTES:
            raw = b - a
    count = 1
    for n in shape:
        count *= n
    size = count * _ITEM_BYTES.get(kind_of, 0)
    if raw is not None and kind_of in _ITEM_BYTES and raw != size:
        raise FormatError(f"expected {size} bytes of {name!r} in the ONNX file, found {raw}; it is damaged")
    return Tensor(name, DTYPES.get(kind_of, f"type {kind_of}"), tuple(shape), size)


def _read_value(data: bytes, start: int, end: int) -> Tensor:
    """ValueInfoProto: name 1, type 2 -> tensor_type 1 -> elem_type 1, shape 2 -> dim 1 -> value 1 or name 2."""
    name, dtype, shape = "", "", []
    for number, kind, a, b in fields(data, start, end):
        if number == 1 and kind == BYTES:
            name = _text(data, a, b)
        for path, k, x, y in _under(data, a, b, (1,)) if number == 2 and kind == BYTES else ():
            if path == 1 and k == VARINT:
                code = varint(data, x, y)[0]
                dtype = DTYPES.get(code, f"type {code}")
            elif path == 2 and k == BYTES:
                for n, kk, p, q in fields(data, x, y):
                    if n == 1 and kk == BYTES:
                        texts, numbers = _strings_and_numbers(data, p, q)
                        shape.append(texts.get(2, numbers.get(1, "?")))
    return Tensor(name, dtype, tuple(shape))


def _under(data: bytes, start: int, end: int, path: tuple[int, ...]) -> list[tuple[int, int, int, int]]:
    """The fields of the message that `path` leads to."""
    for step in path:
        spans = [(a, b) for n, kind, a, b in fields(data, start, end) if n == step and kind == BYTES]
        if not spans:
            return []
        start, end = spans[0]
    return list(fields(data, start, end))


def _find_external(file: OnnxFile, message: str, start: int, end: int, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise FormatError(f"expected at most {MAX_DEPTH} nested ONNX messages, found more; the file is damaged")
    for number, kind, a, b in fields(file.data, start, end):
        if message == "tensor":
            # TensorProto.external_data 13 (key 1, value 2), data_location 14
            if number == 13 and kind == BYTES:
                entry = _strings_and_numbers(file.data, a, b)[0]
                if entry.get(1) == "location":
                    file.external.append(entry.get(2, ""))
            elif number == 14 and kind == VARINT and varint(file.data, a, b)[0] == _EXTERNAL:
                file.external.extend([] if _names_location(file.data, start, end) else [""])
        elif kind == BYTES and number in _NESTED[message]:
            _find_external(file, _NESTED[message][number], a, b, depth + 1)


def _names_location(data: bytes, start: int, end: int) -> bool:
    return any(
        _strings_and_numbers(data, a, b)[0].get(1) == "location"
        for number, kind, a, b in fields(data, start, end)
        if number == 13 and kind == BYTES
    )


def describe(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What `sanderling inspect` shows of an ONNX file, Sanderling's or not. FormatError, StorageError."""
    file = read_onnx(path)

    def listed(tensors: list[Tensor]) -> list[dict[str, Any]]:
        return [{"name": t.name, "dtype": t.dtype, "shape": list(t.shape)} for t in tensors]

    constants = [
        {"name": t.name, "dtype": t.dtype, "shape": list(t.shape), "bytes": t.bytes} for t in file.initializers
    ]
    opsets = ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in file.opsets.items())
    return {
        "format": "onnx",
        "bytes": len(file.data),
        "sha256": file.sha256,
        "metadata": {
            "ir_version": file.ir_version,
            "opsets": opsets,
            "producer": file.producer,
            "external_data": file.external,
            **file.metadata,
        },
        "graphs": [
            {
                "name": file.name,
                "inputs": listed(file.inputs),
                "outputs": listed(file.outputs),
                "operators": dict(sorted(file.ops.items())),
                "constants": by_dtype(constants),
                "tensors": constants,
            }
        ],
    }
