"""The graph of `sanderling.runtime.graph_spec` in ONNX nodes, as `export.network` is in torch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sanderling.export.onnx_builder import END, Builder, Value
from sanderling.export.onnx_linear import Linear
from sanderling.export.onnx_mixers import MIXERS
from sanderling.export.reading import NativeModel

from sanderling.runtime.graph_spec import (
    ERRATIC,
    EXPECTED_DISTANCE,
    FILLING,
    HEAD_DIM,
    HOLD_DECAY,
    LEAST_VARIATION,
    MEMORIES,
    METRIC_HEADS,
    N_COMPONENTS,
    OF_HISTORY,
    PATCH,
    RAW_WINDOW,
    SEEN_LIMIT,
    STEPS,
    input_shapes,
    layer_state,
    output_shapes,
)

LARGE = 3e38
INV_SQRT_D = np.float32(HEAD_DIM**-0.5)


class Graph:
    """Builds one graph.

    tokens: T, or None for a free dimension. channels: C, or None. linear: how the quantised layers are spelled.
    """

    def __init__(
        self, native: NativeModel, linear: type[Linear], opset: int, tokens: int | None, channels: int | None
    ) -> None:
        self.native, self.config = native, native.config
        self.b = Builder(opset)
        self.linear = linear(self.b, native)
        self.tokens, self.channels = tokens, channels

    def build(self, ir_version: int, name: str) -> Any:
        """The ModelProto."""
        dims = {"channels": self.channels or "channels", "tokens": self.tokens or "tokens"}
        inputs = input_shapes(self.config, **dims)
        found = self.forward({n: self.b.value(n) for n in inputs})
        for output, value in found.items():
            self.b.named(value, output)
        return self.b.model(inputs, output_shapes(self.config, **dims), ir_version, name)

    def weight(self, name: str) -> Value:
        return self.b.constant(self.native.tensors[name], name)

    def norm(self, x: Value, name: str) -> Value:
        return self.b.layer_norm(x, self.weight(f"{name}.weight"), self.weight(f"{name}.bias"))

    def range(self, count: int) -> Value:
        """0, 1, ... T - 1 + count as float32 (T + count,)."""
        if self.tokens is not None:
            return self.b.constant(np.arange(self.tokens + count, dtype=np.float32))
        samples = self.b.op("Gather", self.b.op("Shape", self.b.value("x")), np.array(0, np.int64), axis=0)
        tokens = self.b.op("Div", samples, np.array(PATCH, np.int64))
        end = tokens if count == 0 else self.b.op("Add", tokens, np.array(count, np.int64))
        whole = self.b.op("Range", np.array(0, np.int64), end, np.array(1, np.int64))
        return self.b.op("Cast", whole, to=1)

    def forward(self, given: dict[str, Value]) -> dict[str, Value]:
        """Inputs by name -> outputs by name."""
        b, config = self.b, self.config
        x, valid = (b.transpose(given[name], 1, 0) for name in ("x", "valid"))
        order = self.range(0)
        index = given["seen"] + order
        y = x / (b.op("Abs", x) * 0.125 + 1.0)
        signal = b.cat([given["history"], y], 1)
        patches, samples = b.reshape(y, 0, -1, PATCH), self.windows(signal)
        embed = self.b.constant(self.native.embedding(), "embed.weight")
        self.dims = b.slice(b.op("Shape", patches), 0, 0, 2)
        h = b.op(
            "Gemm", self.rows(b.cat([samples, b.reshape(valid, 0, -1, PATCH)], 2)), embed, self.weight("embed.bias")
        )

        out: dict[str, Value] = {}
        mix = MIXERS[config.encoder](self, order, given["seen"])
        for i in range(config.n_layers):
            name = layer_state(config, i)
            o, out[f"{name}_out"] = mix(self.norm(h, f"blk.{i}.attn_norm"), i, given[name])
            h = h + self.linear(o, f"blk.{i}.out")
            u = b.gelu(self.linear(self.norm(h, f"blk.{i}.ffn_norm"), f"blk.{i}.ffn_up"))
            h = h + self.linear(u, f"blk.{i}.ffn_down")
        z = self.norm(h, "norm")
        p, u = self.decode(z)

        reconstruction = b.slice(p, 2, 0, PATCH)
        predicted = b.cat([b.unsqueeze(given["prediction"], 1), b.slice(p, 2, PATCH)], 1)
        out["prediction_out"] = b.squeeze(b.slice(predicted, 1, -1), 1)
        before = b.slice(predicted, 1, 0, -1)
        out["seen_out"] = b.clip(b.slice(index, 0, -1) + 1.0, 0, SEEN_LIMIT)
        out["history_out"] = b.slice(signal, 1, -config.reach)

        error = b.reduce("Mean", b.op("Abs", patches - b.slice(before, 2, 0, PATCH)), -1)
        log_b = b.squeeze(b.clip(b.slice(before, 2, PATCH), -4, 4), 2)
        known = b.clip(index, 0, 1)
        w = samples if config.reach + PATCH == RAW_WINDOW else b.slice(samples, 2, -RAW_WINDOW)
        centred = w - b.reduce("Mean", w, -1, keepdims=True)
        columns = [
            *self.distances(b.transpose(u, 0, 2, 1, 3), w, given),
            error * known,
            (error / b.op("Exp", log_b) + log_b) * known,
            b.reduce("Mean", b.op("Abs", patches - reconstruction), -1),
            b.reduce("Max", b.reshape(b.op("Abs", x), 0, -1, PATCH), -1),
            b.op("Sqrt", b.reduce("Mean", centred * centred, -1)),
        ]
        c = b.cat([b.unsqueeze(column, 2) for column in columns], 2) + given["component_shift"]
        l = self.compress(c, given, index)  # noqa: E741 - docs/model.md's letter
        s = self.score(z, l, given["center"])
        smoothed = s
        if config.smooth > 1:
            smoothed, out["logits_out"] = self.smooth(s, given["logits"], index)
        v = (smoothed - b.unsqueeze(given["offset"], 1)) / b.unsqueeze(given["tail"], 1)
        channel_score = self.hold((b.relu(v) + 1.0) / (b.relu(b.op("Neg", v)) + 1.0), given["held"])
        out["held_out"] = b.slice(channel_score, 1, -1)
        out |= {
            "score": self.aggregate(channel_score, given["voice"]),
            "channel_score": channel_score,
            "smoothed": smoothed,
            "components": l,
            "raw_components": c,
            "reconstruction": reconstruction,
            "metric": b.reshape(u, 0, 0, METRIC_HEADS * HEAD_DIM),
        }
        return {name: out[name] for name in output_shapes(config)}

    def rows(self, x: Value) -> Value:
        """(C, T, n) -> (C T, n): layers on matrices are single nodes."""
        return self.b.op("Flatten", x, axis=2)

    def windows(self, signal: Value) -> Value:
        """(C, T, reach + 8): the samples up to each patch's end."""
        b, per_window = self.b, self.config.reach // PATCH + 1
        if self.tokens == 1:
            return b.unsqueeze(signal, 1)
        lags = np.arange(per_window, dtype=np.float32)
        at = b.op("Cast", b.unsqueeze(self.range(0), 1) + lags, to=7)
        found = b.op("Gather", b.reshape(signal, 0, -1, PATCH), at, axis=1)
        return b.reshape(found, 0, 0, per_window * PATCH)

    def tokens_of(self, rows: Value, *shape: int) -> Value:
        """(C T, n) -> (C, T, *shape)."""
        b = self.b
        if self.tokens is not None:
            return b.reshape(rows, -1, self.tokens, *shape)
        if self.channels is not None:
            return b.reshape(rows, self.channels, -1, *shape)
        return b.op("Reshape", rows, b.cat([self.dims, b.constant(np.array(shape, np.int64))], 0))

    def decode(self, z: Value) -> tuple[Value, Value]:
        """Section 5 and the metric embeddings: (C T, d) -> p (C, T, 17), u (C, T, 2, 32)."""
        b, heads = self.b, self.config.graph_heads
        width, metric = heads * HEAD_DIM, METRIC_HEADS * HEAD_DIM
        m, r = b.split(
            self.linear(z, "metric", "graph.qkv", gains={metric: 1, metric + width: INV_SQRT_D}), 1, metric, 3 * width
        )
        if self.channels == 1:
            o = b.slice(r, 1, 2 * width)  # one node attends to itself
        else:
            nodes = b.transpose(self.tokens_of(r, 3 * heads, HEAD_DIM), 1, 2, 0, 3)
            q, k, v = b.split(nodes, 1, heads, heads, heads)
            p = b.op("Softmax", q @ b.transpose(k, 0, 1, 3, 2), axis=-1)
            o = b.reshape(b.transpose(p @ v, 2, 0, 1, 3), -1, width)
        g = self.norm(z + self.linear(o, "graph.out"), "graph.norm")
        u = self.tokens_of(m, METRIC_HEADS, HEAD_DIM)
        length = b.op("Sqrt", b.reduce("Sum", u * u, -1, keepdims=True) + 1e-12)
        p = b.op("Gemm", g, self.weight("head.weight"), self.weight("head.bias"))
        return self.tokens_of(p, 2 * PATCH + 1), u / length

    def distances(self, u: Value, w: Value, given: dict[str, Value]) -> list[Value]:
        """c0, c1, c2 (C, T): with a = -squared distance / tau up to the query's norm, softmin = norm - tau E[a]."""
        b = self.b

        def expected(query: Value, memory: Value, rank: int, tau: float) -> Value:
            a = b.append_one(query, rank) @ memory
            return b.reduce("Sum", b.op("Softmax", a, axis=-1) * a, -1) * float(tau)

        metric = 1.0 - expected(u, given["metric_memory"], 4, self.config.metric_tau)
        level, squares = b.unsqueeze(b.unsqueeze(given["level"], 1), 2), []
        for name, (samples, steps) in zip(MEMORIES[1:], STEPS.items(), strict=True):
            (ramp_step, level_step), age = np.array(steps, np.float32), np.arange(1, samples + 1, dtype=np.float32)
            part = w if samples == RAW_WINDOW else b.slice(w, 2, -samples)
            shift = b.reduce("Sum", part * (age * age * level_step), -1, keepdims=True) * level
            part = (part - shift) * (age * ramp_step)
            # Each alone: where one would round below 0 the other must not make up for it.
            far = b.reduce("Sum", part * part, -1) - expected(part, given[name], 3, self.config.raw_tau)
            squares.append(b.relu(far))
        raw = (squares[0] + squares[1]) * 0.5
        heads = [b.squeeze(b.slice(metric, 1, h, h + 1), 1) for h in range(METRIC_HEADS)]
        return [b.op("Sqrt", b.relu(squared)) for squared in [*heads, raw]]

    def compress(self, c: Value, given: dict[str, Value], index: Value) -> Value:
        """l_k; what compares with a history is at most 0 until the history is full."""
        b = self.b
        r = (c - b.unsqueeze(given["center"], 1)) / b.unsqueeze(given["spread"], 1)
        l = b.op("Sign", r) * b.op("Log", b.op("Abs", r) + 1.0)  # noqa: E741
        of_history = np.array([float(k in OF_HISTORY) for k in range(N_COMPONENTS)], np.float32)
        filling = b.unsqueeze(b.clip(float(FILLING) - index, 0, 1), 1) * of_history
        return l - b.relu(l) * filling

    def score(self, z: Value, l: Value, center: Value) -> Value:  # noqa: E741
        """s (C, T)."""
        b = self.b
        variation = b.clip(b.slice(center, 1, 7, 8), LEAST_VARIATION, LARGE)
        ratio = b.slice(center, 1, 2, 3) / (variation * EXPECTED_DISTANCE)
        share = b.clip(ratio * 2.0 - 1.0, 0, 1)
        weights = share * np.array([ERRATIC], np.float32) + self.native.tensors["fusion.weight"][None]
        # The scorer's last 8 inputs are zeros.
        width = self.config.d_model + N_COMPONENTS
        hidden = b.gelu(self.linear(b.cat([z, self.rows(l)], 1), "scorer.fc1", columns=width))
        fused = b.relu(l) @ b.unsqueeze(weights, 2)
        return b.squeeze(self.tokens_of(self.linear(hidden, "scorer.fc2"), 1) + fused, 2)

    def hold(self, score: Value, last: Value) -> Value:
        """(C, T): each token's score or what is left of a peak before it, whichever is more. last (C, 1)."""
        b = self.b
        age = b.unsqueeze(self.range(0), 1) - (self.range(1) - 1.0)
        past = b.clip(age + 1.0, 0, 1)  # 0 for later tokens
        decay = b.op("Exp", b.relu(age) * math.log(HOLD_DECAY)) * past
        return b.reduce("Max", b.unsqueeze(b.cat([last, score], 1), 1) * decay, -1)

    def smooth(self, s: Value, past: Value, index: Value) -> tuple[Value, Value]:
        """s_bar (C, T), and the logits that the next call needs."""
        b, n = self.b, self.config.smooth
        rows = b.cat([past, s], 1)
        total = b.slice(rows, 1, 0, 1 - n)
        for k in range(1, n):
            total = total + b.slice(rows, 1, k, k + 1 - n or END)
        return total / b.clip(index + 1.0, 1, n), b.slice(rows, 1, 1 - n)

    def aggregate(self, channel_score: Value, voice: Value) -> Value:
        """(C, T), (C,) -> (T,): section 7's score."""
        b = self.b
        loudest = self.loudest(channel_score)
        mean = b.reduce("Sum", channel_score * b.unsqueeze(voice, 1), 0) / b.reduce("Sum", voice, 0, keepdims=True)
        root = b.op("Sqrt", mean)
        return root * b.op("Sqrt", b.op("Sqrt", loudest) * root)

    def loudest(self, channel_score: Value) -> Value:
        """(C, T) -> (T,): mean of the top_k largest."""
        b, k = self.b, self.config.top_k
        if k == 1:
            return b.reduce("Max", channel_score, 0)
        if self.channels is not None:
            count: Any = np.array([min(k, self.channels)], np.int64)
        else:
            there = b.slice(b.op("Shape", channel_score), 0, 0, 1)
            count = b.op("Min", there, np.array([k], np.int64))
        b.op("TopK", channel_score, count, outputs=["largest", "largest_at"], axis=0)
        return b.reduce("Mean", b.value("largest"), 0)
