"""A detector's file as a zip of parts: how it is written, and read without belief."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence

MOST_BYTES = 1 << 29  # of a part
# What a damaged zip, or parts of others than ours, raise.
DAMAGED = (zipfile.BadZipFile, zlib.error, ValueError, KeyError, TypeError, OSError, EOFError, RuntimeError)


def zip_bytes(parts: Mapping[str, bytes]) -> bytes:
    """A zip, the same bytes each time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in parts.items():
            file.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


def read_parts(file: zipfile.ZipFile, names: Sequence[str]) -> list[bytes]:
    """The parts of these names. Raises what is in `DAMAGED`, ValueError for a part above `MOST_BYTES`."""
    if any(file.getinfo(name).file_size > MOST_BYTES for name in names):
        raise ValueError("a part is too large")
    return [file.read(name) for name in names]
