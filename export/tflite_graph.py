"""The torch module as a TFLite graph, by litert-torch."""

from __future__ import annotations

import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

import torch
from sanderling.export.network import ExportNetwork
from sanderling.export.reading import NativeModel
from torch import Tensor, nn

from sanderling.extras import require
from sanderling.runtime.graph_spec import input_shapes
from sanderling.runtime.tflite_engine import SEQUENCE, STEP

NEVER = -1e9  # below every activation


class PlainNorm(nn.Module):
    """A layer norm whose gain the converter does not fold into the next matrix.

    It does so in the sequence graph alone: the two graphs would have different INT8 weights, neither the trained ones.
    """

    floor: Tensor

    def __init__(self, norm: nn.LayerNorm) -> None:
        super().__init__()
        self.norm = norm
        self.register_buffer("floor", torch.tensor(NEVER))

    def forward(self, x: Tensor) -> Tensor:
        return torch.maximum(self.norm(x), self.floor)


def float_graph(native: NativeModel, channels: int, tokens: int, rows: tuple[int, int]) -> bytes:
    """The FP32 file of both graphs, as litert-torch leaves it."""
    litert = require("litert_torch", "tflite-export")
    network = ExportNetwork(native)
    _without_folding(network)

    def example(n: int) -> tuple[Tensor, ...]:
        shapes = input_shapes(native.config, channels, n, *rows).values()
        return tuple(torch.full([int(size) for size in shape], 0.5) for shape in shapes)

    with redirect_stdout(sys.stderr), tempfile.TemporaryDirectory() as folder:  # it tells its progress
        model = litert.signature(STEP, network, example(1)).signature(SEQUENCE, network, example(tokens)).convert()
        path = Path(folder) / "model.tflite"
        model.export(str(path))
        return path.read_bytes()


def _without_folding(module: nn.Module) -> None:
    for name, child in list(module.named_children()):
        if isinstance(child, nn.LayerNorm):
            setattr(module, name, PlainNorm(child))
        else:
            _without_folding(child)
