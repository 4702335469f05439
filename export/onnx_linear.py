"""How a quantised layer is spelled in ONNX: float32, or INT8 with one activation scale a row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sanderling.export.onnx_builder import Builder, Value
from sanderling.export.reading import NativeModel

LEVELS = np.float32(127)
TINY = np.float32(2.0**-100)
ZERO = np.uint8(128)


class Linear:
    """float32: the file's weights, dequantised."""

    precision = "fp32"

    def __init__(self, builder: Builder, native: NativeModel) -> None:
        self.b, self.native = builder, native

    def __call__(self, x: Value, name: str, columns: int | None = None) -> Value:
        """x (..., K) through the layer `name` (N, K); columns: its first ones only."""
        return self.several(x, [name], columns)[0]

    def several(self, x: Value, names: Sequence[str], columns: int | None = None) -> list[Value]:
        """The same x through several layers."""
        return [self.product(x, name, columns) for name in names]

    def product(self, x: Value, name: str, columns: int | None) -> Value:
        weight = self.b.constant(np.ascontiguousarray(self.native.weight(name)[:, :columns].T), f"{name}.weight")
        return x @ weight + self.b.constant(self.native.tensors[f"{name}.bias"], f"{name}.bias")


class RowLinear(Linear):
    """INT8, the native engine's arithmetic: a row's largest magnitude sets its scale, so no row depends on another.

    Both factors are unsigned with zero point 128: onnxruntime's kernels for unsigned by signed saturate on processors
    with AVX2 and without VNNI.
    """

    precision = "int8"

    def several(self, x: Value, names: Sequence[str], columns: int | None = None) -> list[Value]:
        """The same x, quantised once, through several layers."""
        b = self.b
        largest = b.op("Max", b.reduce("Max", b.op("Abs", x), -1, keepdims=True), np.array(TINY))
        q = b.op("Cast", b.op("Round", x * (np.array(LEVELS) / largest)) + 128.0, to=2)
        scale = largest / np.array(LEVELS)
        return [self.rows(q, scale, name, columns) for name in names]

    def rows(self, q: Value, scale: Value, name: str, columns: int | None) -> Value:
        t = self.native.tensors
        integers = t[f"{name}.weight"][:, :columns].T.astype(np.int16) + int(ZERO)
        weight = self.b.constant(integers.astype(np.uint8), f"{name}.weight")
        zero = np.array(ZERO)
        total = self.b.op("Cast", self.b.op("MatMulInteger", q, weight, zero, zero), to=1)
        steps = self.b.constant(t[f"{name}.scale"], f"{name}.scale")
        return total * steps * scale + self.b.constant(t[f"{name}.bias"], f"{name}.bias")


PRECISIONS: dict[str, type[Linear]] = {"fp32": Linear, "int8": RowLinear}
