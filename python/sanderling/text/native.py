"""A calibrated detector as one native file (docs/text_core.md): the encoder's keys and tensors, and the views."""

from __future__ import annotations

import hashlib
import os
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sanderling.errors import FormatError, InputError
from sanderling.files import write_file
from sanderling.text.views import GRID

if TYPE_CHECKING:
    from sanderling.text.detector import TextDetector

ALIGNMENT = 32
_U32, _STRING, _ARRAY, _F64 = 4, 8, 9, 12  # GGUF's value types
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, _U32: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, _F64: 8}
_TENSOR_TYPES = {"float32": 0, "int32": 26, "int64": 27, "float64": 28}


def write_detector(path: str | os.PathLike[str], detector: TextDetector) -> str:
    """See `TextDetector.export`."""
    if "idf" in detector.head:
        raise InputError("expected few labels behind an encoder, found a vocabulary; calibrate with --encoder")
    keys = [_key("sanderling.text.views.threshold", detector.threshold_)]
    if detector.rules.mask:
        masks = _text("sanderling.text.views.masks") + struct.pack("<I", _STRING) + _text(",".join(detector.rules.mask))
        keys.append(masks)
    if detector.head:
        keys.append(_key("sanderling.text.views.head.bias", float(detector.head["bias"][0])))
    for name, scale in detector.scales.items():
        keys.append(_key(f"sanderling.text.views.{name}.start", scale.start))
        keys.append(_key(f"sanderling.text.views.{name}.excess", scale.excess))
    data = _join(detector.encoder_bytes or _empty(), keys, _tensors(detector))
    write_file(path, lambda file: file.write(data))
    return hashlib.sha256(data).hexdigest()


def _tensors(detector: TextDetector) -> dict[str, NDArray[Any]]:
    tensors: dict[str, NDArray[Any]] = {}
    for name, scale in detector.scales.items():
        tensors[f"{name}.reference"] = np.rint(scale.ranks * GRID).astype(np.int32)
    for j, (grams, count, contexts, total, distinct) in enumerate(detector.characters.tables):
        named = {"count": count, "total": total, "distinct": distinct}
        named |= {"grams": grams.view(np.int64), "contexts": contexts.view(np.int64)}
        tensors |= {f"characters.{j}.{part}": values for part, values in named.items()}
    tensors |= {f"look.{name}": value for name, value in vars(detector.look).items()}
    if detector.head:
        tensors["head.weight"] = detector.head["weight"].astype(np.float64)
        tensors |= {f"head.{name}": detector.head[name].astype(np.float32) for name in ("normal", "anomalous")}
    if detector.meaning is not None:
        tensors["meaning.metric"] = detector.meaning.whiten.astype(np.float32)
        tensors["meaning.memory"] = detector.meaning.memory.astype(np.float32)
    return {f"views.{name}": np.ascontiguousarray(value) for name, value in tensors.items()}


def _text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def _key(name: str, value: float) -> bytes:
    return _text(name) + struct.pack("<Id", _F64, value)


def _empty() -> bytes:
    """A native file without an encoder."""
    architecture = _text("general.architecture") + struct.pack("<I", _STRING) + _text("sanderling")
    version = _text("sanderling.version") + struct.pack("<II", _U32, 1)
    return struct.pack("<4sIQQ", b"GGUF", 3, 0, 2) + architecture + version


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % ALIGNMENT)


def _join(base: bytes, keys: list[bytes], tensors: dict[str, NDArray[Any]]) -> bytes:
    """The GGUF file `base` with more keys and tensors behind its own."""
    try:
        n_tensors, n_keys = struct.unpack_from("<QQ", base, 8)
        first = 24
        keys_end = at = _skip(base, first, n_keys, _skip_key)
        at = _skip(base, at, n_tensors, _skip_tensor)
    except (struct.error, KeyError) as error:
        raise FormatError("expected an encoder's GGUF file, found a damaged one; export it again") from error
    stored = _padded(base[at + -at % ALIGNMENT :])
    infos, offset = b"", len(stored)
    for name, values in tensors.items():
        shape = struct.pack(f"<I{values.ndim}Q", values.ndim, *values.shape[::-1])
        infos += _text(name) + shape + struct.pack("<IQ", _TENSOR_TYPES[values.dtype.name], offset)
        offset += len(values.tobytes()) + -values.nbytes % ALIGNMENT
    head = struct.pack("<4sIQQ", b"GGUF", 3, n_tensors + len(tensors), n_keys + len(keys))
    head += base[first:keys_end] + b"".join(keys) + base[keys_end:at] + infos
    return b"".join([_padded(head), stored, *(_padded(values.tobytes()) for values in tensors.values())])


def _skip(data: bytes, at: int, times: int, one: Any) -> int:
    for _ in range(times):
        at = one(data, at)
    return at


def _skip_text(data: bytes, at: int) -> int:
    return at + 8 + struct.unpack_from("<Q", data, at)[0]


def _skip_key(data: bytes, at: int) -> int:
    at = _skip_text(data, at)
    kind, at = struct.unpack_from("<I", data, at)[0], at + 4
    if kind == _STRING:
        return _skip_text(data, at)
    if kind != _ARRAY:
        return at + _SIZES[kind]
    item, count = struct.unpack_from("<IQ", data, at)
    at += 12
    return _skip(data, at, count, _skip_text) if item == _STRING else at + count * _SIZES[item]


def _skip_tensor(data: bytes, at: int) -> int:
    at = _skip_text(data, at)
    return at + 4 + 8 * struct.unpack_from("<I", data, at)[0] + 12
