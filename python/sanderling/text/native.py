"""A calibrated detector as one native file (docs/text_core.md): the encoder's keys and tensors, and the views."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sanderling.errors import FormatError
from sanderling.text.characters import ORDER, CharacterModel, Table
from sanderling.text.clean import Rules
from sanderling.text.views import GRID, Look, Meaning, Scale
from sanderling.text.words import Vocabulary, Words

if TYPE_CHECKING:
    from sanderling.text.detector import TextDetector

ALIGNMENT = 32
_U32, _STRING, _ARRAY, _F64 = 4, 8, 9, 12  # GGUF's value types
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, _U32: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, _F64: 8}
_TENSOR_TYPES = {"float32": 0, "int8": 24, "int32": 26, "int64": 27, "float64": 28}
VIEWS, TENSORS = "sanderling.text.views.", "views."  # how the detector's keys and tensors begin


def detector_bytes(detector: TextDetector, texts: bool) -> bytes:
    """The file of a detector; texts: with its reference's."""
    keys = [_key(f"{VIEWS}threshold", detector.threshold_)]
    if detector.rules.mask:
        keys.append(_text(f"{VIEWS}masks") + struct.pack("<I", _STRING) + _text(",".join(detector.rules.mask)))
    if detector.head:
        keys.append(_key(f"{VIEWS}head.bias", float(detector.head["bias"][0])))
    for name, scale in detector.scales.items():
        keys.append(_key(f"{VIEWS}{name}.start", scale.start))
        keys.append(_key(f"{VIEWS}{name}.excess", scale.excess))
    tensors = _tensors(detector)
    if texts and detector.texts:
        tensors["texts"] = np.frombuffer("\n".join(detector.texts).encode("utf-8", "replace"), np.int8)
    named = {f"{TENSORS}{name}": np.ascontiguousarray(value) for name, value in tensors.items()}
    return _join(detector.encoder_bytes or _empty(), keys, named)


def detector_parts(data: bytes) -> dict[str, Any]:
    """The fields of `TextDetector` from a file that the engine has accepted."""
    keys, arrays, encoder = _split(data)
    names = [name for name in ("meaning", "characters", "words", "look") if f"{name}.start" in keys]

    def scale(name: str) -> Scale:
        return Scale(arrays[f"{name}.reference"] / GRID, keys[f"{name}.start"], keys[f"{name}.excess"])

    def table(j: int) -> Table:
        grams, count, contexts, total, distinct = (
            arrays[f"characters.{j}.{part}"] for part in ("grams", "count", "contexts", "total", "distinct")
        )
        return grams.view(np.uint64), count, contexts.view(np.uint64), total, distinct

    look = Look(*(arrays[f"look.{name}"] for name in ("centre", "spread", "memory")))
    vocabulary = Vocabulary(arrays["words.hash"].view(np.uint64), arrays["words.idf"])
    head: dict[str, NDArray[Any]] = {name[5:]: value for name, value in arrays.items() if name.startswith("head.")}
    if head:
        head["bias"] = np.array([keys["head.bias"]])
    mask = tuple(filter(None, keys.get("masks", "").split(",")))
    texts = arrays["texts"].tobytes().decode().split("\n") if "texts" in arrays else ()
    meaning = None
    if "meaning" in names:
        meaning = Meaning(*(arrays[f"meaning.{name}"].astype(np.float64) for name in ("metric", "memory")))
    return {
        "rules": Rules(mask=mask),
        "texts": tuple(texts),
        "encoder_bytes": encoder if meaning is not None else b"",
        "meaning": meaning,
        "characters": CharacterModel([table(j) for j in range(ORDER + 1)]),
        "words": Words(
            vocabulary, arrays["words.start"], arrays["words.text"], arrays["words.weight"], len(look.memory)
        ),
        "look": look,
        "scales": {name: scale(name) for name in names},
        "threshold_": keys["threshold"],
        "head": head,
    }


def _tensors(detector: TextDetector) -> dict[str, NDArray[Any]]:
    tensors: dict[str, NDArray[Any]] = {}
    for name, scale in detector.scales.items():
        tensors[f"{name}.reference"] = np.rint(scale.ranks * GRID).astype(np.int32)
    for j, (grams, count, contexts, total, distinct) in enumerate(detector.characters.tables):
        named = {"count": count, "total": total, "distinct": distinct}
        named |= {"grams": grams.view(np.int64), "contexts": contexts.view(np.int64)}
        tensors |= {f"characters.{j}.{part}": values for part, values in named.items()}
    words = detector.words
    tensors |= {"words.hash": words.vocabulary.hash.view(np.int64), "words.idf": words.vocabulary.idf}
    tensors |= {"words.start": words.start, "words.text": words.text, "words.weight": words.weight}
    tensors |= {f"look.{name}": value for name, value in vars(detector.look).items()}
    tensors |= {f"head.{name}": value for name, value in detector.head.items() if name != "bias"}
    if detector.meaning is not None:
        tensors["meaning.metric"] = detector.meaning.whiten.astype(np.float32)
        tensors["meaning.memory"] = detector.meaning.memory.astype(np.float32)
    return tensors


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def _key(name: str, value: float) -> bytes:
    return _text(name) + struct.pack("<Id", _F64, value)


