"""What a TFLite file says, read without running anything and without TFLite.

Structure, indices and the sizes of constants are checked, so that a truncated or damaged file is a FormatError here and
never reaches an interpreter, which trusts what it loads.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from sanderling.errors import FormatError, StorageError
from sanderling.runtime import tflite_schema as schema
from sanderling.runtime.flatbuffer import Buffer, Table

MAX_BYTES = 1 << 31  # offsets are 32 bits, and interpreters take no more
MAX_RANK = 8
SHOWN = 4096  # characters of a metadata text


@dataclass(frozen=True)
class Tensor:
    """scales: of its quantisation, 0 for none, 1 per tensor, more per channel. data: bytes of a constant, else 0."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    scales: int
    data: int


@dataclass(frozen=True)
class Graph:
    """A subgraph. operators: names in the order of execution; a custom one is "CUSTOM name"."""

    name: str
    tensors: tuple[Tensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: tuple[str, ...]


@dataclass(frozen=True)
class Signature:
    """A graph by name; inputs and outputs: name -> index of the tensor."""

    key: str
    graph: int
    inputs: dict[str, int]
    outputs: dict[str, int]


@dataclass(frozen=True)
class TfliteFile:
    """A parsed file. metadata: name -> (first byte, number of bytes) in `data`."""

    data: memoryview
    description: str
    graphs: tuple[Graph, ...]
    signatures: tuple[Signature, ...]
    metadata: dict[str, tuple[int, int]]

    def metadata_bytes(self, name: str) -> bytes | None:
        """The bytes of a metadata entry, or None."""
        if name not in self.metadata:
            return None
        start, size = self.metadata[name]
        return bytes(self.data[start : start + size])

    @property
    def custom_operators(self) -> list[str]:
        """Names of the operators that TFLite itself doesn't have."""
        start = "CUSTOM "
        found = {name for graph in self.graphs for name in graph.operators if name.startswith(start)}
        return sorted(name.removeprefix(start) for name in found)

    def tensors(self, signature: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Inputs and outputs of a signature by name; FormatError when the file has no such."""
        for found in self.signatures:
            if found.key == signature:
                graph = self.graphs[found.graph]
                sides = (found.inputs, found.outputs)
                inputs, outputs = ({name: graph.tensors[i] for name, i in side.items()} for side in sides)
                return inputs, outputs
        found_keys = [s.key for s in self.signatures]
        raise FormatError(f"expected a signature {signature!r}, found {found_keys}; export it again")


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """A file's bytes. Raises StorageError, FormatError (too big)."""
    try:
        size = os.stat(path).st_size
        if size > MAX_BYTES:
            raise FormatError(f"expected a TFLite file below 2 GiB, found {size} bytes; {os.fspath(path)} is none")
        return Path(path).read_bytes()
    except OSError as error:
        raise StorageError(f"cannot read {os.fspath(path)}: {error.strerror or error}") from error


def parse(content: bytes) -> TfliteFile:
    """Reads a file's bytes. Raises FormatError: not a TFLite file, truncated, damaged."""
    data = memoryview(content)
    if len(data) < 8 or bytes(data[4:8]) != schema.IDENTIFIER:
        raise FormatError("expected a TFLite file (TFL3 at byte 4), found something else; give a .tflite file")
    model = Buffer(data).root()
    version = model.integer(schema.MODEL["version"], "I")
    if version != schema.VERSION:
        raise FormatError(f"expected TFLite schema version {schema.VERSION}, found {version}; export the model again")
    buffers = [_buffer(table, data) for table in model.tables(schema.MODEL["buffers"])]
    codes = [_operator_name(table) for table in model.tables(schema.MODEL["operator_codes"])]
    graphs = tuple(_graph(table, codes, buffers) for table in model.tables(schema.MODEL["subgraphs"]))
    if not graphs:
        raise FormatError("expected at least one graph in the TFLite file, found none; export the model again")
    signatures = tuple(_signature(table, graphs) for table in model.tables(schema.MODEL["signatures"]))
    metadata = {}
    for table in model.tables(schema.MODEL["metadata"]):
        index = table.integer(schema.METADATA["buffer"], "I")
        metadata[table.text(schema.METADATA["name"])] = buffers[_index(index, len(buffers), "metadata buffer")]
    return TfliteFile(data, model.text(schema.MODEL["description"]), graphs, signatures, metadata)


def _index(value: int, count: int, what: str, least: int = 0) -> int:
    if not least <= value < count:
        raise FormatError(f"expected a {what} below {count}, found {value}; the TFLite file is damaged")
    return value


def _buffer(table: Table, data: memoryview) -> tuple[int, int]:
    """First byte and size of a buffer's data."""
    far, size = (table.integer(schema.BUFFER[name], "Q") for name in ("offset", "size"))
    if far > 1 or size > 1:  # outside the tables, for files above 2 GiB; 0 and 1 mean inside
        if far + size > len(data):
            raise FormatError(f"expected a buffer inside the file, found bytes {far} to {far + size}; truncated")
        return far, size
    start, count = table.span(schema.BUFFER["data"], 1)
    return start, count


def _operator_name(table: Table) -> str:
    # Codes of 127 and above are in the second field; older files have the first one only.
    code = max(table.integer(schema.OPERATOR_CODE["old_code"], "b"), table.integer(schema.OPERATOR_CODE["code"], "i"))
    if code == schema.CUSTOM:
        return f"CUSTOM {table.text(schema.OPERATOR_CODE['custom']) or '(no name)'}"
    return schema.OPERATORS[_index(code, len(schema.OPERATORS), "operator code")]


def _graph(table: Table, codes: list[str], buffers: list[tuple[int, int]]) -> Graph:
    tensors = tuple(_tensor(t, buffers) for t in table.tables(schema.SUBGRAPH["tensors"]))
    starts, ends = (table.integers(schema.SUBGRAPH[name]) for name in ("inputs", "outputs"))
    operators = []
    for operator in table.tables(schema.SUBGRAPH["operators"]):
        operators.append(codes[_index(operator.integer(schema.OPERATOR["code"], "I"), len(codes), "operator code")])
        for name in ("inputs", "outputs"):
            for i in operator.integers(schema.OPERATOR[name]):
                _index(i, len(tensors), "tensor", least=-1)  # -1: an optional input that is not there
    for i in (*starts, *ends):
        _index(i, len(tensors), "tensor")
    return Graph(table.text(schema.SUBGRAPH["name"]), tensors, starts, ends, tuple(operators))


def _tensor(table: Table, buffers: list[tuple[int, int]]) -> Tensor:
    shape = table.integers(schema.TENSOR["shape"])
    code = table.integer(schema.TENSOR["type"], "b")
    if code not in schema.TYPES or len(shape) > MAX_RANK or any(n < 0 for n in shape):
        raise FormatError(f"expected a tensor's type and shape, found type {code}, shape {shape}; the file is damaged")
    dtype, bits = schema.TYPES[code]
    name = table.text(schema.TENSOR["name"])
    buffer = table.integer(schema.TENSOR["buffer"], "I")
    stored = buffers[_index(buffer, len(buffers), "tensor buffer")][1]
    size = (math.prod(shape) * bits + 7) // 8
    sparse = table.table(schema.TENSOR["sparsity"]) is not None
    if stored and bits and not sparse and stored != size:
        raise FormatError(f"expected {size} bytes of {dtype} {shape} in {name!r}, found {stored}; the file is damaged")
    quantization = table.table(schema.TENSOR["quantization"])
    scales = 0
    if quantization is not None:
        scales = quantization.count(schema.QUANTIZATION["scale"], 4)
        dimension = quantization.integer(schema.QUANTIZATION["dimension"])
        if scales > 1 and (not 0 <= dimension < len(shape) or shape[dimension] != scales):
            raise FormatError(f"expected a scale a channel of {name!r} {shape}, found {scales}; the file is damaged")
    return Tensor(name, dtype, shape, scales, stored)


def _signature(table: Table, graphs: tuple[Graph, ...]) -> Signature:
    graph = _index(table.integer(schema.SIGNATURE["subgraph"], "I"), len(graphs), "graph")
    sides = []
    for name in ("inputs", "outputs"):
        side = {}
        for entry in table.tables(schema.SIGNATURE[name]):
            index = entry.integer(schema.TENSOR_MAP["tensor"], "I")
            side[entry.text(schema.TENSOR_MAP["name"])] = _index(index, len(graphs[graph].tensors), "tensor")
        sides.append(side)
    return Signature(table.text(schema.SIGNATURE["key"]), graph, *sides)


def describe(path: str | os.PathLike[str]) -> dict[str, object]:
    """What `sanderling inspect` shows of a TFLite file, Sanderling's or not. Raises StorageError, FormatError."""
    content = read_bytes(path)
    file = parse(content)
    return {
        "format": "tflite",
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "description": file.description,
        "metadata": {name: _shown(file, name) for name in file.metadata},
        "graphs": [_described(file, i) for i in range(len(file.graphs))],
    }


def _shown(file: TfliteFile, name: str) -> str:
    content = file.metadata_bytes(name) or b""
    text = content.rstrip(b"\0 ").decode(errors="replace")
    return text if text.isprintable() and len(text) <= SHOWN else f"{len(content)} bytes"


def _described(file: TfliteFile, index: int) -> dict[str, object]:
    graph = file.graphs[index]
    names = {i: "" for i in (*graph.inputs, *graph.outputs)}
    key = graph.name
    for signature in file.signatures:
        if signature.graph == index:
            key = signature.key
            names |= {i: name for side in (signature.inputs, signature.outputs) for name, i in side.items()}

    def listed(side: tuple[int, ...]) -> list[dict[str, object]]:
        shown = ((names[i] or graph.tensors[i].name, graph.tensors[i]) for i in side)
        return [{"name": name, "dtype": t.dtype, "shape": list(t.shape)} for name, t in shown]

    constants = [t for t in graph.tensors if t.data]
    sizes: dict[str, dict[str, int]] = {}
    for tensor in constants:
        entry = sizes.setdefault(tensor.dtype, {"tensors": 0, "bytes": 0, "per_channel": 0})
        entry["tensors"] += 1
        entry["bytes"] += tensor.data
        entry["per_channel"] += tensor.scales > 1
    return {
        "name": key,
        "inputs": listed(graph.inputs),
        "outputs": listed(graph.outputs),
        "operators": dict(sorted(Counter(graph.operators).items())),
        "constants": sizes,
    }
