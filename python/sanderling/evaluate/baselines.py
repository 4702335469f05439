"""Simple detectors that a model has to beat, in numpy, memory-bounded and deterministic.

Each is a scorer: `scorer(x, train_end, mode) -> scores`, x (time, channels) any float dtype with
NaN = missing, scores (time,) float32, higher = more anomalous. The reference part is the first
train_end samples (calibrated, adapted), or at most the first 512 (cold, and where train_end <= 0); nothing
else sets scale, windows or directions. Window scores are spread back over the samples that the
window covers, so these detectors look up to one window ahead: batch only, unlike the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from sanderling.errors import InputError

MODES = ("cold", "calibrated", "adapted")
COLD_SAMPLES = 512
WINDOW = 64
VARIANCE_WINDOW = 96
REFERENCE_WINDOWS = 1500
KEPT_VARIANCE = 0.9
CLIP = 20.0
# Rows a block: 512 x 1,500 float32 products stay near the second-level cache.
BLOCK = 512


def reference_end(samples: int, train_end: int, mode: str) -> int:
    """Samples of the reference part for a mode of `MODES`; "adapted" takes the same as "calibrated"."""
    if mode not in MODES:
        raise InputError(f"expected mode {', '.join(MODES)}, found {mode!r}")
    if samples < 1:
        raise InputError("expected at least one sample, found an empty recording")
    cold = mode == "cold" or train_end <= 0
    return min(samples, COLD_SAMPLES if cold else train_end)


def filled(x: np.ndarray) -> np.ndarray:
    """x (time, channels) with missing samples replaced by the channel's last valid one.

    Leading ones take the first valid sample; a channel without any is 0.
    """
    valid = np.isfinite(x)
    if valid.all():
        return x
    last = np.maximum.accumulate(np.where(valid, np.arange(len(x))[:, None], 0), axis=0)
    first = np.take_along_axis(x, np.argmax(valid, axis=0)[None], axis=0)
    out = np.take_along_axis(x, last, axis=0)
    out = np.where(np.isfinite(out), out, first)
    return np.where(np.isfinite(out), out, 0).astype(x.dtype)


def scaled(x: np.ndarray, reference: int, robust: bool = False) -> np.ndarray:
    """x filled, scaled per channel by its first `reference` samples and clipped to +-20, float32.

    Mean and standard deviation; a constant channel keeps its unit. Or (robust) as the model scales: median and
    1.4826 * median absolute deviation; a spread near zero falls back to the standard deviation, then to 1e-3 of
    the location or 1e-3.
    """
    x = filled(np.asarray(x, np.float32))
    head = x[:reference].astype(np.float64)
    deviation = head.std(axis=0)
    if robust:
        location = np.median(head, axis=0)
        floor = np.maximum(1e-3 * np.abs(location), 1e-6)
        spread = 1.4826 * np.median(np.abs(head - location), axis=0)
        spread = np.where(spread < floor, deviation, spread)
        spread = np.where(spread < floor, np.maximum(floor, 1e-3), spread)
    else:
        location = head.mean(axis=0)
        spread = np.where(deviation < 1e-6, 1.0, deviation)
    return np.clip((x - location.astype(np.float32)) / spread.astype(np.float32), -CLIP, CLIP)


def covering_mean(window_scores: np.ndarray, window: int, samples: int) -> np.ndarray:
    """Mean over the windows that hold a sample: (samples - window + 1,) -> (samples,) float32."""
    total = np.append(0.0, np.cumsum(window_scores, dtype=np.float64))
    at = np.arange(samples)
    first = np.maximum(at - window + 1, 0)
    last = np.minimum(at, len(window_scores) - 1) + 1
    return ((total[last] - total[first]) / (last - first)).astype(np.float32)


def random_scores(x: np.ndarray, train_end: int, mode: str) -> np.ndarray:
    """Uniform noise, the same for series of the same length."""
    return np.random.default_rng(len(x)).random(len(x), np.float32)


def amplitude(x: np.ndarray, train_end: int, mode: str) -> np.ndarray:
    """|x - median| / MAD of the reference part, the largest over channels."""
    return np.abs(scaled(x, reference_end(len(x), train_end, mode), robust=True)).max(axis=1)


def moving_variance(x: np.ndarray, train_end: int, mode: str) -> np.ndarray:
    """Variance of windows of 96 samples, the mean over channels."""
    z = scaled(x, reference_end(len(x), train_end, mode)).astype(np.float64)
    w = min(VARIANCE_WINDOW, len(z))
    first, second = (np.vstack([0 * z[:1], np.cumsum(z**k, axis=0)]) for k in (1, 2))
    mean = (first[w:] - first[:-w]) / w
    variance = np.maximum((second[w:] - second[:-w]) / w - mean**2, 0)
    return covering_mean(variance.mean(axis=1), w, len(z))


def sub_pca(x: np.ndarray, train_end: int, mode: str) -> np.ndarray:
    """Distance of windows of 64 samples to a linear subspace, the mean over channels.

    The subspace holds 90 % of the variance of the reference part's windows, per channel.
    """

    def distance(windows: np.ndarray, reference: np.ndarray) -> np.ndarray:
        mean = reference.mean(axis=0, dtype=np.float64).astype(np.float32)
        scatter = sum(
            (block.T @ block for block in _blocks(reference, mean)),
            start=np.zeros((windows.shape[1],) * 2),
        )
        power, basis = np.linalg.eigh(scatter)
        power = np.maximum(power[::-1], 0)
        kept = np.searchsorted(np.cumsum(power), KEPT_VARIANCE * power.sum()) + 1 if power.any() else 0
        axes = np.ascontiguousarray(basis[:, ::-1][:, :kept], np.float32)
        residuals = ((b, b @ axes) for b in _blocks(windows, mean))
        return np.concatenate([np.linalg.norm(b - p @ axes.T, axis=1) for b, p in residuals])

    return _per_channel(x, reference_end(len(x), train_end, mode), distance)


def raw_knn(x: np.ndarray, train_end: int, mode: str) -> np.ndarray:
    """Distance of windows of 64 samples to the nearest reference window, the mean over channels.

    At most 1,500 windows, evenly spread over the reference part; Euclidean, values unnormalised.
    """

    def distance(windows: np.ndarray, reference: np.ndarray) -> np.ndarray:
        count = min(REFERENCE_WINDOWS, len(reference))
        chosen = np.linspace(0, len(reference) - 1, count).astype(int)
        memory = np.ascontiguousarray(reference[chosen])
        half_norm = (memory * memory).sum(axis=1) / 2
        parts = []
        for block in _blocks(windows, np.float32(0)):
            nearest = memory[np.argmin(half_norm - block @ memory.T, axis=1)]
            # The product form only picks the row: it cancels where two windows are close.
            parts.append(np.linalg.norm(block - nearest, axis=1))
        return np.concatenate(parts)

    return _per_channel(x, reference_end(len(x), train_end, mode), distance)


def _per_channel(x: np.ndarray, reference: int, distance: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    z = scaled(x, reference)
    w = min(WINDOW, reference)
    total = np.zeros(len(z) - w + 1, np.float64)
    for channel in np.ascontiguousarray(z.T):
        windows = sliding_window_view(channel, w)
        total += distance(windows, windows[: reference - w + 1])
    return covering_mean(total / z.shape[1], w, len(z))


def _blocks(windows: np.ndarray, offset: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(windows), BLOCK):
        yield windows[start : start + BLOCK] - offset


BASELINES = {
    "random": random_scores,
    "amplitude": amplitude,
    "moving_variance_96": moving_variance,
    "sub_pca_64": sub_pca,
    "raw_knn_64": raw_knn,
}
