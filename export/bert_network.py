"""The BERT encoder in numpy, float32: what its activations look like, and its INT8 weights."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sanderling.export.bert import BertModel
from sanderling.export.bert_texts import TEXTS

LEVELS = np.float32(127)
# See(kind of row, rows): called with what each linear layer multiplies.
See = Callable[[tuple[int, str], np.ndarray], None]


def layer_norm(x: np.ndarray, gain: np.ndarray, bias: np.ndarray, eps: float) -> np.ndarray:
    """Over the last axis."""
    c = x - x.mean(-1, keepdims=True)
    return c / np.sqrt((c * c).mean(-1, keepdims=True) + np.float32(eps)) * gain + bias


def gelu(x: np.ndarray) -> np.ndarray:
    """Exact form, the error function to 1.5e-7 (Abramowitz and Stegun 1964, 7.1.26)."""
    z = np.abs(x) * np.float32(np.sqrt(0.5))
    t = 1 / (1 + np.float32(0.3275911) * z)
    p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * np.float32(1.061405429)))))
    return (0.5 * x * (1 + np.sign(x) * (1 - p * np.exp(-z * z)))).astype(np.float32)


def hidden_states(model: BertModel, ids: Sequence[int], see: See | None = None) -> np.ndarray:
    """float32 (tokens, d): the last layer's output of one text's ids."""
    t, n, heads = model.tensors, len(ids), model.n_heads

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        return layer_norm(x, t[f"{name}.weight"], t[f"{name}.bias"], model.eps)

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ t[f"{name}.weight"].T + t[f"{name}.bias"]

    words, places, types = (t[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position", "token_type"))
    h = norm(words[list(ids)] + places[:n] + types[0], "embeddings.LayerNorm")
    for i in range(model.n_layers):
        at = f"encoder.layer.{i}"
        if see:
            see((i, "qkv"), h)
        q, k, v = (linear(h, f"{at}.attention.self.{x}").reshape(n, heads, -1) for x in ("query", "key", "value"))
        logits = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(np.float32(q.shape[-1]))
        e = np.exp(logits - logits.max(-1, keepdims=True))
        o = np.einsum("hqk,khd->qhd", e / e.sum(-1, keepdims=True), v).reshape(n, -1)
        h = norm(h + linear(o, f"{at}.attention.output.dense"), f"{at}.attention.output.LayerNorm")
        if see:
            see((i, "ffn_up"), h)
        up = gelu(linear(h, f"{at}.intermediate.dense"))
        h = norm(h + linear(up, f"{at}.output.dense"), f"{at}.output.LayerNorm")
    return h


def embedding(model: BertModel, ids: Sequence[int]) -> np.ndarray:
    """float32 (d,): pooled, and of length 1 where the model says so."""
    h = hidden_states(model, ids)
    pooled = h.mean(0) if model.pooling == "mean" else h[0]
    return pooled / max(float(np.sqrt((pooled * pooled).sum())), 1e-12) if model.normalise else pooled


def pieces(model: BertModel, text: str) -> list[int]:
    """Ids of a text of `TEXTS`: plain ASCII, so that splitting is all there is to do."""
    ids = {token: i for i, token in enumerate(model.vocabulary.tokens)}
    special = model.vocabulary.special
    out = [special["cls"]]
    for word in re.findall(r"[A-Za-z0-9]+|[^\sA-Za-z0-9]", text.lower() if model.vocabulary.lowercase else text):
        found: list[int] = []
        start = 0
        while start < len(word):
            before = "##" if start else ""
            ends = range(len(word), start, -1)
            end = next((e for e in ends if before + word[start:e] in ids), None)
            if end is None:
                found = [special["unknown"]]
                break
            found.append(ids[before + word[start:end]])
            start = end
        out += found
    return [*out[: model.max_tokens - 1], special["seperator"]]


def rows_int8(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int8 (N, K) within +-127 and float32 scales (N,): symmetric, one scale a row."""
    scale = (np.abs(weight).max(axis=1) / LEVELS).astype(np.float32)
    divisor = np.where(scale > 0, scale, np.float32(1))[:, None]
    return np.clip(np.rint(weight / divisor), -LEVELS, LEVELS).astype(np.int8), scale


