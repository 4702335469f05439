"""ONNX files of the window and the step graph, for onnxruntime and OpenVINO: float32 and three ways to INT8.

The graphs are the exporter's (sanderling.export.onnx) at one channel and fixed shapes, with all that does not change
folded in: the calibration, and for a window the fresh state. A window gives the score alone, a step the next state too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sanderling.export.onnx import onnx_bytes
from sanderling.export.reading import read_native
from sanderling.extras import require
from sanderling.runtime.graph_spec import CALIBRATION, input_shapes, state_shapes

from . import samples
from .entries import PATCH, STREAM, TOKENS, WINDOW

CALIBRATION_WINDOWS = 24  # those that a static quantiser sees: with anomalies, or its ranges would clip them


def write(native: Path, precision: str, folder: Path) -> dict[str, Path]:
    """mode -> file; precision: fp32, int8-rows, int8-dynamic or int8-qdq. Files that are there stay."""
    paths = {mode: folder / f"{mode}-{precision}.onnx" for mode in (WINDOW, STREAM)}
    for mode, path in paths.items():
        if path.exists():
            continue
        temporary = folder / f"{path.stem}.{os.getpid()}.onnx"
        if precision in ("fp32", "int8-rows"):
            model = _folded(native, mode, precision.partition("-")[0])
            require("onnx", "bench").save(model, str(temporary))
            _fold_constants(temporary)
        else:
            source = write(native, "fp32", folder)[mode]
            quantise = _dynamic if precision == "int8-dynamic" else _static
            quantise(source, temporary, native, mode)
        os.replace(temporary, path)
    return paths


def _folded(native: Path, mode: str, precision: str) -> Any:
    """The exporter's calibrated graph with validity and (window) state as constants, too."""
    onnx = require("onnx", "bench")
    model = read_native(native)
    tokens = TOKENS if mode == WINDOW else 1
    whole = onnx.load_from_string(onnx_bytes(model, precision=precision, tokens=tokens, channels=1))
    shapes: dict[str, Any] = dict(input_shapes(model.config, 1, tokens))
    state = list(state_shapes(model.config, 1))
    constant = {name: np.zeros(shapes[name], np.float32) for name in ("valid", "component_shift")}
    constant["valid"] += 1
    outputs = {"score"}
    if mode == WINDOW:
        constant |= {name: np.zeros(shapes[name], np.float32) for name in state if name != "history"}
        _first_history(whole.graph, shapes["history"])
    else:
        outputs |= {f"{name}_out" for name in state}
    whole.graph.initializer.extend(onnx.numpy_helper.from_array(v, n) for n, v in constant.items())
    known = {*constant, *CALIBRATION, *(["history"] if mode == WINDOW else [])}
    _keep(whole.graph.input, lambda name: name not in known)
    _keep(whole.graph.output, outputs.__contains__)
    return whole


def _first_history(graph: Any, shape: tuple) -> None:
    """Nodes in front that make `history` of the first sample, as a fresh stream does."""
    onnx = require("onnx", "bench")
    node, array = onnx.helper.make_node, onnx.numpy_helper.from_array
    values = {
        "zero": np.zeros(1, np.int64),
        "one": np.ones(1, np.int64),
        "eighth": np.float32(0.125),
        "unit": np.float32(1),
    }
    values["shape"] = np.array(shape, np.int64)
    graph.initializer.extend(array(np.asarray(v), f"first_{n}") for n, v in values.items())
    nodes = [
        node("Slice", ["x", "first_zero", "first_one", "first_zero"], ["first_x"]),
        node("Abs", ["first_x"], ["first_abs"]),
        node("Mul", ["first_abs", "first_eighth"], ["first_small"]),
        node("Add", ["first_small", "first_unit"], ["first_divisor"]),
        node("Div", ["first_x", "first_divisor"], ["first_y"]),
        node("Expand", ["first_y", "first_shape"], ["history"]),
    ]
    for at, made in enumerate(nodes):
        graph.node.insert(at, made)


def _keep(infos: Any, wanted: Any) -> None:
    kept = [info for info in infos if wanted(info.name)]
    del infos[:]
    infos.extend(kept)


def _fold_constants(path: Path) -> None:
    """onnxruntime's basic level: constants folded, what no output needs dropped, standard operators only."""
    ort = require("onnxruntime", "bench")
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path.with_suffix(".folded"))
    ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    os.replace(path.with_suffix(".folded"), path)


def _products(path: Path) -> tuple[list[str], list[str]]:
    """Names of the products that the native file has in INT8, and of the others (float layers, attention, memories).

    A memory's columns hold the rows' squared norms over tau: no 8-bit grid keeps them.
    """
    graph = require("onnx", "bench").load(str(path)).graph
    stored = {t.name: tuple(t.dims) for t in graph.initializer}
    layers: list[str] = []
    others: list[str] = []
    for node in graph.node:
        if node.op_type in ("MatMul", "Gemm"):
            weight = node.input[1]
            layer = len(stored.get(weight, ())) == 2 and not weight.startswith(("embed", "head", "fusion"))
            (layers if layer else others).append(node.name)
    return layers, others


def _dynamic(source: Path, target: Path, native: Path, mode: str) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    others = _products(source)[1]
    # The quantiser turns a Gemm into a MatMul of another name before it looks at the list.
    left_out = [*others, *(f"{name}_MatMul" for name in others)]
    quantize_dynamic(source, target, per_channel=True, weight_type=QuantType.QInt8, nodes_to_exclude=left_out)


def _static(source: Path, target: Path, native: Path, mode: str) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.inputs = _calibration_inputs(source, native, mode)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.inputs, None)

    quantize_static(
        source,
        target,
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        weight_type=QuantType.QInt8,
        activation_type=QuantType.QUInt8,
        nodes_to_quantize=_products(source)[0],
    )


def calibration_windows(native: Path) -> np.ndarray:
    """Scaled windows (n, 512, 1) for a static quantiser; other ones than those that are checked and timed."""
    _, live = samples.make(CALIBRATION_WINDOWS, seed=samples.SEED + 1)
    return samples.scaled(live, *samples.scaling_of(native))[..., None]


def _calibration_inputs(source: Path, native: Path, mode: str) -> Iterator[dict[str, np.ndarray]]:
    windows = calibration_windows(native)
    if mode == WINDOW:
        yield from ({"x": window} for window in windows)
        return
    from .peers.onnxruntime import Session

    session = Session({STREAM: source})
    for window in windows[:4]:
        session.reset()
        for i in range(0, len(window), PATCH):
            yield session.state() | {"x": window[i : i + PATCH]}
            session.step(window[i : i + PATCH, 0])
