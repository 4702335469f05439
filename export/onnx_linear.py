"""How a quantised layer is spelled in ONNX: float32, or INT8 with one activation scale a row."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from sanderling.export.onnx_builder import Builder, Value
from sanderling.export.reading import NativeModel

LEVELS = np.float32(127)
TINY = np.float32(2.0**-100)
ZERO = np.uint8(128)


Gains = Mapping[int, float]


class Linear:
    """float32: the file's weights, dequantised."""

    precision = "fp32"

    def __init__(self, builder: Builder, native: NativeModel) -> None:
        self.b, self.native = builder, native

    def __call__(self, x: Value, *names: str, columns: int | None = None, gains: Gains | None = None) -> Value:
        """x (rows, K) through the layers `names` (N_i, K), their outputs side by side: (rows, sum N_i).

        columns: the layers' first ones only. gains: end -> factor of the outputs up to it.
        """
        tensors = self.native.tensors
        weight = np.concatenate([tensors[f"{name}.weight"][:, :columns] for name in names])
        scale = np.concatenate([tensors[f"{name}.scale"] for name in names])
        bias = np.concatenate([tensors[f"{name}.bias"] for name in names])
        gain, start = np.ones(len(weight), np.float32), 0
        for end, factor in (gains or {}).items():
            gain[start:end], start = factor, end
        return self.product(x, "+".join(names), weight, scale * gain, bias * gain)

    def product(self, x: Value, name: str, weight: np.ndarray, scale: np.ndarray, bias: np.ndarray) -> Value:
        """weight (N, K) int8, scale and bias (N,) -> (rows, N)."""
        b = self.b
        dense = b.constant(weight.astype(np.float32) * scale[:, None], f"{name}.weight")
        return b.op("Gemm", x, dense, b.constant(bias, f"{name}.bias"), transB=1)


class RowLinear(Linear):
    """INT8, the native engine's arithmetic: a row's largest magnitude sets its scale, so no row depends on another.

    Both factors are unsigned with zero point 128: onnxruntime's kernels for unsigned by signed saturate on processors
    with AVX2 and without VNNI.
    """

    precision = "int8"

    def product(self, x: Value, name: str, weight: np.ndarray, scale: np.ndarray, bias: np.ndarray) -> Value:
        """As `Linear.product`, exact integers between the roundings."""
        b = self.b
        largest = b.op("Max", b.reduce("Max", b.op("Abs", x), -1, keepdims=True), np.array(TINY))
        q = b.op("Cast", b.op("Round", x * (np.array(LEVELS) / largest)) + 128.0, to=2)
        integers = b.constant((weight.T.astype(np.int16) + int(ZERO)).astype(np.uint8), f"{name}.weight")
        zero = np.array(ZERO)
        total = b.op("Cast", b.op("MatMulInteger", q, integers, zero, zero), to=1)
        return total * b.constant(scale / LEVELS, f"{name}.scale") * largest + b.constant(bias, f"{name}.bias")


PRECISIONS: dict[str, type[Linear]] = {"fp32": Linear, "int8": RowLinear}
