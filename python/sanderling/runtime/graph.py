"""Drives an exported graph: cleaning, scaling, state from block to block, and a stream like the core's.

Any engine that runs the graph of `graph_spec` plugs in (`Engine`); the arithmetic outside the graph is docs/model.md
sections 1, 2, 7 and 11 in numpy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sanderling.errors import InputError
from sanderling.runtime.graph_spec import (
    ABSENT,
    MEMORIES,
    N_COMPONENTS,
    PATCH,
    GraphConfig,
    Shape,
    calibration_shapes,
    state_shapes,
)
from sanderling.signal.scale import apply_scale, squash

Float32 = NDArray[np.float32]
Arrays = Mapping[str, Float32]
Result = tuple[Float32, Float32 | None, Float32 | None, Float32 | None, NDArray[np.uint8] | None]
LIMIT = 5.7142858  # squash(20): what a reconstruction is bounded to


class Engine(Protocol):
    """A loaded graph file. Attributes are fixed once it is loaded."""

    name: str  # "onnxruntime", "tflite"
    version: str  # of the runtime, and what runs the graph: "1.31.1 CPUExecutionProvider"
    config: GraphConfig
    metadata: Mapping[str, Any]  # the file's document: docs/runtimes.md, "What a file says about itself"
    channels: int | None  # C of the graph; None: free
    tokens: tuple[int, ...] | None  # the block lengths T it takes, ascending, 1 among them for a stream; None: any
    rows: tuple[int, int] | None  # M, N of the graph's memories; None: free
    stored: Arrays | None  # the calibration tensors (`graph_spec.CALIBRATION`) of a calibrated file

    def run(self, inputs: Arrays, outputs: Sequence[str]) -> dict[str, Float32]:
        """One call with all the inputs of `graph_spec.input_shapes`; without calibration tensors those stored count.
        Returns at least `outputs`, as arrays that the next call does not overwrite."""
        ...

    def write(self, path: bytes, metadata: Mapping[str, Any], calibration: Arrays) -> None:
        """Writes the file with another calibration, whole or not at all. InputError where the format cannot."""
        ...


@dataclass(frozen=True)
class GraphCalibration:
    """What a reference sets. tensors: `graph_spec.CALIBRATION`; request: what was asked for, the native file's keys."""

    location: Float32  # (C,)
    scale: Float32  # (C,)
    threshold: float
    tensors: Arrays
    request: Mapping[str, Any]  # scaling, samples, false_alarms, period_s
    in_file: bool = False  # the engine holds these tensors: they need not be passed

    @property
    def channels(self) -> int:
        return len(self.location)


class Cleaner:
    """Fills missing samples from the past, chunk by chunk (section 1)."""

    def __init__(self, channels: int, max_gap: int) -> None:
        self.last = np.full(channels, np.nan, np.float32)
        self.missing = np.zeros(channels, np.int64)
        self.max_gap = max_gap

    def take(self, raw: Float32) -> tuple[Float32, NDArray[np.bool_], NDArray[np.bool_]]:
        """raw (n, C) -> filled (NaN before any valid sample), valid, silent: (n, C) each."""
        valid = np.isfinite(raw)
        if valid.all():
            self.last, self.missing[:] = raw[-1].copy(), 0
            return raw, valid, np.zeros_like(valid)
        steps = np.arange(1, len(raw) + 1)[:, None]
        at = np.maximum.accumulate(np.where(valid, steps, 0), axis=0)  # 0: before this chunk
        filled = np.take_along_axis(np.concatenate([self.last[None], raw]), at, axis=0)
        missing = steps - at + np.where(at == 0, self.missing, 0)
        silent = np.isnan(filled) | (missing > self.max_gap)
        self.last, self.missing = filled[-1].copy(), np.minimum(missing[-1], self.max_gap + 1)
        return filled, valid, silent


