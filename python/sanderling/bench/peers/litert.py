"""LiteRT with XNNPACK (its default on a CPU), float32 and INT8."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from importlib.metadata import version
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from sanderling.bench import onnx_files
from sanderling.bench.peers import Float32

# The matrices that are INT8 in the native file; the names are those of sanderling.export.network.
LAYERS = r".*Linear_(qkv|out|ffn_up|ffn_down|graph_qkv|graph_out|metric|fc1|fc2).*"


def prepare(native: Path, variant: str, folder: Path) -> Path:
    path = folder / f"litert-{variant}.tflite"
    plain = folder / "litert-fp32.tflite"
    with redirect_stdout(sys.stderr):
        if not plain.exists():
            _convert(native, plain)
        if variant != "fp32":
            path.write_bytes(_quantised(plain, variant, native))
    return path


def _convert(native: Path, path: Path) -> None:
    import litert_torch

    from sanderling.bench.graph import WindowGraph

    graph = WindowGraph(native)
    litert_torch.convert(graph, graph.example()).export(str(path))


def _quantised(plain: Path, variant: str, native: Path) -> bytes:
    """dynamic: the kernel quantises each row of activations; static: ranges from calibration windows."""
    from ai_edge_quantizer import quantizer
    from ai_edge_quantizer.qtyping import QuantGranularity, TFLOperationName

    chosen = quantizer.Quantizer(str(plain))
    matrices = (LAYERS, TFLOperationName.FULLY_CONNECTED)
    if variant == "int8-dynamic":
        chosen.add_dynamic_config(*matrices, 8, QuantGranularity.CHANNELWISE)
        return bytes(chosen.quantize().quantized_model)
    chosen.add_static_config(*matrices, activation_num_bits=8, weight_num_bits=8)
    interpreter = Interpreter(str(plain))
    ((key, signature),) = interpreter.get_signature_list().items()
    inputs = [{signature["inputs"][0]: window} for window in onnx_files.calibration_windows(native)]
    return bytes(chosen.quantize(chosen.calibrate({key: inputs})).quantized_model)


class Session:
    """The window graph; the input is written in place, the output read in place."""

    takes_raw = False

    def __init__(self, path: Path) -> None:
        self._interpreter = Interpreter(str(path), num_threads=1)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.tensor(self._interpreter.get_input_details()[0]["index"])
        self._output = self._interpreter.tensor(self._interpreter.get_output_details()[0]["index"])

    def settings(self) -> dict[str, str]:
        return {"ai-edge-litert": version("ai-edge-litert"), "delegate": "XNNPACK", "threads": "1"}

    def window(self, x: Float32) -> Float32:
        self._input()[:, 0] = x
        self._interpreter.invoke()
        return self._output()

    def fresh_window(self, x: Float32) -> Float32:
        return np.array(self.window(x))


def load(path: Path, variant: str, isa: str) -> Session:
    return Session(path)
