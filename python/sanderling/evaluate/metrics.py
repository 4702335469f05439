"""Detection quality of one labelled series: areas over all thresholds, and what one threshold gives.

Everywhere labels is (time,) of 0 and 1, scores (time,) with higher = more anomalous, and alarms (time,) bool. A NaN
score counts as the lowest of all and never alarms. A value that is not defined (no anomaly, no normal sample) is
NaN, never 0. InputError for shapes that differ and for labels other than 0 and 1.
"""

from __future__ import annotations

import numpy as np

from sanderling.errors import InputError
from sanderling.evaluate.labels import check_labels, ranked, segments
from sanderling.evaluate.vus import acf_period, vus

__all__ = [
    "acf_period",
    "alarms_at",
    "auc_pr",
    "auc_roc",
    "best_f1",
    "curve_metrics",
    "delays",
    "event_f1",
    "false_alarms",
    "point_adjusted_f1",
    "point_metrics",
    "threshold_metrics",
    "ucr_hit",
    "vus",
]

NAN = float("nan")


def _ranking(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True and false positives at every distinct score from the highest down, and those scores."""
    y, s = check_labels(labels, scores)
    s = ranked(s)
    order = np.argsort(-s, kind="stable")
    descending = s[order]
    last = np.flatnonzero(np.append(descending[1:] != descending[:-1], [True] * (s.size > 0)))
    tp = np.cumsum(y[order], dtype=np.float64)[last]
    return tp, last + 1 - tp, descending[last]


def auc_pr(labels: np.ndarray, scores: np.ndarray) -> float:
    """Average precision: sum of precision * gain in recall over the distinct scores, without interpolation."""
    tp, fp, _ = _ranking(labels, scores)
    if not tp.size or tp[-1] == 0:
        return NAN
    return float(np.sum(np.diff(tp, prepend=0.0) * tp / (tp + fp)) / tp[-1])


def auc_roc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve; tied pairs count one half."""
    tp, fp, _ = _ranking(labels, scores)
    if not tp.size or tp[-1] == 0 or fp[-1] == 0:
        return NAN
    height = np.append(0.0, tp)
    return float(np.sum(np.diff(fp, prepend=0.0) * (height[1:] + height[:-1]) / 2) / (tp[-1] * fp[-1]))


def curve_metrics(labels: np.ndarray, scores: np.ndarray, window: int) -> dict[str, float]:
    """The four areas of one series: vus_pr, vus_roc (for this window, see `acf_period`), auc_pr, auc_roc."""
    areas = {"auc_pr": auc_pr(labels, scores), "auc_roc": auc_roc(labels, scores)}
    return {**vus(labels, scores, window), **areas}


def alarms_at(scores: np.ndarray, threshold: float) -> np.ndarray:
    """scores > threshold as (time,) bool."""
    return np.greater(scores, threshold)


def point_metrics(labels: np.ndarray, alarms: np.ndarray) -> dict[str, float]:
    """precision, recall and f1 over samples; precision is 0 where nothing alarms."""
    y, a = check_labels(labels, alarms)
    a = a.astype(bool)
    hits = float(np.sum(y & a))
    precision = hits / a.sum() if a.any() else 0.0
    recall = hits / y.sum() if y.any() else NAN
    return {"precision": float(precision), "recall": float(recall), "f1": _harmonic(precision, recall)}


def best_f1(labels: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """Highest sample-wise F1 over all thresholds, and its threshold (alarm where score >= threshold).

    It looks at the labels: an upper bound beside other results, never a result.
    """
    tp, fp, levels = _ranking(labels, scores)
    if not tp.size or tp[-1] == 0:
        return NAN, NAN
    f1 = 2 * tp / (tp + fp + tp[-1])
    best = int(np.argmax(f1))
    return float(f1[best]), float(levels[best])


def event_f1(labels: np.ndarray, alarms: np.ndarray) -> dict[str, float]:
    """Harmonic mean of event recall and sample precision.

    An event is a run of ones in labels; it is found if one of its samples alarms. Precision stays
    sample-wise, so that one endless alarm is no good detector (Garg et al. 2021, "composite
    F-score"; "event-based F1" of TSB-AD).
    """
    y, a = check_labels(labels, alarms)
    found = _reached(y, a.astype(bool))
    recall = float(found.mean()) if found.size else NAN
    precision = point_metrics(labels, alarms)["precision"]
    return {"event_f1": _harmonic(precision, recall), "event_recall": recall}


def false_alarms(
    labels: np.ndarray, alarms: np.ndarray, period_s: float = NAN, merge: int = 0, start: int = 0
) -> dict[str, float]:
    """Runs of alarming normal samples, per 10,000 normal samples and per day of normal samples.

    Runs at most `merge` samples apart count once. Samples before `start` and labelled samples are left out; a run that
    starts inside a label and outlasts it is not a false alarm. period_s: seconds a sample, NaN = unknown, then
    false_alarms_per_day is NaN.
    """
    y, a = check_labels(labels, alarms)
    a = a.astype(bool) & (np.arange(y.size) >= start)
    firsts, lasts = segments(a)
    if firsts.size:
        keep = np.append(True, firsts[1:] - lasts[:-1] - 1 > merge)
        firsts, lasts = firsts[keep], lasts[np.append(keep[1:], True)]
    count = float(np.sum(~y[firsts]))
    normal = int(np.sum(~y[start:]))
    return {
        "false_alarms": count,
        "false_alarms_per_10k": count * 10000 / normal if normal else NAN,
        "false_alarms_per_day": count * 86400 / (normal * period_s) if normal and period_s > 0 else NAN,
    }


def delays(labels: np.ndarray, alarms: np.ndarray) -> np.ndarray:
    """Samples from the start of each found event to its first alarm, int64 (found events,)."""
    y, a = check_labels(labels, alarms)
    starts, _ = segments(y)
    at = np.flatnonzero(a.astype(bool))
    starts = starts[_reached(y, a.astype(bool))]
    return at[np.searchsorted(at, starts)] - starts


def threshold_metrics(
    labels: np.ndarray, scores: np.ndarray, threshold: float, period_s: float = NAN, merge: int = 0
) -> dict[str, float]:
    """What one threshold gives: point and event metrics, false alarms, median delay (samples)."""
    alarms = alarms_at(scores, threshold)
    late = delays(labels, alarms)
    return {
        **point_metrics(labels, alarms),
        **event_f1(labels, alarms),
        **false_alarms(labels, alarms, period_s, merge),
        "delay": float(np.median(late)) if late.size else NAN,
    }


def point_adjusted_f1(labels: np.ndarray, scores: np.ndarray, threshold: float, seed: int = 0) -> dict[str, float]:
    """Point-adjusted F1 beside that of random scores alarming equally often.

    Point adjustment counts a whole event as found once one of its samples alarms; random scores
    reach 0.95 on long events (Kim et al. 2022). So it is never returned without the random figure.
    """
    y, _ = check_labels(labels, scores)
    alarms = alarms_at(scores, threshold)
    chance = np.random.default_rng(seed).permutation(alarms)
    pair = {"point_adjusted_f1": alarms, "random_point_adjusted_f1": chance}
    return {name: point_metrics(labels, _adjusted(y, a))["f1"] for name, a in pair.items()}


def ucr_hit(labels: np.ndarray, scores: np.ndarray, start: int = 0) -> bool:
    """Whether the top-scored sample at or after `start` lies in the anomaly, widened by max(100, its length) each side.

    The UCR Anomaly Archive's score: exactly one labelled run a series (InputError otherwise). Ties: the first.
    """
    y, s = check_labels(labels, scores)
    begins, ends = segments(y)
    if begins.size != 1:
        raise InputError(f"expected exactly one labelled run (UCR Anomaly Archive), found {begins.size}")
    reach = max(100, int(ends[0] - begins[0] + 1))
    top = start + int(np.argmax(ranked(s)[start:]))
    return bool(begins[0] - reach <= top <= ends[0] + reach)


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's, ties ranked by their mean; 1 where either is constant and both are equal."""
    ranks = [_ranks(a), _ranks(b)]
    if not (np.ptp(ranks[0]) > 0 and np.ptp(ranks[1]) > 0):
        return 1.0 if np.array_equal(a, b) else 0.0
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return ((ends - counts + ends - 1) / 2)[inverse]


def _reached(y: np.ndarray, alarms: np.ndarray) -> np.ndarray:
    starts, ends = segments(y)
    before = np.append(0, np.cumsum(alarms))
    return before[ends + 1] > before[starts]


def _adjusted(y: np.ndarray, alarms: np.ndarray) -> np.ndarray:
    starts, ends = segments(y)
    adjusted = alarms.copy()
    for first, last, found in zip(starts, ends, _reached(y, alarms), strict=True):
        if found:
            adjusted[first : last + 1] = True
    return adjusted


def _harmonic(a: float, b: float) -> float:
    if np.isnan(a) or np.isnan(b):
        return NAN
    return float(2 * a * b / (a + b)) if a + b > 0 else 0.0