class GraphMachine:
    """The graph with its state over a recording."""

    def __init__(self, engine: Engine, channels: int, location: Float32, scale: Float32, calibration: Arrays) -> None:
        """calibration: tensors to pass with every call; empty where the engine has them stored."""
        self.engine, self.channels = engine, channels
        self.location, self.scale = location, scale
        self.calibration = dict(calibration)
        self.reset()

    def reset(self) -> None:
        """The state before a recording's first sample."""
        self.cleaner = Cleaner(self.channels, self.engine.config.max_gap)
        shapes = state_shapes(self.engine.config, self.channels)
        self.state = zeros(shapes)
        self.fresh = True

    def prepare(self, raw: Float32) -> tuple[Float32, Float32, NDArray[np.bool_]]:
        """raw (8 T, C) -> x (clipped), valid as float32, silent."""
        filled, valid, silent = self.cleaner.take(raw)
        return apply_scale(filled, self.location, self.scale, self.engine.config.clip), valid.astype(np.float32), silent

    def run(
        self, x: Float32, valid: Float32, outputs: Sequence[str], shift: Float32 | None = None
    ) -> dict[str, Float32]:
        """Prepared samples (8 T, C) -> outputs of all T tokens; shift (C, T, 8) is added to the raw components."""
        if self.fresh:
            self.state["history"] = np.repeat(squash(x[0])[:, None], self.engine.config.reach, axis=1)
            self.fresh = False
        parts, at, tokens = [], 0, len(x) // PATCH
        wanted = [*outputs, *(f"{name}_out" for name in self.state)]
        for n in block_lengths(tokens, self.engine.tokens):
            rows = slice(PATCH * at, PATCH * (at + n))
            moved = np.zeros((self.channels, n, N_COMPONENTS), np.float32) if shift is None else shift[:, at : at + n]
            block = {"x": x[rows], "valid": valid[rows], "component_shift": np.ascontiguousarray(moved)}
            found = self.engine.run(block | self.state | self.calibration, wanted)
            self.state = {name: found[f"{name}_out"] for name in self.state}
            parts.append(found)
            at += n
        # Tokens are the last axis of `score`, and the second of everything else.
        return {k: np.concatenate([p[k] for p in parts], axis=min(1, parts[0][k].ndim - 1)) for k in outputs}


# Any graph length is possible with a free T; one that stays in the caches, and a rest of single tokens, is fastest.
BLOCK = 64