def _empty() -> bytes:
    """A native file without an encoder."""
    architecture = _text("general.architecture") + struct.pack("<I", _STRING) + _text("sanderling")
    version = _text("sanderling.version") + struct.pack("<II", _U32, 1)
    return struct.pack("<4sIQQ", b"GGUF", 3, 0, 2) + architecture + version


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % ALIGNMENT)


@dataclass
class _Layout:
    """Where the parts of a GGUF file lie: keys and tensor descriptions as (name, first byte, end); the values."""

    keys: list[tuple[str, int, int]]
    tensors: list[tuple[str, int, int]]
    stored: int

    @classmethod
    def of(cls, data: bytes) -> _Layout:
        try:
            n_tensors, n_keys = struct.unpack_from("<QQ", data, 8)
            at, parts = 24, []
            for count, skip in ((n_keys, _skip_key), (n_tensors, _skip_tensor)):
                found = []
                for _ in range(count):
                    end = skip(data, at)
                    found.append((_name(data, at), at, end))
                    at = end
                parts.append(found)
        except (struct.error, KeyError, UnicodeDecodeError) as error:
            raise FormatError("expected an encoder's GGUF file, found a damaged one; export it again") from error
        return cls(parts[0], parts[1], at + -at % ALIGNMENT)


def _join(base: bytes, keys: list[bytes], tensors: dict[str, NDArray[Any]]) -> bytes:
    """The GGUF file `base` with more keys and tensors behind its own."""
    layout = _Layout.of(base)
    stored = _padded(base[layout.stored :])
    infos, offset = b"", len(stored)
    for name, values in tensors.items():
        shape = struct.pack(f"<I{values.ndim}Q", values.ndim, *values.shape[::-1])
        infos += _text(name) + shape + struct.pack("<IQ", _TENSOR_TYPES[values.dtype.name], offset)
        offset += values.nbytes + -values.nbytes % ALIGNMENT
    before = [base[first:end] for part in (layout.keys, layout.tensors) for _, first, end in part]
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(layout.tensors) + len(tensors), len(layout.keys) + len(keys))
    head += b"".join([*before[: len(layout.keys)], *keys, *before[len(layout.keys) :], infos])
    return b"".join([_padded(head), stored, *(_padded(values.tobytes()) for values in tensors.values())])


def _split(data: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]], bytes]:
    """What `_join` put together: the detector's keys and tensors without their prefix, and the file without them."""
    layout = _Layout.of(data)
    keys: dict[str, Any] = {}
    for name, first, _ in layout.keys:
        if name.startswith(VIEWS):
            at = first + 8 + len(name.encode())
            text = struct.unpack_from("<I", data, at)[0] == _STRING
            keys[name[len(VIEWS) :]] = _name(data, at + 4) if text else struct.unpack_from("<d", data, at + 4)[0]
    arrays, end = {}, len(data) - layout.stored
    kinds = {number: np.dtype(kind) for kind, number in _TENSOR_TYPES.items()}
    for name, first, _ in layout.tensors:
        if name.startswith(TENSORS):
            at = first + 8 + len(name.encode())
            rank = struct.unpack_from("<I", data, at)[0]
            shape = struct.unpack_from(f"<{rank}Q", data, at + 4)[::-1]
            kind, offset = struct.unpack_from("<IQ", data, at + 4 + 8 * rank)
            values = np.frombuffer(data, kinds[kind], int(np.prod(shape)), layout.stored + offset)
            arrays[name[len(TENSORS) :]] = values.reshape(shape)
            end = min(end, offset)
    own = [[data[a:b] for name, a, b in part if not name.startswith(start)]
           for part, start in ((layout.keys, VIEWS), (layout.tensors, TENSORS))]  # fmt: skip
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(own[1]), len(own[0])) + b"".join([*own[0], *own[1]])
    return keys, arrays, _padded(head) + data[layout.stored : layout.stored + end]


def _name(data: bytes, at: int) -> str:
    return data[at + 8 : at + 8 + struct.unpack_from("<Q", data, at)[0]].decode()


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
    if item != _STRING:
        return at + count * _SIZES[item]
    for _ in range(count):
        at = _skip_text(data, at)
    return at


def _skip_tensor(data: bytes, at: int) -> int:
    at = _skip_text(data, at)
    return at + 4 + 8 * struct.unpack_from("<I", data, at)[0] + 12
