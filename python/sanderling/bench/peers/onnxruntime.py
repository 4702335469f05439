"""onnxruntime: one thread, every optimisation, no spinning, inputs and outputs bound once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime as ort

from sanderling.bench import onnx_files
from sanderling.bench.entries import STREAM, TOKENS, WINDOW
from sanderling.bench.peers import Float32

OPTIONS = {
    "session.intra_op.allow_spinning": "0",
    "session.inter_op.allow_spinning": "0",
}


def prepare(native: Path, variant: str, folder: Path) -> Path:
    files = onnx_files.write(native, variant, folder)
    path = folder / f"onnxruntime-{variant}.json"
    path.write_text(json.dumps({mode: str(file) for mode, file in files.items()}))
    return path


class _Bound:
    """A session whose input arrays are written in place and whose outputs are read in place."""

    def __init__(self, path: Path) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        for key, value in OPTIONS.items():
            options.add_session_config_entry(key, value)
        self.session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.inputs = {i.name: np.zeros(i.shape, np.float32) for i in self.session.get_inputs()}

    def bind(self, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]) -> ort.IOBinding:
        binding = self.session.io_binding()
        for name, array in inputs.items():
            binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array))
        for name, array in outputs.items():
            binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        return binding


class Session:
    """The window graph, the step graph with K/V as inputs and outputs, or both."""

    takes_raw = False

    def __init__(self, files: Mapping[str, Path]) -> None:
        if WINDOW in files:
            graph = _Bound(files[WINDOW])
            self._x, self._scores = graph.inputs["x"], np.zeros(TOKENS, np.float32)
            self._window, self._window_session = graph.bind(graph.inputs, {"score": self._scores}), graph.session
        if STREAM in files:
            self._open_step(files[STREAM])

    def _open_step(self, path: Path) -> None:
        graph = _Bound(path)
        self._step_session = graph.session
        self._patch, self._score = graph.inputs.pop("x"), np.zeros(1, np.float32)
        # Two sets of state, the outputs of one call being the inputs of the next: nothing is copied.
        sets = [graph.inputs, {name: np.zeros_like(a) for name, a in graph.inputs.items()}]
        self._sets, self._at = sets, 0
        self._steps = [
            graph.bind(
                {"x": self._patch, **sets[i]}, {"score": self._score, **{f"{n}_out": a for n, a in sets[1 - i].items()}}
            )
            for i in (0, 1)
        ]
        self.reset()

    def settings(self) -> dict[str, str]:
        return {"onnxruntime": ort.__version__, "threads": "1", **OPTIONS}

    def window(self, x: Float32) -> Float32:
        self._x[:, 0] = x
        self._window_session.run_with_iobinding(self._window)
        return self._scores

    def fresh_window(self, x: Float32) -> Float32:
        return self.window(x).copy()

    def reset(self) -> None:
        self._at, self._fresh = 0, True
        for array in self._sets[0].values():
            array[...] = 0

    def state(self) -> dict[str, np.ndarray]:
        """The inputs of the next step, copied."""
        return {name: array.copy() for name, array in self._sets[self._at].items()}

    def step(self, x: Float32) -> float:
        if self._fresh:
            self._sets[0]["history"][...] = x[0] / (1 + abs(x[0]) / 8)
            self._fresh = False
        self._patch[:, 0] = x
        self._step_session.run_with_iobinding(self._steps[self._at])
        self._at = 1 - self._at
        return float(self._score[0])


def load(path: Path, variant: str, isa: str) -> Session:
    return Session({mode: Path(file) for mode, file in json.loads(path.read_text()).items()})
