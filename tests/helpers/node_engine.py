"""An engine (sanderling.runtime.graph) that runs an ONNX file in another onnxruntime: the one of an npm package."""

from __future__ import annotations

import json
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sanderling.runtime.graph_metadata import parse_document
from sanderling.runtime.graph_spec import CALIBRATION
from sanderling.runtime.onnx_file import KEY, initializer, read_onnx

SCRIPT = Path(__file__).with_name("node_session.js")


class NodeEngine:
    """One node process for one file; `close` ends it."""

    name = "onnxruntime-node"

    def __init__(self, package: Path, path: Path) -> None:
        file = read_onnx(path)
        self.metadata = parse_document(file.metadata[KEY])
        self.config = self.metadata["config"]
        self.channels, self.tokens, self.rows = (self.metadata[key] for key in ("channels", "tokens", "rows"))
        there = {tensor.name for tensor in file.initializers}
        self.stored = {n: initializer(file, n) for n in CALIBRATION} if there >= set(CALIBRATION) else None
        self.version = json.loads((package / "package.json").read_text())["version"]
        command = ["node", str(SCRIPT), str(package), str(path)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.signature, _ = self._receive()

    def run(self, inputs: dict[str, np.ndarray], outputs: Sequence[str]) -> dict[str, np.ndarray]:
        arrays = {name: np.ascontiguousarray(value, "<f4") for name, value in inputs.items()}
        header = {
            "inputs": [{"name": name, "dims": list(a.shape)} for name, a in arrays.items()],
            "outputs": list(outputs),
        }
        text = json.dumps(header).encode()
        self._process.stdin.write(struct.pack("<I", len(text)) + text + b"".join(a.tobytes() for a in arrays.values()))
        self._process.stdin.flush()
        return self._receive()[1]

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=60)
        for pipe in (self._process.stdout, self._process.stderr):
            pipe.close()

    def _receive(self) -> tuple[dict, dict[str, np.ndarray]]:
        pipe = self._process.stdout
        length = pipe.read(4)
        if len(length) < 4:
            raise RuntimeError(f"node ended: {self._process.stderr.read().decode()[-2000:]}")
        header = json.loads(pipe.read(struct.unpack("<I", length)[0]))
        tensors = header["outputs"] if header["outputs"] and isinstance(header["outputs"][0], dict) else []
        found = {}
        for tensor in tensors:
            count = int(np.prod(tensor["dims"], dtype=np.int64))
            found[tensor["name"]] = np.frombuffer(pipe.read(4 * count), "<f4").reshape(tensor["dims"])
        return header, found
