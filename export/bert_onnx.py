"""A text encoder as ONNX: ids and mask in, embeddings out; FP32 or row-scaled INT8, standard operators only."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from types import SimpleNamespace

import numpy as np
from sanderling.export.bert import BertModel
from sanderling.export.bert_network import float_tensors, quantised
from sanderling.export.onnx import TARGETS
from sanderling.export.onnx_builder import END, Builder, Value
from sanderling.export.onnx_linear import Linear, RowLinear
from sanderling.export.onnx_mixers import gru

from sanderling.errors import InputError
from sanderling.extras import require
from sanderling.files import write_file
from sanderling.runtime.graph_spec import TAPS
from sanderling.text.graph_encoder import KIND, SWITCHES

INPUTS = ("ids", "mask")
OUTPUT = "embedding"
NEVER = -1e9  # a logit of a key that isn't there


class FloatLinear(Linear):
    """float32 weights as they are."""

    def __call__(self, x: Value, *names: str, **_: object) -> Value:
        """x (rows, K) -> (rows, N)."""
        (name,), b, tensors = names, self.b, self.native.tensors
        weight, bias = (b.constant(tensors[f"{name}.{part}"], f"{name}.{part}") for part in ("weight", "bias"))
        return b.op("Gemm", x, weight, bias, transB=1)


KINDS = {"fp32": (FloatLinear, float_tensors), "int8": (RowLinear, quantised)}


class _Graph:
    """Rows are (text, token), the texts' tokens side by side."""

    def __init__(self, model: BertModel, precision: str, opset: int) -> None:
        kind, tensors = KINDS[precision]
        self.model, self.b, self.tensors = model, Builder(opset), tensors(model)
        self.linear = kind(self.b, SimpleNamespace(tensors=self.tensors))  # type: ignore[arg-type]
        self.ids, self.mask = (self.b.value(name) for name in INPUTS)

    def weight(self, name: str) -> Value:
        return self.b.constant(self.tensors[name], name)

    def norm(self, x: Value, name: str) -> Value:
        return self.b.layer_norm(x, self.weight(f"{name}.weight"), self.weight(f"{name}.bias"), self.model.eps)

    def embed(self) -> Value:
        """(texts, tokens, d)."""
        b, words = self.b, self.b.op("Gather", self.weight("token_embd.weight"), self.ids)
        if "token_embd.scale" in self.tensors:
            scale = b.op("Gather", self.weight("token_embd.scale"), self.ids)
            words = b.op("Cast", words, to=1) * b.unsqueeze(scale, -1)
        places = self.tensors["position_embd.weight"] + self.tensors["token_types.weight"][0]
        tokens = b.op("Slice", b.op("Shape", self.ids), *(np.array([i], np.int64) for i in (1, 2)))
        start, axis = np.array([0], np.int64), np.array([0], np.int64)
        return words + b.op("Slice", b.constant(places, "places"), start, tokens, axis)

    def texts(self, rows: Value, shape: Value) -> Value:
        """(rows, d) -> (texts, tokens, d)."""
        whole = self.b.op("Concat", shape, np.array([self.model.d_model], np.int64), axis=0)
        return self.b.op("Reshape", rows, whole)

    def heads(self, x: Value, shape: Value) -> Value:
        """(rows, d) -> (texts, heads, tokens, head_dim)."""
        split = np.array([self.model.n_heads, self.model.d_model // self.model.n_heads], np.int64)
        return self.b.transpose(self.b.op("Reshape", x, self.b.op("Concat", shape, split, axis=0)), 0, 2, 1, 3)

    def attend(self, qkv: Value, shape: Value, bias: Value) -> Value:
        """(rows, 3 d) -> (rows, d)."""
        b, d = self.b, self.model.d_model
        q, k, v = (self.heads(part, shape) for part in b.split(qkv, 1, d, d, d))
        logits = q @ b.transpose(k, 0, 1, 3, 2) * float(1 / np.sqrt(d // self.model.n_heads)) + bias
        return b.reshape(b.transpose(b.op("Softmax", logits, axis=-1) @ v, 0, 2, 1, 3), -1, d)

    def convolve(self, rows: Value, i: int, shape: Value, there: Value) -> Value:
        """(rows, d) -> (rows, d); padding counts as nothing."""
        b, dilation = self.b, 2**i
        tokens = self.texts(rows, shape) * b.unsqueeze(there, -1)
        seen = b.op("Pad", tokens, np.array([0, dilation, 0, 0, dilation, 0], np.int64))
        ends = [*(-(TAPS - 1 - k) * dilation for k in range(TAPS - 1)), END]
        inputs = b.cat([b.slice(seen, 1, k * dilation, end) for k, end in enumerate(ends)], 2)
        return self.gelu(self.linear(b.reshape(inputs, -1, TAPS * self.model.d_model), f"blk.{i}.taps"))

    def recur(self, rows: Value, i: int, shape: Value) -> Value:
        """(rows, d) -> (rows, d); padding comes after a text, so that its tokens don't see it."""
        blk, t = f"blk.{i}", self.tensors
        gates, hidden = ((t[f"{blk}.{name}.weight"], t[f"{blk}.{name}.bias"]) for name in ("gates", "hidden"))
        states, _ = gru(self.b, self.texts(rows, shape), i, gates, hidden)
        return self.b.reshape(states, -1, self.model.d_model)

    def mix(self, rows: Value, i: int, shape: Value, there: Value, bias: Value) -> Value:
        """What stands before `out`: (rows, d) -> (rows, d)."""
        if self.model.mixer == "tcn":
            return self.convolve(rows, i, shape, there)
        if self.model.mixer == "gru":
            return self.recur(rows, i, shape)
        return self.attend(self.linear(rows, f"blk.{i}.qkv"), shape, bias)

    def gelu(self, x: Value) -> Value:
        """Exact form."""
        b = self.b
        if b.opset >= 20:
            return b.op("Gelu", x)
        return x * 0.5 * (b.op("Erf", x * float(np.sqrt(0.5))) + 1.0)

    def build(self) -> Value:
        b, d = self.b, self.model.d_model
        shape = b.op("Shape", self.ids)
        there = b.op("Cast", self.mask, to=1)
        bias = b.unsqueeze(b.unsqueeze((there - 1.0) * -NEVER, 1), 1)
        x = b.reshape(self.embed(), -1, d)
        for i in range(self.model.n_layers):
            blk = f"blk.{i}"
            q, x = self.norm(x, f"{blk}.attn_norm"), self.norm(x, f"{blk}.attn_residual")
            x = x + self.linear(self.mix(q, i, shape, there, bias), f"{blk}.out")
            q, x = self.norm(x, f"{blk}.ffn_norm"), self.norm(x, f"{blk}.ffn_residual")
            x = x + self.linear(self.gelu(self.linear(q, f"{blk}.ffn_up")), f"{blk}.ffn_down")
        rows = self.texts(self.norm(x, "norm"), shape)
        if self.model.pooling == "mean":
            weight = b.unsqueeze(there, -1)
            pooled = b.reduce("Sum", rows * weight, 1) / b.reduce("Sum", weight, 1)
        else:
            pooled = b.squeeze(b.slice(rows, 1, 0, 1), 1)
        if self.model.normalise:
            length = b.op("Sqrt", b.reduce("Sum", pooled * pooled, -1, keepdims=True))
            pooled = pooled / b.op("Max", length, 1e-12)
        return b.named(pooled, OUTPUT)


def bert_document(model: BertModel, precision: str, format: str, profile: str, tokens: int | None = None) -> str:
    """What the file says of itself, as JSON, its vocabulary too (`sanderling.text.graph_encoder` reads it).

    tokens: of a call, where they are fixed."""
    from sanderling import __version__

    document = {
        "kind": KIND,
        "version": __version__,
        "format": format,
        "profile": profile,
        "precision": precision,
        "name": model.name,
        "tokenizer": model.vocabulary.hash(),
        "max_tokens": model.max_tokens,
        "pooling": model.pooling,
        "normalise": model.normalise,
        "base_sha256": model.sha256,
        "encoder": model.mixer,
        "d_model": model.d_model,
        "tokens": tokens,
        "vocabulary": {
            "tokens": "\n".join(model.vocabulary.tokens),
            "special": dict(model.vocabulary.special),
            **{name: getattr(model.vocabulary, name) for name in SWITCHES},
        },
    }
    return json.dumps(document, sort_keys=True, ensure_ascii=False)


def bert_onnx_bytes(model: BertModel, *, precision: str = "fp32", target: str = "modern") -> bytes:
    """The encoder as an ONNX file's bytes: ids, mask int64 (texts, tokens) -> embedding float32 (texts, d).

    mask: 1 where a token is, 0 where padding is; a text's embedding doesn't depend on its padding. precision: "fp32" or
    "int8" (the native file's integers, one activation scale a token); target: "modern" or "jetpack4". The metadata
    `sanderling` is `bert_document`. Raises InputError, DependencyError (onnx).
    """
    tables: tuple[tuple[str, str, Mapping], ...] = (("precision", precision, KINDS), ("target", target, TARGETS))
    for name, value, table in tables:
        if value not in table:
            raise InputError(f"expected {name} {' or '.join(table)}, found {value!r}; choose one")
    graph = _Graph(model, precision, TARGETS[target].opset)
    graph.build()
    onnx = require("onnx", "export")
    made = graph.b.model(
        dict.fromkeys(INPUTS, ("texts", "tokens")),
        {OUTPUT: ("texts", model.d_model)},
        TARGETS[target].ir_version,
        "sanderling-text",
        integers=INPUTS,
    )
    entry = made.metadata_props.add()
    entry.key, entry.value = "sanderling", bert_document(model, precision, "onnx", target)
    onnx.checker.check_model(made, full_check=True)
    return bytes(made.SerializeToString(deterministic=True))


def write_bert_onnx(path: str | os.PathLike[str], model: BertModel, **options: str) -> str:
    """Writes `bert_onnx_bytes(model, **options)`, whole or not at all; returns the file's sha256. Also StorageError."""
    data = bert_onnx_bytes(model, **options)
    write_file(path, lambda file: file.write(data))
    return hashlib.sha256(data).hexdigest()
