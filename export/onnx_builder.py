"""Emits ONNX nodes: values with operators, constants stored once, and the spellings that differ between opsets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sanderling.extras import require

END = np.iinfo(np.int64).max
INV_SQRT_2PI_2 = 1.59576912160573  # 2 sqrt(2 / pi): GELU's tanh form is x sigmoid(this (x + 0.044715 x^3))


class Value:
    """A tensor of the graph under construction."""

    def __init__(self, builder: Builder, name: str) -> None:
        self.builder, self.name = builder, name

    def __add__(self, other: Operand) -> Value:
        return self.builder.op("Add", self, other)

    def __sub__(self, other: Operand) -> Value:
        return self.builder.op("Sub", self, other)

    def __mul__(self, other: Operand) -> Value:
        return self.builder.op("Mul", self, other)

    def __truediv__(self, other: Operand) -> Value:
        return self.builder.op("Div", self, other)

    def __matmul__(self, other: Operand) -> Value:
        return self.builder.op("MatMul", self, other)

    def __rsub__(self, other: Operand) -> Value:
        return self.builder.op("Sub", other, self)

    def __rtruediv__(self, other: Operand) -> Value:
        return self.builder.op("Div", other, self)

    __radd__ = __add__
    __rmul__ = __mul__


Operand = Value | float | np.ndarray


class Builder:
    """Collects nodes and initialisers of one graph.

    opset: 13 or later; from 17 LayerNormalization, from 20 Gelu are single nodes.
    """

    def __init__(self, opset: int) -> None:
        self.helper = require("onnx", "export").helper
        self.numpy_helper = require("onnx", "export").numpy_helper
        self.opset = opset
        self.nodes: list[Any] = []
        self.initializers: dict[str, np.ndarray] = {}
        self._stored: dict[tuple, str] = {}
        self._count = 0

    def value(self, name: str) -> Value:
        """A value that exists by name: a graph's input."""
        return Value(self, name)

    def constant(self, array: Any, name: str | None = None) -> Value:
        """An initialiser; equal ones are stored once. A Python float becomes a float32 scalar."""
        a = np.asarray(array, np.float32) if isinstance(array, float) else np.ascontiguousarray(array)
        a = a.reshape(np.shape(array))  # ascontiguousarray makes scalars vectors
        key = (a.dtype.str, a.shape, a.tobytes())
        if key not in self._stored:
            self._stored[key] = name or f"constant_{len(self._stored)}"
            self.initializers[self._stored[key]] = a
        return Value(self, self._stored[key])

    def op(self, kind: str, *inputs: Operand, outputs: Sequence[str] | None = None, **attributes: Any) -> Value:
        """Adds a node; numbers and arrays among the inputs become constants. Returns its first output."""
        names = [(v if isinstance(v, Value) else self.constant(v)).name for v in inputs]
        if outputs is None:
            self._count += 1
            outputs = [f"{kind.lower()}_{self._count}"]
        self.nodes.append(self.helper.make_node(kind, names, list(outputs), name=f"node_{outputs[0]}", **attributes))
        return Value(self, outputs[0])

    def named(self, value: Value, name: str) -> Value:
        """`value` under a name of its own: a graph's output."""
        return self.op("Identity", value, outputs=[name])

    def reshape(self, x: Value, *shape: int) -> Value:
        """0 keeps a dimension, -1 takes the rest."""
        return self.op("Reshape", x, np.array(shape, np.int64))

    def transpose(self, x: Value, *order: int) -> Value:
        """Permutes the axes."""
        return self.op("Transpose", x, perm=list(order))

    def cat(self, parts: Sequence[Value], axis: int) -> Value:
        """Concatenates."""
        return self.op("Concat", *parts, axis=axis)

    def slice(self, x: Value, axis: int, start: int, end: int = END) -> Value:
        """x[start:end] along an axis; a negative bound counts from the end."""
        bounds = (np.array([i], np.int64) for i in (start, end, axis))
        return self.op("Slice", x, *bounds)

    def split(self, x: Value, axis: int, *sizes: int) -> list[Value]:
        """Parts of `sizes` along an axis."""
        self._count += 1
        names = [f"split_{self._count}_{i}" for i in range(len(sizes))]
        self.op("Split", x, np.array(sizes, np.int64), outputs=names, axis=axis)
        return [self.value(name) for name in names]

    def reduce(self, kind: str, x: Value, axis: int, keepdims: bool = False) -> Value:
        """Sum, Mean or Max over one axis."""
        if kind == "Sum" or self.opset >= 18:
            return self.op(f"Reduce{kind}", x, np.array([axis], np.int64), keepdims=int(keepdims))
        return self.op(f"Reduce{kind}", x, axes=[axis], keepdims=int(keepdims))

    def squeeze(self, x: Value, axis: int) -> Value:
        """Drops a dimension of 1."""
        return self.op("Squeeze", x, np.array([axis], np.int64))

    def unsqueeze(self, x: Value, axis: int) -> Value:
        """Adds a dimension of 1."""
        return self.op("Unsqueeze", x, np.array([axis], np.int64))

    def clip(self, x: Operand, least: float, most: float) -> Value:
        """Clamps."""
        return self.op("Clip", x, float(least), float(most))

    def relu(self, x: Value) -> Value:
        """max(x, 0)."""
        return self.op("Relu", x)

    def append_one(self, x: Value, rank: int) -> Value:
        """x with one more column of ones."""
        pads = np.zeros(2 * rank, np.int64)
        pads[-1] = 1
        return self.op("Pad", x, pads, 1.0)

    def layer_norm(self, x: Value, gain: Value, bias: Value, eps: float = 1e-5) -> Value:
        """Over the last axis."""
        if self.opset >= 17:
            return self.op("LayerNormalization", x, gain, bias, axis=-1, epsilon=eps)
        centred = x - self.reduce("Mean", x, -1, keepdims=True)
        variance = self.reduce("Mean", centred * centred, -1, keepdims=True)
        return centred / self.op("Sqrt", variance + eps) * gain + bias

    def gelu(self, x: Value) -> Value:
        """Tanh form."""
        if self.opset >= 20:
            return self.op("Gelu", x, approximate="tanh")
        u = (x * x * 0.044715 + 1.0) * x
        return x * self.op("Sigmoid", u * INV_SQRT_2PI_2)

    def model(
        self,
        inputs: dict[str, tuple],
        outputs: dict[str, tuple],
        ir_version: int,
        name: str,
        integers: Sequence[str] = (),
    ) -> Any:
        """The ModelProto; inputs and outputs: name -> shape (int, or a free one's name), float32 or in `integers`."""
        types = require("onnx", "export").TensorProto

        def infos(shapes: dict[str, tuple]) -> list:
            kinds = {n: types.INT64 if n in integers else types.FLOAT for n in shapes}
            return [self.helper.make_tensor_value_info(n, kinds[n], list(s)) for n, s in shapes.items()]

        stored = [self.numpy_helper.from_array(a, n) for n, a in self.initializers.items()]
        graph = self.helper.make_graph(self.nodes, name, infos(inputs), infos(outputs), initializer=stored)
        opsets = [self.helper.make_opsetid("", self.opset)]
        return self.helper.make_model(graph, opset_imports=opsets, ir_version=ir_version, producer_name="sanderling")
