"""What mixes tokens over time, in ONNX nodes: a class an encoder, called with a layer's rows and what it remembers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sanderling.export.onnx_builder import END, Builder, Value

from sanderling.runtime.graph_spec import HEAD_DIM, TAPS

if TYPE_CHECKING:
    from sanderling.export.onnx_graph import Graph

Matrix = tuple[np.ndarray, np.ndarray]  # weight and bias
HIDDEN = -3e4  # a key that a query must not see; representable in float16, too
INV_SQRT_D = np.float32(HEAD_DIM**-0.5)


class Attention:
    """Causal windowed attention. Its masks, once a graph: the bias by distance, HIDDEN outside window and recording."""

    def __init__(self, graph: Graph, order: Value, seen: Value) -> None:
        b, window = graph.b, graph.config.window
        self.graph = graph
        behind = window - 1
        keys = graph.range(behind)
        self.unseen = b.clip(keys - float(behind) + seen, -1, 0) * -HIDDEN
        self.distance = self._known(graph.tokens) if graph.tokens is not None else self._computed(order, keys)

    def __call__(self, a: Value, i: int, past: Value) -> tuple[Value, Value]:
        """(C T, d) -> (C T, 32 H), and the K | V that the next call needs."""
        graph = self.graph
        b, heads = graph.b, graph.config.n_heads[i]
        # A head's share of 1 / sqrt(32) is in Q's weights.
        r = graph.linear(a, f"blk.{i}.qkv", gains={heads * HEAD_DIM: INV_SQRT_D})
        split = b.transpose(graph.tokens_of(r, 3 * heads, HEAD_DIM), 0, 2, 1, 3)
        q, new = b.split(split, 1, heads, 2 * heads)
        kv = b.cat([past, new], 2)
        k, v = b.split(kv, 1, heads, heads)
        p = b.op("Softmax", q @ b.transpose(k, 0, 1, 3, 2) + self.bias(i), axis=-1)
        o = b.reshape(b.transpose(p @ v, 0, 2, 1, 3), -1, heads * HEAD_DIM)
        return o, b.slice(kv, 2, -(graph.config.window - 1))

    def _known(self, tokens: int) -> Value:
        """Distances back (T, T + W - 1) of a fixed T; the window's length where a query must not look."""
        window = self.graph.config.window
        far = np.arange(tokens)[:, None] + window - 1 - np.arange(tokens + window - 1)[None]
        return self.graph.b.constant(np.where((far >= 0) & (far < window), far, window).astype(np.int64))

    def _computed(self, order: Value, keys: Value) -> Value:
        """The same of a free T."""
        b, window = self.graph.b, self.graph.config.window
        far = b.unsqueeze(order, 1) + float(window - 1) - keys
        # A negative distance is a later token: hidden as well.
        later = b.clip(far * -1.0, 0, 1) * 1e6
        return b.op("Cast", b.clip(far + later, 0, window), to=7)

    def bias(self, layer: int) -> Value:
        """(H, T, T + W - 1) of a layer."""
        b, table = self.graph.b, self.graph.native.tensors[f"blk.{layer}.attn_bias"]
        padded = np.concatenate([table, np.full((len(table), 1), HIDDEN, np.float32)], axis=1)
        return b.op("Gather", b.constant(padded, f"blk.{layer}.attn_bias"), self.distance, axis=1) + self.unseen


class Convolution:
    """Causal taps, as one matrix product over the tokens that they read."""

    def __init__(self, graph: Graph, order: Value, seen: Value) -> None:
        self.graph = graph

    def __call__(self, a: Value, i: int, past: Value) -> tuple[Value, Value]:
        """(C T, d) -> (C T, w), and the last inputs."""
        graph, dilation = self.graph, 2**i
        b = graph.b
        tokens = b.cat([past, graph.tokens_of(a, graph.config.d_model)], 1)
        ends = [*range(-(TAPS - 1) * dilation, 0, dilation), END]
        inputs = [b.slice(tokens, 1, k * dilation, end) for k, end in enumerate(ends)]
        o = b.gelu(graph.linear(graph.rows(b.cat(inputs, 2)), f"blk.{i}.taps"))
        return o, b.slice(tokens, 1, -(TAPS - 1) * dilation)


class Recurrence:
    """ONNX's GRU, in float32 whatever the other layers are; its gates come in the order update, reset, new."""

    def __init__(self, graph: Graph, order: Value, seen: Value) -> None:
        self.graph = graph

    def __call__(self, a: Value, i: int, past: Value) -> tuple[Value, Value]:
        """(C T, d) -> (C T, w), and the state."""
        graph, tensors = self.graph, self.graph.native.tensors
        b, gates, hidden = graph.b, f"blk.{i}.gates", f"blk.{i}.hidden"
        matrices = (
            (graph.native.weight(gates), tensors[f"{gates}.bias"]),
            (
                tensors[f"{hidden}.weight"].T,
                tensors[f"{hidden}.bias"],
            ),
        )
        y, last = gru(b, graph.tokens_of(a, graph.config.d_model), i, *matrices, state=past)
        return b.reshape(y, -1, graph.config.n_heads[i] * HEAD_DIM), last


def gru(b: Builder, x: Value, i: int, gates: Matrix, hidden: Matrix, state: Value | None = None) -> tuple[Value, Value]:
    """Layer i's GRU node: x (sequences, T, K) -> states (sequences, T, w), and the last ones.

    gates (3 w, K) and hidden (3 w, w), each with its bias, in the order reset, update, new."""
    (weight, bias), (hidden_weight, hidden_bias) = gates, hidden
    inputs = (
        b.transpose(x, 1, 0, 2),
        b.constant(_ordered(weight)[None], f"blk.{i}.gates.weight"),
        b.constant(_ordered(hidden_weight)[None], f"blk.{i}.hidden.weight"),
        b.constant(np.concatenate([_ordered(bias), _ordered(hidden_bias)])[None], f"blk.{i}.hidden.bias"),
        *([] if state is None else [b.value(""), b.unsqueeze(state, 0)]),  # lengths of sequences: all whole
    )
    names = [f"gru_{i}", f"gru_{i}_last"]
    y = b.op("GRU", *inputs, outputs=names, hidden_size=hidden_weight.shape[1], linear_before_reset=1)
    return b.transpose(b.squeeze(y, 1), 1, 0, 2), b.squeeze(b.value(names[1]), 0)


def _ordered(rows: np.ndarray) -> np.ndarray:
    reset, update, new = np.split(rows, 3)
    return np.concatenate([update, reset, new])


MIXERS: dict[str, type[Attention] | type[Convolution] | type[Recurrence]] = {
    "transformer": Attention,
    "tcn": Convolution,
    "gru": Recurrence,
}
