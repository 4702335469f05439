"""The peers of a text encoder: what each is given, at its best, and how it is asked."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sanderling.extras import require

from .apart import Apart

if TYPE_CHECKING:
    from sanderling.export.bert import BertModel

Run = Callable[[np.ndarray], Any]  # uint32 ids (tokens,) -> the embedding
Make = Callable[["BertModel", Path, int], Run]
NO_AMX = ", no AMX"  # ends a variant's name: what a processor without AMX would run


def fp32_file(model: BertModel, folder: Path) -> Path:
    """The FP32 graph that every peer starts from, with LayerNormalization and Gelu as single nodes."""
    from sanderling.export.bert_onnx import write_bert_onnx

    path = folder / "fp32.onnx"
    if not path.exists():
        write_bert_onnx(path, model, precision="fp32", target="modern")
    return path


def _session(path: Path) -> Run:
    ort = require("onnxruntime", "bench")
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def ask(ids: np.ndarray) -> Any:
        feed = ids.astype(np.int64)[None]
        return session.run(None, {"ids": feed, "mask": np.ones_like(feed)})[0]

    return ask


def onnxruntime_fp32(model: BertModel, folder: Path, tokens: int) -> Run:
    """onnxruntime, one thread, its own graph optimisations."""
    return _session(fp32_file(model, folder))


def onnxruntime_int8(per_channel: bool, model: BertModel, folder: Path, tokens: int) -> Run:
    """onnxruntime's dynamic quantisation of the optimised graph."""
    quantisation = require("onnxruntime.quantization", "bench")
    shapes = require("onnxruntime.quantization.shape_inference", "bench")
    path, ready = folder / f"int8_{per_channel}.onnx", folder / "prepared.onnx"
    if not ready.exists():
        shapes.quant_pre_process(str(fp32_file(model, folder)), str(ready), skip_symbolic_shape=True)
    if not path.exists():
        kind = quantisation.QuantType.QInt8
        quantisation.quantize_dynamic(str(ready), str(path), per_channel=per_channel, weight_type=kind)
    return _session(path)


def openvino(precision: str, int8: bool = False) -> Make:
    """OpenVINO at one inference precision, static shape; int8: NNCF's transformer scheme."""

    def make(model: BertModel, folder: Path, tokens: int) -> Run:
        ov = require("openvino", "bench")
        core = ov.Core()
        path = folder / "openvino_int8.xml" if int8 else fp32_file(model, folder)
        if not path.exists():
            ov.save_model(_quantised(core.read_model(str(fp32_file(model, folder))), model), str(path), False)
        graph = core.read_model(str(path))
        graph.reshape({name: [1, tokens] for name in ("ids", "mask")})
        hints = {
            "INFERENCE_NUM_THREADS": 1,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": precision,
        }
        request = core.compile_model(graph, "CPU", hints).create_infer_request()
        mask = np.ones((1, tokens), np.int64)

        def ask(ids: np.ndarray) -> Any:
            feed = {"ids": ids.astype(np.int64)[None], "mask": mask}
            return request.infer(feed, share_inputs=True, share_outputs=True)[0]

        return ask

    return make


def _quantised(graph: Any, model: BertModel) -> Any:
    from sanderling.export.bert_network import pieces
    from sanderling.export.bert_texts import TEXTS

    nncf = require("nncf", "bench")
    rows = [np.array([pieces(model, text)], np.int64) for text in TEXTS]
    data = nncf.Dataset(rows, lambda ids: {"ids": ids, "mask": np.ones_like(ids)})
    return nncf.quantize(graph, data, model_type=nncf.ModelType.TRANSFORMER, preset=nncf.QuantizationPreset.MIXED)


PEERS: dict[str, dict[str, Make]] = {
    "onnxruntime": {
        "fp32": onnxruntime_fp32,
        "int8 per channel": partial(onnxruntime_int8, True),
        "int8 per tensor": partial(onnxruntime_int8, False),
        f"int8 per channel{NO_AMX}": partial(Apart, partial(onnxruntime_int8, True)),
        f"int8 per tensor{NO_AMX}": partial(Apart, partial(onnxruntime_int8, False)),
    },
    "openvino": {
        "fp32": openvino("f32"),
        "bf16": openvino("bf16"),
        "fp16": openvino("f16"),
        "int8": openvino("f32", int8=True),
        "int8, bf16": openvino("bf16", int8=True),
    },
}
