"""An exported file in another Python: tflite-runtime needs NumPy 1, so it cannot be in the environment of the others.

The other Python runs this file with sanderling's runtime on its path and answers calls over pipes, as .npz archives.
"""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from sanderling.errors import DependencyError, FormatError, InputError
from sanderling.runtime.graph import Arrays, Float32
from sanderling.runtime.graph_metadata import parse_document
from sanderling.runtime.graph_spec import output_shapes
from sanderling.runtime.tflite_container import document_text
from sanderling.runtime.tflite_engine import open_engine
from sanderling.runtime.tflite_file import parse, read_bytes


class OtherPython:
    """A .tflite file as `runtime.graph.Engine`, run by the Python `python`, which ends with this object."""

    name = "tflite"

    def __init__(self, python: str | Path, path: Path) -> None:
        file = parse(read_bytes(path))
        self.metadata: Mapping[str, Any] = parse_document(document_text(file))
        self.config = self.metadata["config"]
        self.channels, self.tokens, self.rows = (self.metadata[key] for key in ("channels", "tokens", "rows"))
        self.stored: Arrays | None = None  # the parity suite fits here, so files come without a calibration
        if self.metadata["calibration"] is not None:
            raise FormatError("expected a file without a calibration, found one with it; fit it again")
        self._process = subprocess.Popen(
            [str(python), "-m", __name__, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._sent: dict[str, Float32] = {}
        self._end = weakref.finalize(self, _end, self._process)
        self.version = str(self._received()["version"])

    def run(self, inputs: Arrays, outputs: Sequence[str]) -> dict[str, Float32]:
        """As `Engine.run`."""
        assert self._process.stdin is not None
        # A memory is megabytes and stays the same from call to call.
        fresh = {name: value for name, value in inputs.items() if self._sent.get(name) is not value}
        self._sent.update(fresh)
        _send(self._process.stdin, fresh)
        found = self._received()
        return {name: found[name] for name in outputs}

    def write(self, path: bytes, metadata: Mapping[str, Any], calibration: Arrays) -> None:
        """Not for files: InputError."""
        raise InputError("expected to save where the file was loaded, found another Python's engine; save it there")

    def _received(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        found = _receive(self._process.stdout)
        if found is None:
            raise DependencyError(f"expected a Python with sanderling and tflite-runtime, found {self._process.args!r}")
        return found


def _end(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    process.wait(timeout=60)


def _send(pipe: IO[bytes], arrays: Mapping[str, Any]) -> None:
    content = io.BytesIO()
    np.savez(content, **arrays)
    pipe.write(struct.pack("<Q", content.tell()) + content.getvalue())
    pipe.flush()


def _receive(pipe: IO[bytes]) -> dict[str, Any] | None:
    """The next arrays; None at the end."""
    head = pipe.read(8)
    if len(head) < 8:
        return None
    with np.load(io.BytesIO(pipe.read(struct.unpack("<Q", head)[0]))) as arrays:
        return dict(arrays)


def serve(path: Path) -> None:
    """Answers calls until its input ends."""
    engine = open_engine(path, {"threads": 1})
    outputs, held = list(output_shapes(engine.config)), {}
    _send(sys.stdout.buffer, {"version": np.array(engine.version)})
    while (inputs := _receive(sys.stdin.buffer)) is not None:
        held.update(inputs)
        _send(sys.stdout.buffer, engine.run(held, outputs))


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
