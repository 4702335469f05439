"""Volume under the range-ROC and range-PR surfaces (VUS-ROC, VUS-PR), exactly and in milliseconds.

Definition: Paparrizos et al., "Volume Under the Surface: A New Accuracy Evaluation Measure for Time-Series
Anomaly Detection", PVLDB 15(11), 2022, with the conventions of the TSB-AD benchmark (Liu and Paparrizos, 2024):
250 thresholds at equally spaced ranks, windows 0..window, the mean over windows of the area.

For one window w a sample at distance 1 <= d <= w // 2 outside a labelled segment counts sqrt(1 - d / w) as an
anomaly; contributions of several segments add up and are capped at 1. For one threshold, with p = score >= threshold:

    soft      = sum of the soft labels of the predicted samples outside the segments
    TP        = (predicted samples inside the segments) + soft
    P         = (samples inside the segments) + soft / 2
    TPR       = min(TP / P, 1) * (share of the widened segments, merged where they touch, holding a prediction)
    FPR       = (predicted - TP) / (samples - P)
    precision = TP / predicted

The direct form costs windows * thresholds * samples. Here every sample is put once into the bucket of the
highest threshold that it reaches; whatever a threshold needs is then a cumulative sum over buckets.
"""

from __future__ import annotations

import numpy as np

from sanderling.errors import InputError
from sanderling.evaluate.labels import check_labels, ranked, segments

THRESHOLDS = 250
DEFAULT_PERIOD = 125


def acf_period(x: np.ndarray) -> int:
    """Period of channel 0 in samples: the window that TSB-AD gives to VUS.

    x: (time,) or (time, channels), any float dtype. The highest strict local maximum of the autocorrelation of
    the first 20,000 samples at lags 4 to 399; 125 where there is none, or where it lies below lag 6 or above
    lag 303. Missing samples are filled from the past (leading ones with the first valid value).
    """
    first = np.asarray(x[:20000], np.float64)
    series = _fill(first if first.ndim == 1 else first[:, 0])
    n = series.size
    if n < 2:
        return DEFAULT_PERIOD
    centred = series - series.mean()
    spectrum = np.fft.rfft(centred, 1 << (2 * n).bit_length())
    acov = np.fft.irfft(spectrum.real**2 + spectrum.imag**2)[: min(401, n)]
    if not acov[0] > 0:
        return DEFAULT_PERIOD
    acf = (acov / acov[0])[3:]
    if acf.size < 3:
        return DEFAULT_PERIOD
    inner = acf[1:-1]
    peaks = np.flatnonzero((inner > acf[:-2]) & (inner > acf[2:])) + 1
    if not peaks.size:
        return DEFAULT_PERIOD
    height = acf[peaks]
    best = int(peaks[height.size - 1 - np.argmax(height[::-1])])
    return best + 3 if 3 <= best <= 300 else DEFAULT_PERIOD


def vus(labels: np.ndarray, scores: np.ndarray, window: int, thresholds: int = THRESHOLDS) -> dict[str, float]:
    """VUS-PR and VUS-ROC of one series.

    labels: (time,) 0 or 1; scores: (time,), higher = more anomalous, NaN = lowest of all; window: samples >= 0
    (see `acf_period`). Returns {"vus_pr", "vus_roc"}; both NaN where labels hold only one class.
    Raises InputError for shapes that differ or labels other than 0 and 1.
    """
    y, s = check_labels(labels, scores)
    if window < 0 or thresholds < 1:
        raise InputError(f"window must be >= 0 and thresholds >= 1, found {window} and {thresholds}")
    starts, ends = segments(y)
    n, positives = y.size, int(y.sum())
    if positives in (0, n):
        return {"vus_pr": float("nan"), "vus_roc": float("nan")}

    s = ranked(s)
    picks = np.linspace(0, n - 1, thresholds).astype(int)
    levels = -np.sort(-s)[picks]
    bucket = np.searchsorted(-levels, -s, side="left")
    predicted = np.cumsum(np.bincount(bucket, minlength=thresholds)).astype(np.float64)
    inside = np.cumsum(np.bincount(bucket[y], minlength=thresholds)).astype(np.float64)

    soft, exist = _soft_counts(starts, ends, bucket, window, thresholds, n)
    soft = np.cumsum(soft, axis=1)
    tp = inside + soft
    p = positives + soft / 2
    tpr = np.minimum(tp / p, 1.0) * exist
    fpr = (predicted - tp) / (n - p)
    precision = tp / predicted

    zero = np.zeros((window + 1, 1))
    tpr0 = np.hstack([zero, tpr])
    vus_pr = np.sum(np.diff(tpr0, axis=1) * precision, axis=1).mean()
    # The last threshold takes every sample, but soft labels keep the curve short of (1, 1): close it there.
    tpr1, fpr1 = np.hstack([tpr0, zero + 1]), np.hstack([zero, fpr, zero + 1])
    vus_roc = np.sum(np.diff(fpr1, axis=1) * (tpr1[:, 1:] + tpr1[:, :-1]) / 2, axis=1).mean()
    return {"vus_pr": float(vus_pr), "vus_roc": float(vus_roc)}


