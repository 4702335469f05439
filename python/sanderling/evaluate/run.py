"""Scores many labelled series and averages what the metrics say, per set and over the sets.

    results = evaluate_scores(open_series("eval/nab.npz"), scorer)
    results["sets"]["nab"]["vus_pr"], results["mean_vus_pr"]

A *scorer* is any function (x, train_end, mode) -> scores (time,), or -> (scores, threshold) where
it has a label-free threshold, or -> (scores, threshold, notes), notes for the series' row; x is
(time, channels) float32. One with a method `score_series(series, mode)` gets the whole `Series` instead.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from sanderling.errors import InputError
from sanderling.evaluate.baselines import MODES, reference_end
from sanderling.evaluate.bootstrap import defined, interval, interval_over_sets
from sanderling.evaluate.datasets import UCR_NAME
from sanderling.evaluate.dynamic import SHARES
from sanderling.evaluate.jobs import run_jobs
from sanderling.evaluate.labels import check_labels
from sanderling.evaluate.metrics import (
    acf_period,
    curve_metrics,
    point_adjusted_f1,
    threshold_metrics,
    ucr_hit,
)
from sanderling.evaluate.series import Series

Scorer = Callable[[np.ndarray, int, str], Any]
Row = dict[str, Any]
# One receptive field of the shipped model (4 layers x 16 tokens x 8 samples): alarms closer than this are one.
MERGE_SAMPLES = 512


def evaluate_scores(
    series: Iterable[Series],
    scorer: Scorer,
    mode: str = "calibrated",
    *,
    workers: int = 1,
    dask: str | None = None,
) -> dict[str, Any]:
    """One scorer over labelled series: {"sets": {name: means}, "mean_vus_pr", "series": rows, ...}, see `summarise`.

    Areas are over the whole series (as TSB-AD does), threshold metrics over the samples after the
    reference part. Series without a label array are refused; those without an anomaly count for
    false alarms only. workers > 1 and dask (see `jobs.run_jobs`) need a scorer that pickles.
    """
    return evaluate_all(series, {"scores": scorer}, mode, workers=workers, dask=dask)["scores"]


def evaluate_all(
    series: Iterable[Series],
    scorers: Mapping[str, Scorer],
    mode: str = "calibrated",
    *,
    workers: int = 1,
    dask: str | None = None,
) -> dict[str, dict[str, Any]]:
    """Several scorers in one pass over the series: name -> what `evaluate_scores` returns."""
    found: dict[int, dict[str, Row]] = {}
    evaluate_each(series, scorers, mode, found.__setitem__, workers=workers, dask=dask)
    return summarise_all([found[index] for index in sorted(found)], scorers)


def evaluate_each(
    series: Iterable[Series],
    scorers: Mapping[str, Scorer],
    mode: str,
    finished: Callable[[int, dict[str, Row]], None],
    *,
    keep_scores: str | None = None,
    workers: int = 1,
    dask: str | None = None,
) -> None:
    """Calls finished(index, scorer's name -> row) as each series ends, in any order; see `evaluate_series`."""
    if mode not in MODES:
        raise InputError(f"expected mode {', '.join(MODES)}, found {mode!r}")
    jobs = ((item, dict(scorers), mode, keep_scores) for item in series)
    run_jobs(evaluate_series, jobs, finished, workers=workers, dask=dask)


def evaluate_series(
    item: Series, scorers: Mapping[str, Scorer], mode: str, keep_scores: str | None = None
) -> dict[str, Row]:
    """One row a scorer: set, name, samples, seconds, and every metric that is defined for the series.

    keep_scores: the scorer whose row also holds "scores", float32 (time,).
    """
    where = f"{item.set_name}/{item.name}"
    if item.labels is None:
        raise InputError(f"{where}: expected labels, found none; choose labelled series")
    if item.x.ndim != 2 or not item.x.size:
        raise InputError(f"{where}: expected at least one sample and one channel, found shape {item.x.shape}")
    if item.train_end > len(item.x):
        found = f"{item.train_end} of {len(item.x)} samples"
        raise InputError(f"{where}: expected train_end within the recording, found {found}; -1 is no split")
    try:
        check_labels(item.labels, item.x[:, 0])
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    window = acf_period(item.x)
    start = reference_end(len(item.x), item.train_end, mode)
    rows = {}
    for name, scorer in scorers.items():
        begun = time.perf_counter()
        scores, threshold, notes = _scored(item, scorer, mode)
        seconds = time.perf_counter() - begun
        row: Row = {"set": item.set_name, "name": item.name, "samples": len(item.x), "seconds": seconds}
        row.update(notes)
        row["has_anomaly"] = bool(item.labels.any() and not item.labels.all())
        row.update(curve_metrics(item.labels, scores, window))
        if UCR_NAME.match(item.name):
            row["ucr_top1"] = float(ucr_hit(item.labels, scores, max(item.train_end, 0)))
        if threshold is not None and math.isfinite(threshold) and start < len(item.x):
            after, late = item.labels[start:], scores[start:]
            row["threshold"] = threshold
            row.update(threshold_metrics(after, late, threshold, item.period_s, MERGE_SAMPLES))
            row.update(point_adjusted_f1(after, late, threshold))
        if name == keep_scores:
            row["scores"] = scores.astype(np.float32)
        rows[name] = row
    return rows


def summarise_all(found: Sequence[Mapping[str, Row]], scorers: Iterable[str]) -> dict[str, dict[str, Any]]:
    """`summarise` for each scorer over the rows of all series."""
    return {name: summarise([rows[name] for rows in found]) for name in scorers}


def summarise(rows: Sequence[Row]) -> dict[str, Any]:
    """Per set the mean of each metric over the series where it is defined, and the mean of the sets' VUS-PR.

    n: series with an anomaly (those behind vus_pr); n_normal: series without one. "intervals": bootstrapped 95 %
    intervals of the means of `INTERVALS`; "mean_vus_pr_interval": that of the mean over sets. "series_vus_pr": the mean
    over all series, TSB-AD's headline. "series": the rows.
    """
    sets: dict[str, dict[str, Any]] = {}
    members: dict[str, list[Row]] = {}
    for row in rows:
        members.setdefault(row["set"], []).append(row)
    for set_name, inside in members.items():
        shares = [key for key in SHARES if any(key in row for row in inside)]
        columns = {key: [row.get(key) for row in inside] for key in (*MEANS, *shares)}
        n = sum(row["has_anomaly"] for row in inside)
        sets[set_name] = {
            **{key: _mean(column) for key, column in columns.items()},
            "n": n,
            "n_normal": len(inside) - n,
            "intervals": {key: list(interval(columns[key])) for key in INTERVALS},
        }
    vus_pr = [[row["vus_pr"] for row in inside] for inside in members.values()]
    return {
        "sets": sets,
        "mean_vus_pr": _mean(of_set["vus_pr"] for of_set in sets.values()),
        "mean_vus_pr_interval": list(interval_over_sets(vus_pr)),
        "series_vus_pr": _mean(value for values in vus_pr for value in values),
        "series": list(rows),
    }


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


INTERVALS = ("vus_pr", "vus_roc", "auc_pr", "event_f1", "precision", "recall", "f1", "ucr_top1")


def _mean(values: Iterable[float | None]) -> float:
    v = defined(values).tolist()
    return sum(v) / len(v) if v else math.nan


def _scored(item: Series, scorer: Scorer, mode: str) -> tuple[np.ndarray, float | None, Row]:
    whole = getattr(scorer, "score_series", None)
    result = whole(item, mode) if whole else scorer(item.x, item.train_end, mode)
    given = (*result, {}) if isinstance(result, tuple) else (result, None, {})
    scores, threshold, notes = np.asarray(given[0]), given[1], given[2]
    if scores.shape != (len(item.x),):
        raise InputError(
            f"{item.set_name}/{item.name}: expected scores of shape {(len(item.x),)} from the scorer, "
            f"found {scores.shape}"
        )
    return scores, threshold, notes
