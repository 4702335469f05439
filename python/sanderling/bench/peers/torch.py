"""torch, eager and compiled (inductor)."""

from __future__ import annotations

from pathlib import Path

import torch

from sanderling.bench.graph import StepGraph, WindowGraph, first_history
from sanderling.bench.peers import Float32


def prepare(native: Path, variant: str, folder: Path) -> Path:
    return native


class TorchSession:
    """float32 on one thread, in inference mode."""

    takes_raw = False

    def __init__(self, path: Path, compiled: bool) -> None:
        torch.set_num_threads(1)
        self._graph = StepGraph(path)
        window = WindowGraph(path)
        self._window = torch.compile(window, fullgraph=True, dynamic=False) if compiled else window
        self._step = torch.compile(self._graph, fullgraph=True, dynamic=False) if compiled else self._graph
        self._compiled = compiled
        self.reset()

    def settings(self) -> dict[str, str]:
        return {"torch": torch.__version__, "compile": "inductor" if self._compiled else "none"}

    @torch.inference_mode()
    def window(self, x: Float32) -> Float32:
        return self._window(torch.from_numpy(x)[:, None]).numpy()

    fresh_window = window

    def reset(self) -> None:
        self._state: list[torch.Tensor] = []

    @torch.inference_mode()
    def step(self, x: Float32) -> float:
        if not self._state:
            self._state = [torch.zeros(shape) for shape in self._graph.state.values()]
            at = list(self._graph.state).index("history")
            self._state[at] = torch.from_numpy(first_history(x, self._state[at].shape[1]))
        score, *self._state = self._step(torch.from_numpy(x)[:, None], *self._state)
        return float(score)


def load(path: Path, variant: str, isa: str) -> TorchSession:
    return TorchSession(path, variant == "compiled")