def _soft_counts(
    starts: np.ndarray, ends: np.ndarray, bucket: np.ndarray, window: int, thresholds: int, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Per window: soft label mass per bucket, and the share of widened segments reached per threshold.

    sqrt(1 - d / w) >= sqrt(1 / 2) wherever it counts, so two contributions always reach the cap: a sample's
    soft label depends on its nearest segment alone until the second nearest comes into reach, then it is 1.
    """
    reach = window // 2
    at, d1, d2 = _two_nearest(starts, ends, reach, n)
    where = bucket[at]
    alone = np.zeros((reach + 1, thresholds))
    np.add.at(alone, (d1, where), 1.0)
    shared = np.zeros(thresholds)
    order = np.argsort(d2, kind="stable")
    bounds = np.searchsorted(d2[order], np.arange(reach + 2))

    soft = np.zeros((window + 1, thresholds))
    exist = np.empty((window + 1, thresholds))
    lowest = np.minimum.reduceat(np.append(bucket, thresholds), np.stack([starts, ends + 1], 1).ravel())[::2]
    for half in range(reach + 1):
        if half:
            capped = order[bounds[half] : bounds[half + 1]]
            np.add.at(alone, (d1[capped], where[capped]), -1.0)
            np.add.at(shared, where[capped], 1.0)
            # A clamped end is still in its zone: the zone is cut there too.
            lowest = np.minimum(lowest, bucket[np.maximum(starts - half, 0)])
            lowest = np.minimum(lowest, bucket[np.minimum(ends + half, n - 1)])
        apart = np.flatnonzero(ends[:-1] + half < starts[1:] - half) + 1
        zones = np.minimum.reduceat(lowest, np.append(0, apart))
        found = np.cumsum(np.bincount(zones, minlength=thresholds)[:thresholds]) / zones.size
        for w in (2 * half, 2 * half + 1):
            if w > window:
                break
            exist[w] = found
            if half:
                soft[w] = np.sqrt(1 - np.arange(1, half + 1) / w) @ alone[1 : half + 1] + shared
    return soft, exist


def _two_nearest(starts: np.ndarray, ends: np.ndarray, reach: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Samples outside the segments within `reach` of one, and the distances to their two nearest segments.

    The second distance is reach + 1 where no second segment is in reach. Of the segments on one side only the
    nearest two can be among the two nearest overall.
    """
    steps = np.arange(1, reach + 1)
    near = np.concatenate([(starts[:, None] - steps).ravel(), (ends[:, None] + steps).ravel()])
    near = np.unique(near[(near >= 0) & (near < n)])
    right = np.searchsorted(starts, near, side="right")
    near, right = (a[(right == 0) | (near > ends[np.maximum(right - 1, 0)])] for a in (near, right))
    far = np.array([2 * n + reach + 2])
    left_edges = np.concatenate([-far, -far, ends])
    right_edges = np.concatenate([starts, far, far])
    around = np.stack(
        [
            near - left_edges[right + 1],
            near - left_edges[right],
            right_edges[right] - near,
            right_edges[right + 1] - near,
        ]
    )
    around.sort(axis=0)
    return near, around[0], np.minimum(around[1], reach + 1)


def _fill(series: np.ndarray) -> np.ndarray:
    valid = np.isfinite(series)
    if valid.all():
        return series
    if not valid.any():
        return np.zeros_like(series)
    last = np.maximum.accumulate(np.where(valid, np.arange(series.size), 0))
    filled = series[last]
    filled[~np.isfinite(filled)] = series[np.argmax(valid)]
    return filled
