"""ExecuTorch with XNNPACK, float32."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import torch
from executorch.runtime import Runtime

from sanderling.bench.graph import WindowGraph
from sanderling.bench.peers import Float32


def prepare(native: Path, variant: str, folder: Path) -> Path:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    graph = WindowGraph(native)
    path = folder / f"executorch-{variant}.pte"
    with torch.no_grad():
        exported = torch.export.export(graph, graph.example(), strict=False)
        program = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()]).to_executorch()
    path.write_bytes(program.buffer)
    return path


class Session:
    """The window graph; the thread pool of ExecuTorch has as many threads as the process has processors: one."""

    takes_raw = False

    def __init__(self, path: Path) -> None:
        torch.set_num_threads(1)
        self._method = Runtime.get().load_program(path).load_method("forward")

    def settings(self) -> dict[str, str]:
        return {"executorch": version("executorch"), "backend": "xnnpack"}

    def window(self, x: Float32) -> Float32:
        return self._method.execute([torch.from_numpy(x)[:, None]])[0].numpy()

    def fresh_window(self, x: Float32) -> Float32:
        return self.window(x).copy()


def load(path: Path, variant: str, isa: str) -> Session:
    return Session(path)
