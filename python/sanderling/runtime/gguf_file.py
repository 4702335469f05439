"""What a GGUF file holds, for a look: keys and tensors, every length checked. The core's reader decides what runs."""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path
from typing import Any

from sanderling.errors import FormatError, StorageError, VersionError

MAX_COUNT = 1 << 20  # keys, tensors
MAX_ITEMS = 1 << 24  # of an array
# GGUF's value types: number -> struct format; 8 is a string, 9 an array
_SCALARS = {0: "B", 1: "b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9
# tensor types that have whole elements: number -> name, bytes an element
_TENSORS = {
    0: ("float32", 4), 1: ("float16", 2), 24: ("int8", 1), 25: ("int16", 2), 26: ("int32", 4), 27: ("int64", 8),
    28: ("float64", 8), 30: ("bfloat16", 2),
}  # fmt: skip
SHOWN = 16  # items of an array


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def bytes(self, n: int) -> bytes:
        if n > len(self.data) - self.at:
            raise FormatError(
                f"expected {n} bytes at {self.at} of the GGUF file, found its end; copy or export it again"
            )
        self.at += n
        return self.data[self.at - n : self.at]

    def scalar(self, form: str) -> Any:
        return struct.unpack(form, self.bytes(struct.calcsize(form)))[0]

    def count(self, most: int, what: str) -> int:
        n = int(self.scalar("<Q"))
        if n > most:
            raise FormatError(f"expected at most {most} {what} in the GGUF file, found {n}; it is damaged")
        return n

    def text(self) -> str:
        return self.bytes(self.count(len(self.data), "characters")).decode(errors="replace")

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.text()
        if kind in _SCALARS:
            return self.scalar(_SCALARS[kind])
        if kind != _ARRAY:
            raise FormatError(f"expected a GGUF value type, found {kind}; the file is damaged")
        item, n = self.scalar("<I"), self.count(MAX_ITEMS, "items")
        if item == _ARRAY:
            raise FormatError("expected arrays of numbers or texts in the GGUF file, found nested ones; it is damaged")
        values = [self.value(item) for _ in range(n)]
        return values if n <= SHOWN else [*values[:SHOWN], f"... {n} in all"]


def describe(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What `sanderling inspect` shows of a GGUF file, Sanderling's or not. FormatError, VersionError, StorageError."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise StorageError(f"cannot read {os.fspath(path)}: {error.strerror or error}") from error
    reader = _Reader(data)
    if reader.bytes(4) != b"GGUF":
        raise FormatError("expected a GGUF file, found another; export it again")
    version = reader.scalar("<I")
    if version != 3:
        raise VersionError(f"expected GGUF version 3, found {version}; export the model again")
    n_tensors, n_keys = reader.count(MAX_COUNT, "tensors"), reader.count(MAX_COUNT, "keys")
    keys = {}
    for _ in range(n_keys):
        name = reader.text()
        keys[name] = reader.value(reader.scalar("<I"))
    tensors = [_tensor(reader) for _ in range(n_tensors)]
    return {
        "format": "gguf",
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "metadata": keys,
        "graphs": [
            {"name": str(keys.get("general.architecture", "")), "inputs": [], "outputs": [], "operators": {},
             "constants": by_dtype(tensors), "tensors": tensors}
        ],
    }  # fmt: skip


def by_dtype(tensors: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """dtype -> number of tensors and their bytes."""
    sizes: dict[str, dict[str, int]] = {}
    for tensor in tensors:
        entry = sizes.setdefault(tensor["dtype"], {"tensors": 0, "bytes": 0})
        entry["tensors"] += 1
        entry["bytes"] += tensor["bytes"]
    return sizes


def _tensor(reader: _Reader) -> dict[str, Any]:
    name, rank = reader.text(), reader.scalar("<I")
    if rank > 8:
        raise FormatError(f"expected tensors of at most 8 dimensions in the GGUF file, found {rank}; it is damaged")
    shape = [int(reader.scalar("<Q")) for _ in range(rank)][::-1]
    kind, _ = reader.scalar("<I"), reader.scalar("<Q")
    dtype, size = _TENSORS.get(kind, (f"type {kind}", 0))
    for n in shape:
        size *= n
    if size > len(reader.data):
        raise FormatError(f"expected {name!r} to fit in the GGUF file, found {size} bytes of it; the file is truncated")
    return {"name": name, "dtype": dtype, "shape": shape, "bytes": size}
