"""Calibration around an exported graph (docs/model.md sections 8 and 9), in numpy.

The graph gives embeddings, components and scores; distances that leave the near rows out are taken here, because a live
graph has no use for them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from sanderling.errors import CalibrationError
from sanderling.runtime.graph import (
    Engine,
    Float32,
    GraphCalibration,
    GraphMachine,
    aggregate,
    check_channels,
    empty_memory,
)
from sanderling.runtime.graph_spec import (
    ABSENT,
    HEAD_DIM,
    MEMORIES,
    METRIC_HEADS,
    PATCH,
    RAW_WINDOW,
    SHORT_WINDOW,
    STEPS,
    GraphConfig,
)
from sanderling.signal.scale import fit_scale, lower_median, squash, voices, whole_windows

MIN_REFERENCE = 256  # samples
SPREAD_FLOOR = np.array([0.3, 0.3, 2.0, 0.15, 0.6, 0.15, 1.0, 0.3], np.float32)
# Step 2 of section 8: how much of its level a channel's raw windows lose.
MOST_LEVEL, LEAST_RAW, STEADY, PER_SHARE = np.array([0.75, 1.0, 0.2, 3.3333333], np.float32)
PER_DECADE = np.float32(0.43429448)  # 1 / ln 10
LEAST_TAIL = np.float32(0.5)
TAIL_BLOCK = 16  # tokens
DAY = 86_400.0  # seconds
UNKNOWN_PERIOD_UNIT = 10_000.0  # samples
_CHUNK = 64  # tokens whose distances are in memory at once


def calibrate(engine: Engine, x: Float32, *, standard: bool, false_alarms: float, period_s: float) -> GraphCalibration:
    """Calibrates on a reference x (samples, C). CalibrationError (too short), InputError (channels)."""
    samples, channels = x.shape
    check_channels(engine, channels)
    if samples < MIN_REFERENCE:
        raise CalibrationError(
            f"expected at least {MIN_REFERENCE} samples to calibrate on, found {samples}; record more"
        )
    config, tokens = engine.config, samples // PATCH
    location, scale = fit_scale(x, "standard" if standard else "robust")
    scale = np.minimum(scale, np.finfo(np.float32).max)

    machine = GraphMachine(engine, channels, location, scale, empty_memory(engine, channels))
    scaled, valid, _ = machine.prepare(x[: tokens * PATCH])
    first = machine.run(scaled, valid, ["metric", "raw_components"])
    u = first["metric"].reshape(channels, tokens, METRIC_HEADS, HEAD_DIM).transpose(0, 2, 1, 3)
    components, seen = first["raw_components"], first["raw_components"][..., :3].copy()
    y, block = squash(scaled).T, min(config.loo_block, tokens // 4)
    at, raw_at = _places(config, engine.rows, tokens, channels)
    metric = u[:, :, at]
    raw = {n: np.empty((channels, len(raw_at), n), np.float32) for n in (RAW_WINDOW, SHORT_WINDOW)}
    ends = np.arange(1, tokens + 1) * PATCH - 1
    warm = min(config.n_layers * config.window, tokens // 4)
    level = np.empty(channels, np.float32)
    for c in range(channels):
        for head in range(METRIC_HEADS):
            near = (np.arange(tokens), at, block)
            components[c, :, head] = np.sqrt(_soft_min(u[c, head], metric[c, head], config.metric_tau, *near))
        own = _windows(np.concatenate([np.repeat(y[c, :1], RAW_WINDOW), y[c]]), ends + RAW_WINDOW)
        rows = _windows(y[c], raw_at)

        def distances(share: np.float32, own: Float32 = own, rows: Float32 = rows) -> Float32:
            at, squares = (ends, raw_at, block * PATCH), np.zeros(len(own), np.float32)
            for n in raw:
                squares += _soft_min(_weighted(own, share, n), _weighted(rows, share, n), config.raw_tau, *at)
            return np.sqrt(squares * np.float32(1 / len(raw)))

        level[c] = _level(*(lower_median(distances(np.float32(share))[warm:]) for share in (0, 1)))
        components[c, :, 2] = distances(level[c])
        for n, memory in raw.items():
            memory[c] = _weighted(rows, level[c], n)

    center, spread = _normalisers(components[:, warm:])
    machine.calibration |= {"center": center, "spread": spread}
    machine.reset()
    scaled, valid, _ = machine.prepare(x[: tokens * PATCH])
    shift = np.zeros_like(components)
    shift[..., :3] = components[..., :3] - seen
    smoothed = machine.run(scaled, valid, ["smoothed"], shift)["smoothed"][:, warm:]
    missing = ~np.isfinite(x[: tokens * PATCH])
    kept = [s[whole_windows(gaps, warm)] for s, gaps in zip(smoothed, missing.T, strict=True)]
    offset = np.array([_percentile(s, 99) for s in kept])
    tail = np.maximum((offset - np.array([_percentile(s, 90) for s in kept])) * PER_DECADE, LEAST_TAIL)
    v = (smoothed - offset[:, None]) / tail[:, None]
    voice = voices(x)
    scores = aggregate(((1 + np.maximum(v, 0)) / (1 - np.minimum(v, 0))).T, voice, config.top_k)
    scores = scores[whole_windows(np.logical_or.reduce(missing, axis=1), warm)]
    sizes = engine.rows or (None, None)
    of_raw = [_memory(m, np.square(m).sum(-1), config.raw_tau, sizes[1]) for m in raw.values()]
    of_metric = _memory(metric, np.ones(metric.shape[:-1]), config.metric_tau, sizes[0])
    tensors = {
        **dict(zip(MEMORIES, (of_metric, *of_raw), strict=True)),
        "level": level,
        "voice": voice,
        "center": center,
        "spread": spread,
        "offset": offset,
        "tail": tail,
    }
    request = {
        "scaling": "standard" if standard else "robust",
        "samples": samples,
        "false_alarms": false_alarms,
        "period_s": period_s,
    }
    return GraphCalibration(location, scale, decide_threshold(scores, false_alarms, period_s), tensors, request)


def decide_threshold(scores: Float32, false_alarms: float, period_s: float) -> float:
    """Section 9: the threshold from a reference's aggregate scores (tokens,)."""
    unit = DAY / period_s if period_s > 0 else UNKNOWN_PERIOD_UNIT
    blocks = len(scores) // TAIL_BLOCK
    block = TAIL_BLOCK if blocks >= 16 else 1
    n = len(scores) // block
    maxima = np.sort(scores[: n * block].reshape(n, block).max(1))
    u = maxima[(3 * n + 3) // 4 - 1]
    excess = maxima[maxima > u].astype(np.float64) - np.float64(u)
    share, wrong = len(excess) / n, min(1.0, false_alarms / (unit / PATCH) * block)
    found = float(u)
    if share > wrong:
        found += float(excess.mean()) * math.log(share / wrong)
    return float(np.float32(max(found, float(lower_median(scores)))))


def _places(
    config: GraphConfig, rows: tuple[int, int] | None, tokens: int, channels: int
) -> tuple[np.ndarray, np.ndarray]:
    """Tokens of the metric memory, and the samples at which the raw memory's windows end."""
    m, n = config.memory_shape(tokens, channels)
    if rows is not None:
        m, n = min(m, rows[0]), min(n, rows[1])
    whole = RAW_WINDOW - 1
    return _middles(m, 0, tokens), _middles(n, whole, tokens * PATCH)


def _middles(n: int, first: int, end: int) -> np.ndarray:
    return first + (2 * np.arange(n, dtype=np.int64) + 1) * (end - first) // (2 * n)


def _windows(y: Float32, ends: np.ndarray) -> Float32:
    """Windows (n, 64) of y (samples,) that end at the samples `ends`."""
    return np.lib.stride_tricks.sliding_window_view(y, RAW_WINDOW)[ends - (RAW_WINDOW - 1)]


def _weighted(windows: Float32, level: np.float32, samples: int) -> Float32:
    """w' (n, samples) of section 6 from windows (n, 64)."""
    ramp_step, level_step = np.array(STEPS[samples], np.float32)
    age, w = np.arange(1, samples + 1, dtype=np.float32), windows[:, -samples:]
    return (w - level * (w @ (age * age * level_step))[:, None]) * (age * ramp_step)


def _level(whole: np.floating, shape: np.floating) -> np.float32:
    """From a channel's median distances with its level and without."""
    share = (whole * whole - shape * shape) / np.square(max(whole, LEAST_RAW))
    return MOST_LEVEL * np.clip((share - STEADY) * PER_SHARE, np.float32(0), np.float32(1))


def _chunks(n: int) -> Iterator[slice]:
    return (slice(i, i + _CHUNK) for i in range(0, n, _CHUNK))


def _soft_min(q: Float32, rows: Float32, tau: float, at: np.ndarray, row_at: np.ndarray, reach: int) -> Float32:
    """softmin of the squared distances of q (T, k) to rows (n, k), the near ones left out; 0 if none is left."""
    norms = np.square(rows).sum(-1)
    found = np.zeros(len(q), np.float32)
    for part in _chunks(len(q)):
        squared = np.maximum(np.square(q[part]).sum(-1)[:, None] + norms - 2 * (q[part] @ rows.T), 0)
        squared[np.abs(at[part][:, None] - row_at) < reach] = np.inf
        least = squared.min(-1, keepdims=True)
        there = np.isfinite(least[:, 0])
        # exp(-inf) is 0; a line without rows is left at 0.
        weight = np.exp((np.where(np.isfinite(least), least, 0) - squared) / np.float32(tau))
        total = (weight * np.where(np.isinf(squared), 0, squared)).sum(-1)
        found[part][there] = total[there] / weight.sum(-1)[there]
    return found


def _percentile(values: Float32, percent: int) -> np.float32:
    """The element ceil(percent n / 100) - 1 of the n sorted values."""
    return np.sort(values)[(percent * len(values) + 99) // 100 - 1]


def _normalisers(components: Float32) -> tuple[Float32, Float32]:
    """Center and spread (C, 8) over the tokens of (C, T, 8)."""
    middle = (components.shape[1] - 1) // 2
    center = np.sort(components, axis=1)[:, middle]
    deviation = np.sort(np.abs(components - center[:, None]), axis=1)[:, middle]
    widest = np.maximum(np.float32(1.4826) * deviation, np.float32(0.1) * np.abs(center))
    return center, np.maximum(widest, SPREAD_FLOOR)


def _memory(rows: np.ndarray, norms: np.ndarray, tau: float, size: int | None) -> Float32:
    """Rows (..., n, k) as the graph takes them, (..., k + 1, size): filled up with absent ones."""
    columns = np.concatenate([2 * rows, -norms[..., None]], axis=-1).astype(np.float32) / np.float32(tau)
    if size is not None and size > columns.shape[-2]:
        absent = np.zeros((*columns.shape[:-2], size - columns.shape[-2], columns.shape[-1]), np.float32)
        absent[..., -1] = -ABSENT
        columns = np.concatenate([columns, absent], axis=-2)
    return np.ascontiguousarray(columns.swapaxes(-1, -2))
