"""OpenVINO on the CPU: float32, bfloat16 by its precision hint, and INT8 by its own quantiser (nncf)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino as ov

from sanderling.bench import onnx_files
from sanderling.bench.entries import WINDOW
from sanderling.bench.peers import Float32

OPTIONS = {
    "PERFORMANCE_HINT": "LATENCY",
    "INFERENCE_NUM_THREADS": "1",
    "NUM_STREAMS": "1",
    "ENABLE_CPU_PINNING": "NO",
}
# The hint for what stays floating point; bf16 is the faster one where the processor has it.
PRECISION = {"fp32": "f32", "bf16": "bf16", "int8": "f32", "int8-bf16": "bf16"}


def prepare(native: Path, variant: str, folder: Path) -> Path:
    onnx = onnx_files.write(native, "fp32", folder)[WINDOW]
    path = folder / f"openvino-{'int8' if variant.startswith('int8') else 'fp32'}.xml"
    if not path.exists():
        model = ov.Core().read_model(onnx)
        if variant.startswith("int8"):
            model = _quantised(model, native)
        ov.save_model(model, path, compress_to_fp16=False)
    return path


def _quantised(model: ov.Model, native: Path) -> ov.Model:
    """Static INT8; products without stored weights and those with a memory stay as they are (onnx_files._products)."""
    import nncf

    keep = [op.get_friendly_name() for op in model.get_ops() if op.get_type_name() == "MatMul" and not _is_layer(op)]
    return nncf.quantize(
        model,
        nncf.Dataset(onnx_files.calibration_windows(native), lambda window: {"x": window}),
        preset=nncf.QuantizationPreset.MIXED,
        model_type=nncf.ModelType.TRANSFORMER,
        fast_bias_correction=True,
        ignored_scope=nncf.IgnoredScope(names=keep),
    )


def _is_layer(op: ov.Node) -> bool:
    weight = op.input_value(1)
    shape = weight.get_partial_shape()
    stored = weight.get_node().get_type_name() == "Constant"
    return (
        stored and len(shape) == 2 and not weight.get_node().get_friendly_name().startswith(("embed", "head", "fusion"))
    )


class Session:
    """The window graph; input and output tensors are shared, not copied."""

    takes_raw = False

    def __init__(self, path: Path, variant: str) -> None:
        options = {**OPTIONS, "INFERENCE_PRECISION_HINT": PRECISION[variant]}
        compiled = ov.Core().compile_model(path, "CPU", options)
        self._options = options
        self._request = compiled.create_infer_request()
        self._x = np.zeros(tuple(compiled.input(0).shape), np.float32)
        self._request.set_input_tensor(ov.Tensor(self._x, shared_memory=True))
        self._scores = self._request.get_output_tensor(0).data

    def settings(self) -> dict[str, str]:
        return {"openvino": ov.__version__, **self._options}

    def window(self, x: Float32) -> Float32:
        self._x[:, 0] = x
        self._request.infer()
        return self._scores

    def fresh_window(self, x: Float32) -> Float32:
        return self.window(x).copy()


def load(path: Path, variant: str, isa: str) -> Session:
    return Session(path, variant)
