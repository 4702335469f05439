"""A text encoder as a .tflite file of a fixed number of tokens: ids and mask in, the embedding out; FP32 or INT8.

The metadata `sanderling` is `bert_onnx.bert_document`.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from sanderling.export import tflite
from sanderling.export.bert import BertModel
from sanderling.export.bert_network import float_tensors, quantised
from sanderling.export.bert_onnx import INPUTS, OUTPUT, bert_document
from sanderling.export.tflite import EXTRA, TARGETS

from sanderling.errors import InputError
from sanderling.extras import require
from sanderling.files import write_file

TOKENS = 128
PRECISIONS = ("fp32", "int8")
MATRICES = r".*Linear_(qkv|taps|gates|out|ffn_up|ffn_down).*"
# The last conversion, a minute's work for MiniLM: another target of the same model needs no second one.
_last: dict[str, bytes] = {}


def bert_tflite_bytes(
    model: BertModel, *, precision: str = "fp32", target: str = "litert", tokens: int = TOKENS
) -> bytes:
    """The encoder as a .tflite file's bytes: ids int32 (1, tokens), mask float32 (1, tokens) -> (1, d) float32.

    mask: 1.0 where a token is, 0.0 where padding is. precision: "fp32" or "int8" (per-channel weights with
    SmoothQuant's factors). target: "litert" (activations are quantised by rows) or "tflite-runtime" (weights alone).
    Raises InputError, DependencyError (torch, litert-torch, ai-edge-quantizer).
    """
    for name, value, allowed in (("precision", precision, PRECISIONS), ("target", target, tuple(TARGETS))):
        if value not in allowed:
            raise InputError(f"expected {name} {' or '.join(allowed)}, found {value!r}; choose one")
    positions = int(model.config["max_position_embeddings"])
    if not 2 <= tokens <= positions:
        raise InputError(f"expected tokens between 2 and {positions} (positions), found {tokens}; change it")
    graph = _converted(model, precision == "int8", tokens)
    if precision == "int8":
        graph = tflite.quantised(graph, *TARGETS[target], MATRICES, lookups=True)
    document = bert_document(model, precision, "tflite", target, tokens).encode()
    return tflite.named(graph, INPUTS, (OUTPUT,), {"sanderling": document})


def write_bert_tflite(path: str | os.PathLike[str], model: BertModel, **options: Any) -> str:
    """Writes `bert_tflite_bytes(model, **options)`, whole; returns the file's sha256. Also StorageError."""
    data = bert_tflite_bytes(model, **options)
    write_file(path, lambda file: file.write(data))
    return hashlib.sha256(data).hexdigest()


def _weights(model: BertModel, smooth: bool) -> dict[str, np.ndarray]:
    """float32, with SmoothQuant's factors where the matrices are about to be quantised."""
    if not smooth:
        return float_tensors(model)
    exact, found = float_tensors(model), quantised(model)
    for name, value in found.items():
        if value.dtype == np.int8:
            # The integers' own scales: the converter's quantiser finds them again.
            exact[name] = value.astype(np.float32) * found[name.replace(".weight", ".scale")][:, None]
        elif name in exact:
            exact[name] = value
    return exact


def _converted(model: BertModel, smooth: bool, tokens: int) -> bytes:
    """The FP32 file, as litert-torch leaves it."""
    require("torch", EXTRA)
    litert = require("litert_torch", EXTRA)
    from sanderling.export.bert_torch import BertTorch, examples

    weights = _weights(model, smooth)
    digest = hashlib.sha256(repr((tokens, model.mixer, model.n_heads, model.pooling, model.normalise)).encode())
    for value in weights.values():
        digest.update(value.tobytes())
    key = digest.hexdigest()
    if key in _last:
        return _last[key]
    network = BertTorch(model, weights)
    with redirect_stdout(sys.stderr), tempfile.TemporaryDirectory() as folder:  # it tells its progress
        path = Path(folder) / "model.tflite"
        litert.convert(network, examples(tokens)).export(str(path))
        _last.clear()
        _last[key] = path.read_bytes()
    return _last[key]