def block_lengths(tokens: int, allowed: Sequence[int] | None) -> list[int]:
    """Lengths of the calls for `tokens`, the longest first; allowed: ascending, None for any length."""
    if allowed is None:
        return [BLOCK] * (tokens // BLOCK) + [tokens % BLOCK] * (tokens % BLOCK > 0)
    lengths = []
    for n in reversed(allowed):
        lengths += [n] * (tokens // n)
        tokens %= n
    if tokens:
        raise InputError(f"expected blocks of {allowed[0]} patches, found {tokens} left; export a step graph as well")
    return lengths


def zeros(shapes: Mapping[str, Shape]) -> dict[str, Float32]:
    """Name -> float32 zeros of shapes without free dimensions."""
    return {name: np.zeros([int(n) for n in shape], np.float32) for name, shape in shapes.items()}


def empty_memory(engine: Engine, channels: int) -> dict[str, Float32]:
    """Calibration tensors that make every distance that of a memory of one zero row, and change no component."""
    rows, raw_rows = engine.rows or (1, 1)
    tensors = zeros(calibration_shapes(channels, rows, raw_rows))
    tensors["spread"][:] = tensors["tail"][:] = tensors["voice"][:] = 1
    for name in MEMORIES:
        tensors[name][..., -1, 1:] = -ABSENT
    return tensors


class GraphStream:
    """What `_core.Stream` is, on an exported graph: cold start, chunks, tail, NaN rules, reconstruction."""

    skipped = 0
    frame_samples = 0
    patch = PATCH

    def __init__(
        self,
        engine: Engine,
        calibration: GraphCalibration | None,
        channels: int,
        false_alarms: float = 1.0,
        period_s: float = 0.0,
    ) -> None:
        check_channels(engine, channels)
        self.engine, self.channels, self.outputs = engine, channels, channels
        self.samples = self.tokens = 0
        self.cold_samples = engine.config.cold_samples if calibration is None else 0
        self._request = {"false_alarms": false_alarms, "period_s": period_s}
        self._calibration = calibration
        self._pending: list[Float32] = []  # chunks that wait for their patch or for the cold part's end
        self._waiting = 0
        self._machine = None if calibration is None else machine_of(engine, calibration)

    @property
    def threshold(self) -> float:
        return self._calibration.threshold if self._calibration is not None else float("nan")

    def update(self, x: Float32, blame: bool = False, reconstruction: bool = False) -> Result:
        """As `_core.Stream.update`."""
        self._pending.append(x)
        self._waiting += len(x)
        before, self.samples = self.samples, self.samples + len(x)
        results = []
        if self._machine is None:
            cold = min(self.samples, self.cold_samples)
            results.append(_silence(cold // PATCH * PATCH - before // PATCH * PATCH, self.channels))
            if self.samples >= self.cold_samples:
                self._warm_up()
        if self._machine is not None and self._waiting >= PATCH:
            results.append(self._scored(self._taken(self._waiting // PATCH * PATCH), self._machine))
        return _chosen(_joined(results, self.channels), blame, reconstruction)

    def flush(self, blame: bool = False, reconstruction: bool = False) -> Result:
        """As `_core.Stream.flush`."""
        n = self._waiting % PATCH
        if self._machine is None:
            found = _silence(n, self.channels)
        elif n == 0:
            found = _silence(0, self.channels)
        else:
            tail = self._taken(n)
            tail = np.concatenate([tail, np.repeat(tail[-1:], PATCH - n, axis=0)])
            whole = self._scored(tail, self._machine)
            found = (whole[0][:n], whole[1][:n], whole[2], whole[3][:n])
        return _chosen(found, blame, reconstruction)

    def _taken(self, n: int) -> Float32:
        """The oldest n waiting samples."""
        rows = np.concatenate(self._pending)
        self._pending, self._waiting = [rows[n:]], self._waiting - n
        return rows[:n]

    def _warm_up(self) -> None:
        from sanderling.runtime.graph_calibration import calibrate

        reference = self._taken(self.cold_samples)
        self._calibration = calibrate(self.engine, reference, standard=False, **self._request)
        self._machine = machine_of(self.engine, self._calibration)
        x, valid, _ = self._machine.prepare(reference)
        self._machine.run(x, valid, ["channel_score"])
        self.tokens += len(reference) // PATCH * self.channels

    def _scored(self, raw: Float32, machine: GraphMachine) -> _Parts:
        x, valid, silent = machine.prepare(raw)
        found = machine.run(x, valid, ["channel_score", "components", "reconstruction"])
        tokens = len(raw) // PATCH
        self.tokens += tokens * self.channels
        per_channel = np.repeat(found["channel_score"].T, PATCH, axis=0)
        per_channel[silent] = np.nan
        assert self._calibration is not None
        scores = aggregate(per_channel, self._calibration.tensors["voice"], machine.engine.config.top_k)
        hat = np.clip(found["reconstruction"].transpose(1, 2, 0).reshape(len(raw), self.channels), -LIMIT, LIMIT)
        hat = hat / (1 - np.abs(hat) / np.float32(8)) * machine.scale + machine.location
        return scores, per_channel, np.ascontiguousarray(found["components"].transpose(1, 0, 2)), hat


_Parts = tuple[Float32, Float32, Float32, Float32]


def machine_of(engine: Engine, calibration: GraphCalibration) -> GraphMachine:
    """A fresh machine that scores against a calibration."""
    tensors = {} if calibration.in_file else calibration.tensors
    return GraphMachine(engine, calibration.channels, calibration.location, calibration.scale, tensors)


def check_channels(engine: Engine, channels: int) -> None:
    """InputError for channels (of frames: their features) that the graph was not exported for."""
    if engine.channels is not None and channels != engine.channels:
        raise InputError(
            f"expected {engine.channels} channel(s) as the graph was exported for, found {channels}; export it for them"
        )


def aggregate(per_channel: Float32, voice: Float32, top_k: int) -> Float32:
    """(n, C) with NaN for silent channels, voice (C,) -> (n,), section 7's score; NaN if no channel is left."""
    loudest = _mean(-np.sort(-per_channel, axis=1)[:, :top_k], np.float32(1))  # NaN sorts last
    mean = _mean(per_channel, voice)
    mean = np.where(np.isnan(mean), loudest, mean)
    joined = np.sqrt(mean) * np.sqrt(np.sqrt(loudest) * np.sqrt(mean))
    return np.where(mean == loudest, loudest, joined)


def _mean(values: Float32, weights: Float32 | np.float32) -> Float32:
    """Of each row's values that are not NaN, by weight; NaN where these weigh nothing."""
    there = ~np.isnan(values)
    total = np.where(there, values * weights, 0).sum(1, dtype=np.float32)
    weight = (there * weights).sum(1, dtype=np.float32)
    return np.where(weight > 0, total / np.where(weight > 0, weight, np.float32(1)), np.float32(np.nan))


def _silence(n: int, channels: int) -> _Parts:
    """What n cold samples get."""
    none = np.zeros((n, channels), np.float32)
    patches = -(-n // PATCH)
    return none[:, 0].copy(), none, np.zeros((patches, channels, N_COMPONENTS), np.float32), none + np.float32(np.nan)


def _joined(parts: Sequence[_Parts], channels: int) -> _Parts:
    if not parts:
        return _silence(0, channels)
    a, b, c, d = (np.concatenate(column) for column in zip(*parts, strict=True))
    return a, b, c, d


def _chosen(parts: _Parts, blame: bool, reconstruction: bool) -> Result:
    scores, per_channel, components, hat = parts
    if not blame:
        return scores, None, None, hat if reconstruction else None, None
    skipped = np.zeros(components.shape[:2], np.uint8)
    return scores, per_channel, components, hat if reconstruction else None, skipped
