"""Scores many labelled series and averages what the metrics say, per set and over the sets.

    results = evaluate_scores(open_series("eval/nab.npz"), scorer)
    results["sets"]["nab"]["vus_pr"], results["mean_vus_pr"]

A *scorer* is any function (x, train_end, mode) -> scores (time,), or -> (scores, threshold) where
it has a label-free threshold; x is (time, channels) float32. One with a method
`score_series(series, mode)` gets the whole `Series` instead.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np

from sanderling.errors import InputError
from sanderling.evaluate.baselines import reference_end
from sanderling.evaluate.datasets import UCR_NAME, Series
from sanderling.evaluate.metrics import (
    acf_period,
    curve_metrics,
    point_adjusted_f1,
    threshold_metrics,
    ucr_hit,
)

Scorer = Callable[[np.ndarray, int, str], Any]
Row = dict[str, Any]
Progress = Callable[[Row, int], None]

MODES = ("cold", "calibrated")
# One receptive field of the shipped model (4 layers x 16 tokens x 8 samples): alarms closer than this are one.
MERGE_SAMPLES = 512


def evaluate_scores(
    series: Iterable[Series],
    scorer: Scorer,
    mode: str = "calibrated",
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """One scorer over labelled series: {"sets": {name: means}, "mean_vus_pr", "series": rows}.

    Areas are over the whole series (as TSB-AD does), threshold metrics over the samples after the
    reference part. Series without a label array are refused; those without an anomaly count for
    false alarms only. workers > 1 needs a scorer that pickles.
    """
    return evaluate_all(series, {"scores": scorer}, mode, workers=workers, progress=progress)["scores"]


def evaluate_all(
    series: Iterable[Series],
    scorers: Mapping[str, Scorer],
    mode: str = "calibrated",
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> dict[str, dict[str, Any]]:
    """Several scorers in one pass over the series: name -> what `evaluate_scores` returns."""
    if mode not in MODES:
        raise InputError(f"expected mode {' or '.join(MODES)}, found {mode!r}")
    rows: dict[str, list[Row]] = {name: [] for name in scorers}
    jobs = ((item, dict(scorers), mode) for item in series)
    for done, result in enumerate(_mapped(jobs, workers), 1):
        for name, row in result.items():
            rows[name].append(row)
        if progress:
            progress(next(iter(result.values())), done)
    return {name: summarise(of_scorer) for name, of_scorer in rows.items()}


def evaluate_series(item: Series, scorers: Mapping[str, Scorer], mode: str) -> dict[str, Row]:
    """One row a scorer: names, `n_anomalies`, seconds, and every metric that is defined for the series."""
    if item.labels is None:
        raise InputError(f"{item.set_name}/{item.name}: expected labels, found none; choose labelled series")
    window = acf_period(item.x)
    start = reference_end(len(item.x), item.train_end, mode)
    rows = {}
    for name, scorer in scorers.items():
        begun = time.perf_counter()
        scores, threshold = _scored(item, scorer, mode)
        seconds = time.perf_counter() - begun
        row: Row = {"set": item.set_name, "name": item.name, "samples": len(item.x), "seconds": seconds}
        row["has_anomaly"] = bool(item.labels.any() and not item.labels.all())
        row.update(curve_metrics(item.labels, scores, window))
        if UCR_NAME.match(item.name):
            row["ucr_top1"] = float(ucr_hit(item.labels, scores, max(item.train_end, 0)))
        if threshold is not None and math.isfinite(threshold) and start < len(item.x):
            after, late = item.labels[start:], scores[start:]
            row["threshold"] = threshold
            row.update(threshold_metrics(after, late, threshold, item.period_s, MERGE_SAMPLES))
            row.update(point_adjusted_f1(after, late, threshold))
        rows[name] = row
    return rows


def summarise(rows: list[Row]) -> dict[str, Any]:
    """Per set the mean of each metric over the series where it is defined, and the mean of the sets' VUS-PR.

    n: series with an anomaly (those behind vus_pr); n_normal: series without one.
    """
    sets: dict[str, dict[str, Any]] = {}
    for set_name in dict.fromkeys(row["set"] for row in rows):
        members = [row for row in rows if row["set"] == set_name]
        n = sum(row["has_anomaly"] for row in members)
        means = {key: _mean(row.get(key) for row in members) for key in MEANS}
        sets[set_name] = {**means, "n": n, "n_normal": len(members) - n}
    return {"sets": sets, "mean_vus_pr": _mean(s["vus_pr"] for s in sets.values()), "series": rows}


MEANS = (
    "vus_pr",
    "vus_roc",
    "auc_pr",
    "auc_roc",
    "event_f1",
    "event_recall",
    "precision",
    "recall",
    "f1",
    "false_alarms_per_10k",
    "false_alarms_per_day",
    "delay",
    "point_adjusted_f1",
    "random_point_adjusted_f1",
    "ucr_top1",
    "seconds",
)


def _mean(values: Iterable[float | None]) -> float:
    defined = [v for v in values if v is not None and not math.isnan(v)]
    return sum(defined) / len(defined) if defined else math.nan


def _scored(item: Series, scorer: Scorer, mode: str) -> tuple[np.ndarray, float | None]:
    whole = getattr(scorer, "score_series", None)
    result = whole(item, mode) if whole else scorer(item.x, item.train_end, mode)
    scores, threshold = result if isinstance(result, tuple) else (result, None)
    scores = np.asarray(scores)
    if scores.shape != (len(item.x),):
        raise InputError(
            f"{item.set_name}/{item.name}: expected scores of shape {(len(item.x),)} from the scorer, "
            f"found {scores.shape}"
        )
    return scores, threshold


def _mapped(jobs: Iterator[tuple], workers: int) -> Iterator[dict[str, Row]]:
    """Results in the order of the jobs; at most two series a worker are in memory."""
    if workers <= 1:
        yield from (evaluate_series(*job) for job in jobs)
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        running: deque[Future[dict[str, Row]]] = deque()
        for job in jobs:
            running.append(pool.submit(evaluate_series, *job))
            if len(running) >= 2 * workers:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