def smoothing(model: BertModel) -> dict[tuple[int, str], np.ndarray]:
    """(layer, qkv or ffn_up) -> float32 (d,): by how much each input channel is divided, and its weights multiplied.

    The square root of the largest activation (over `TEXTS`) by the largest weight: SmoothQuant's balance (Xiao et al.
    2023). A layer norm's gain takes the division; the residual sum has a norm of its own and doesn't see it.
    """
    largest: dict[tuple[int, str], np.ndarray] = {}

    def see(kind: tuple[int, str], rows: np.ndarray) -> None:
        top = np.abs(rows).max(axis=0)
        largest[kind] = np.maximum(largest[kind], top) if kind in largest else top

    for text in TEXTS:
        hidden_states(model, pieces(model, text), see)
    out = {}
    for (i, kind), top in largest.items():
        weight = np.abs(_weight(model, i, kind)).max(axis=0)
        out[i, kind] = np.sqrt(np.maximum(top, np.float32(1e-5)) / np.maximum(weight, np.float32(1e-5))).astype(
            np.float32
        )
    return out


def _weight(model: BertModel, i: int, kind: str) -> np.ndarray:
    names = {
        "qkv": [f"attention.self.{x}" for x in ("query", "key", "value")],
        "out": ["attention.output.dense"],
        "ffn_up": ["intermediate.dense"],
        "ffn_down": ["output.dense"],
    }
    return np.concatenate([model.tensors[f"encoder.layer.{i}.{name}.weight"] for name in names[kind]])


def _bias(model: BertModel, i: int, kind: str) -> np.ndarray:
    if kind == "qkv":
        return np.concatenate(
            [model.tensors[f"encoder.layer.{i}.attention.self.{x}.bias"] for x in ("query", "key", "value")]
        )
    name = {"out": "attention.output.dense", "ffn_up": "intermediate.dense", "ffn_down": "output.dense"}[kind]
    return model.tensors[f"encoder.layer.{i}.{name}.bias"]


def quantised(model: BertModel, smooth: bool = True) -> dict[str, np.ndarray]:
    """The native file's tensors (docs/text_core.md), in file order."""
    t = model.tensors
    factors = smoothing(model) if smooth else {}
    out: dict[str, Any] = {}

    def norm(name: str, source: str, divide: np.ndarray | float = 1.0) -> None:
        out[f"{name}.weight"] = (t[f"{source}.weight"] / divide).astype(np.float32)
        out[f"{name}.bias"] = (t[f"{source}.bias"] / divide).astype(np.float32)

    def linear(name: str, i: int, kind: str, times: np.ndarray | float = 1.0) -> None:
        out[f"{name}.weight"], out[f"{name}.scale"] = rows_int8(_weight(model, i, kind) * times)
        out[f"{name}.bias"] = _bias(model, i, kind)

    out["token_embd.weight"], out["token_embd.scale"] = rows_int8(t["embeddings.word_embeddings.weight"])
    out["position_embd.weight"] = t["embeddings.position_embeddings.weight"]
    out["token_types.weight"] = t["embeddings.token_type_embeddings.weight"]
    before = "embeddings.LayerNorm"
    for i in range(model.n_layers):
        at, blk = f"encoder.layer.{i}", f"blk.{i}"
        qkv, up = factors.get((i, "qkv"), 1.0), factors.get((i, "ffn_up"), 1.0)
        norm(f"{blk}.attn_norm", before, qkv)
        norm(f"{blk}.attn_residual", before)
        linear(f"{blk}.qkv", i, "qkv", qkv)
        linear(f"{blk}.out", i, "out")
        norm(f"{blk}.ffn_norm", f"{at}.attention.output.LayerNorm", up)
        norm(f"{blk}.ffn_residual", f"{at}.attention.output.LayerNorm")
        linear(f"{blk}.ffn_up", i, "ffn_up", up)
        linear(f"{blk}.ffn_down", i, "ffn_down")
        before = f"{at}.output.LayerNorm"
    norm("norm", before)
    return {name: np.ascontiguousarray(value, value.dtype) for name, value in out.items()}
