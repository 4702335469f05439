"""How a Sanderling .tflite file carries what TFLite doesn't know: document, digest, calibration.

    metadata "sanderling"         the JSON document (docs/runtimes.md), padded with spaces, so that it can be replaced
    metadata "sanderling.sha256"  32 bytes: SHA-256 of the whole file with these bytes zero
    after the FlatBuffer          a zip archive, TFLite's convention for associated files: a calibration's tensors

The digest finds damage before an interpreter sees the file: interpreters trust what they load. It is no signature: for
files from strangers use the native format, whose loader assumes an enemy.
"""

from __future__ import annotations

import hashlib
import io
import math
import struct
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from sanderling.errors import FormatError, InputError
from sanderling.runtime.graph_metadata import write_document
from sanderling.runtime.graph_spec import Shape
from sanderling.runtime.tflite_file import TfliteFile, parse

DOCUMENT = "sanderling"
DIGEST = "sanderling.sha256"
DIGEST_BYTES = 32
_LOCATION_BYTES = 64  # of a channel's location and scale in the document
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same calibration gives the same bytes


def reserved(document: Mapping[str, Any], channels: int) -> int:
    """Bytes to keep for a document whose calibration will change."""
    return len(write_document({**document, "calibration": None}).encode()) + 512 + _LOCATION_BYTES * channels


def document_text(file: TfliteFile) -> str:
    """The JSON document. FormatError when there is none or the file is damaged."""
    for name in (DOCUMENT, DIGEST):
        if name not in file.metadata:
            raise FormatError(f"expected the metadata {name!r}, found {sorted(file.metadata)}; not a Sanderling file")
    start, size = file.metadata[DIGEST]
    if size != DIGEST_BYTES:
        raise FormatError(f"expected {DIGEST_BYTES} bytes of {DIGEST!r}, found {size}; the file is damaged")
    if bytes(file.data[start : start + size]) != _digest(file.data, start):
        raise FormatError("expected the file's own SHA-256, found another; the file is damaged, copy it again")
    try:
        return (file.metadata_bytes(DOCUMENT) or b"").decode().rstrip()
    except UnicodeDecodeError as error:
        raise FormatError(f"expected UTF-8 in {DOCUMENT!r}, found {error.reason}; export the model again") from error


def stored_calibration(file: TfliteFile, shapes: Mapping[str, Shape]) -> dict[str, np.ndarray]:
    """The calibration's tensors, float32 with these shapes, from the archive. Raises FormatError."""
    found = {}
    try:
        with zipfile.ZipFile(io.BytesIO(file.data)) as archive:
            for name, shape in shapes.items():
                with archive.open(f"{name}.npy") as member:
                    found[name] = _read_array(member, name, shape)
    except FormatError:
        raise
    except (zipfile.BadZipFile, KeyError, OSError, NotImplementedError, EOFError, ValueError, zlib.error) as error:
        reason = " ".join(str(error).split())[:100]
        raise FormatError(f"expected a calibration after the graph, found none ({reason}); calibrate again") from error
    return found


def _read_array(member: Any, name: str, shape: Shape) -> np.ndarray:
    header, size = _header(shape), 4 * math.prod(int(n) for n in shape)
    content = member.read(len(header) + size + 1)  # what an archive says of its sizes is not to be trusted
    if len(content) != len(header) + size or not content.startswith(header):
        raise FormatError(f"expected {name}.npy of float32 {shape} in the file's archive, found other; calibrate again")
    values = np.frombuffer(content, "<f4", offset=len(header)).astype(np.float32).reshape(shape)
    if not np.isfinite(values).all():
        raise FormatError(f"expected finite numbers in {name}, found others; calibrate again")
    return values


def _header(shape: Shape) -> bytes:
    """What an .npy file of float32 begins with (NumPy's format 1.0), the same from every NumPy."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {tuple(int(n) for n in shape)}, }}"
    length = -(-(len(text) + 11) // 64) * 64 - 10
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", length) + text.ljust(length - 1).encode() + b"\n"


def sealed(content: bytes, document: Mapping[str, Any], calibration: Mapping[str, np.ndarray]) -> bytes:
    """The file's bytes with another document and calibration (empty: none), and the digest of that.

    InputError when the document does not fit into the bytes that the export kept for it.
    """
    file = parse(content)
    start, size = file.metadata[DOCUMENT]
    text = write_document(document).encode()
    if len(text) > size:
        raise InputError(f"expected a document of at most {size} bytes, found {len(text)}; export the model again")
    graph = bytearray(content[: _graph_size(content)])
    graph[start : start + size] = text.ljust(size)
    if calibration:
        graph += _archive(calibration)
    at = file.metadata[DIGEST][0]
    graph[at : at + DIGEST_BYTES] = _digest(memoryview(graph), at)
    return bytes(graph)


def _graph_size(content: bytes) -> int:
    """Bytes of the FlatBuffer: all, or what comes before the archive."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return min(entry.header_offset for entry in archive.infolist())
    except (zipfile.BadZipFile, ValueError):
        return len(content)


def _archive(calibration: Mapping[str, np.ndarray]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, values in calibration.items():
            entry = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED  # absent rows of the memory are many equal ones
            archive.writestr(entry, _header(values.shape) + values.astype("<f4").tobytes())
    return out.getvalue()


def _digest(data: memoryview, at: int) -> bytes:
    total = hashlib.sha256(data[:at])
    total.update(bytes(DIGEST_BYTES))
    total.update(data[at + DIGEST_BYTES :])
    return total.digest()
