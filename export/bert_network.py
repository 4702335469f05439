"""The text encoder in numpy, float32: what its activations look like, and its INT8 weights."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from sanderling.export.bert import BertModel
from sanderling.export.bert_texts import TEXTS

from sanderling.runtime.graph_spec import TAPS

LEVELS = np.float32(127)
# Native name -> Hugging Face's.
EMBEDDINGS = {
    "token_embd": "word_embeddings",
    "position_embd": "position_embeddings",
    "token_types": "token_type_embeddings",
}
INTEGER = ("token_embd", "qkv", "taps", "out", "ffn_up", "ffn_down")  # a recurrence stays float32
# What mixes tokens -> native name -> the parts that it is made of.
MATRICES: dict[str, dict[str, tuple[str, ...]]] = {
    "transformer": {"qkv": ("query", "key", "value")},
    "tcn": {"taps": ("taps",)},
    "gru": {"gates": ("gates",), "hidden": ("hidden",)},
}
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
    t, n = model.tensors, len(ids)

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        return layer_norm(x, t[f"{name}.weight"], t[f"{name}.bias"], model.eps)

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ t[f"{name}.weight"].T + t[f"{name}.bias"]

    def inner(at: str, x: np.ndarray, name: str) -> np.ndarray:
        return linear(x, f"{at}.attention.self.{name}")

    words, places, types = (t[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position", "token_type"))
    h = norm(words[list(ids)] + places[:n] + types[0], "embeddings.LayerNorm")
    for i in range(model.n_layers):
        at = f"encoder.layer.{i}"
        if see:
            see((i, "qkv"), h)
        o = mix(model, i, h, partial(inner, at))
        h = norm(h + linear(o, f"{at}.attention.output.dense"), f"{at}.attention.output.LayerNorm")
        if see:
            see((i, "ffn_up"), h)
        up = gelu(linear(h, f"{at}.intermediate.dense"))
        h = norm(h + linear(up, f"{at}.output.dense"), f"{at}.output.LayerNorm")
    return h


def mix(model: BertModel, i: int, h: np.ndarray, linear: Callable[[np.ndarray, str], np.ndarray]) -> np.ndarray:
    """What layer i's attention, or what stands in its place, gives `out`: float32 (tokens, d) -> the same shape."""
    n = len(h)
    if model.mixer == "tcn":  # around a token, nothing beyond the text's ends
        seen = np.pad(h, ((2**i, 2**i), (0, 0)))
        return gelu(linear(np.concatenate([seen[k * 2**i : k * 2**i + n] for k in range(TAPS)], 1), "taps"))
    if model.mixer == "gru":  # from the first token on (Cho et al. 2014)
        state, states = np.zeros(model.d_model, np.float32), []
        for given in linear(h, "gates"):
            (r, z, c), (hr, hz, hc) = np.split(given, 3), np.split(linear(state, "hidden"), 3)
            update = sigmoid(z + hz)
            state = (1 - update) * np.tanh(c + sigmoid(r + hr) * hc) + update * state
            states.append(state)
        return np.stack(states)
    q, k, v = (linear(h, x).reshape(n, model.n_heads, -1) for x in ("query", "key", "value"))
    logits = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(np.float32(q.shape[-1]))
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return np.einsum("hqk,khd->qhd", e / e.sum(-1, keepdims=True), v).reshape(n, -1)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """By tanh, which does not overflow."""
    return 0.5 * (1 + np.tanh(0.5 * x))


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
        weight = np.abs(_part(model, i, kind, "weight")).max(axis=0)
        out[i, kind] = np.sqrt(np.maximum(top, np.float32(1e-5)) / np.maximum(weight, np.float32(1e-5))).astype(
            np.float32
        )
    return out


def _part(model: BertModel, i: int, kind: str, part: str) -> np.ndarray:
    """part: weight or bias."""
    names = {name: [f"attention.self.{x}" for x in parts] for name, parts in MATRICES[model.mixer].items()}
    names |= {"out": ["attention.output.dense"], "ffn_up": ["intermediate.dense"], "ffn_down": ["output.dense"]}
    return np.concatenate([model.tensors[f"encoder.layer.{i}.{name}.{part}"] for name in names[kind]])


def float_tensors(model: BertModel) -> dict[str, np.ndarray]:
    """The native file's names with the model's own float32 values."""
    t = model.tensors
    out = {f"{name}.weight": t[f"embeddings.{source}.weight"] for name, source in EMBEDDINGS.items()}
    before = "embeddings.LayerNorm"
    for i in range(model.n_layers):
        at = f"encoder.layer.{i}"
        between = f"{at}.attention.output.LayerNorm"
        norms = {"attn_norm": before, "attn_residual": before, "ffn_norm": between, "ffn_residual": between}
        for name, source in norms.items():
            out |= {f"blk.{i}.{name}.{part}": t[f"{source}.{part}"] for part in ("weight", "bias")}
        for name in (*MATRICES[model.mixer], "out", "ffn_up", "ffn_down"):
            out |= {f"blk.{i}.{name}.{part}": _part(model, i, name, part) for part in ("weight", "bias")}
        before = f"{at}.output.LayerNorm"
    return out | {f"norm.{part}": t[f"{before}.{part}"] for part in ("weight", "bias")}


def quantised(model: BertModel, smooth: bool = True) -> dict[str, np.ndarray]:
    """The native file's tensors (docs/text_core.md), in file order."""
    factors = smoothing(model) if smooth and model.mixer == "transformer" else {}
    out: dict[str, np.ndarray] = {}
    for name, value in float_tensors(model).items():
        layer, _, part = name.rpartition(".")
        _, _, kind = layer.rpartition(".")
        # Which factor a norm's result is divided by, or a matrix's inputs are multiplied with.
        at = {"attn_norm": "qkv", "ffn_norm": "ffn_up"}.get(kind, kind)
        factor = factors.get((int(layer.split(".")[1]), at)) if layer.startswith("blk.") else None
        if kind in ("attn_norm", "ffn_norm") and factor is not None:
            value = value / factor
        if part == "weight" and kind in INTEGER:
            value, out[f"{layer}.scale"] = rows_int8(value if factor is None else value * factor)
        out[name] = np.ascontiguousarray(value)
    return out
