"""How well texts are told apart: AUROC, F1 at the label-free threshold, and the trivial baselines beside them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sanderling.errors import InputError
from sanderling.text.detector import TextDetector, fuse
from sanderling.text.head import fine_tune
from sanderling.text.logs import LogDetector
from sanderling.text.sets import TextSet

LABELS = 50
WINDOW = 20  # lines


@dataclass(frozen=True)
class Quality:
    auroc: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Result:
    """One task: quality calibrated and (None without) with labels, AUROC of each baseline, sizes."""

    name: str
    calibrated: Quality
    labelled: Quality | None
    baselines: dict[str, float]
    reference: int
    normal: int
    anomalies: int


def auroc(scores: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Area under the ROC curve: the share of (anomaly, normal) pairs in order; ties count half."""
    values, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    rank = np.cumsum(count) - (count - 1) / 2
    positive = labels == 1
    n = int(positive.sum())
    return float((rank[place][positive].sum() - n * (n + 1) / 2) / (n * (len(labels) - n)))


def quality(scores: NDArray[np.floating], labels: NDArray[np.integer], threshold: float) -> Quality:
    """AUROC, and precision, recall and F1 of score > threshold (0 where undefined)."""
    found = scores > threshold
    hits = int((found & (labels == 1)).sum())
    precision, recall = hits / max(int(found.sum()), 1), hits / max(int((labels == 1).sum()), 1)
    return Quality(auroc(scores, labels), precision, recall, 2 * precision * recall / max(precision + recall, 1e-12))


def template(text: str) -> str:
    """A line with every word that has a digit as <*>: a trivial template."""
    return re.sub(r"\S*\d\S*", "<*>", text)


def baselines(reference: Sequence[str]) -> dict[str, Callable[[str], float]]:
    """Scores that need no model: what a result has to beat."""
    known = {template(text) for text in reference}
    return {
        "length": len,
        "digits": lambda text: sum(character.isdigit() for character in text),
        "capitals": lambda text: sum(character.isupper() for character in text),
        "unseen template": lambda text: template(text) not in known,
    }


@dataclass(frozen=True)
class Split:
    """A task's reference, and its test: truth int64, 1 = anomalous."""

    reference: list[str]
    texts: list[str]
    truth: NDArray[np.int64]


def halves(task: TextSet, normal: str, seed: int = 0, limit: int | None = None) -> Split:
    """Half of the texts of class `normal` (shuffled by `seed`) is the reference, the other half and all others the
    test. limit: texts of each class."""
    rng = np.random.RandomState(seed)
    classes = np.array(task.classes)
    inside, outside = np.flatnonzero(classes == normal), np.flatnonzero(classes != normal)
    rng.shuffle(inside)
    if limit is not None:
        inside, outside = inside[:limit], rng.permutation(outside)[:limit]
    half = len(inside) // 2
    tested = np.concatenate([inside[half:], outside])
    truth = (classes[tested] != normal).astype(np.int64)
    return Split([task.texts[i] for i in inside[:half]], [task.texts[i] for i in tested], truth)


def evaluate(
    task: TextSet,
    normal: str,
    encoder: bytes | None,
    labels: int = LABELS,
    seed: int = 0,
    limit: int | None = None,
) -> Result:
    """The detector's quality on `halves`. With `labels` > 0 so many anomalies, drawn at random, also train a head and
    leave its test. Raises InputError where no anomaly is left."""
    split = halves(task, normal, seed, limit)
    reference, texts, truth = split.reference, split.texts, split.truth
    anomalies = int(truth.sum())
    if labels < 0 or anomalies <= labels:
        raise InputError(
            f"expected 0 labels or more, and more anomalies than labels in {task.name}, found {labels} labels and "
            f"{anomalies} anomalies; change --labels"
        )
    detector = TextDetector.calibrate(reference, encoder)
    labelled = None
    if labels:
        shown = np.random.RandomState(seed).permutation(np.flatnonzero(truth == 1))[:labels]
        rest = np.setdiff1d(np.arange(len(texts)), shown)
        tuned = fine_tune(detector, [texts[i] for i in shown])
        logits, nats = tuned.scores_and_nats(texts)
        labelled = quality(logits[rest], truth[rest], tuned.threshold_)
        scores = fuse(nats)
    else:
        scores = detector.decision_function(texts)
    result = quality(scores, truth, detector.threshold_)
    simple = {
        name: auroc(np.array([rule(text) for text in texts], np.float64), truth)
        for name, rule in baselines(reference).items()
    }
    sizes = (len(reference), len(texts) - anomalies, anomalies)
    return Result(f"{task.name} {normal}", result, labelled, simple, *sizes)


@dataclass(frozen=True)
class LogResult:
    """One way of scoring a log: quality by line, and by window of `WINDOW` lines (anomalous with one that is; its score
    is its largest)."""

    name: str
    lines: Quality
    windows: Quality


def evaluate_log(task: TextSet, normal: str, encoder: bytes | None) -> list[LogResult]:
    """Every second normal line in order is the reference, the others with all anomalies in order the test: log mode,
    the text alone, and whether a line's template is unseen."""
    classes = np.array(task.classes)
    inside = np.flatnonzero(classes == normal)
    reference = [task.texts[i] for i in inside[::2]]
    tested = np.setdiff1d(np.arange(len(classes)), inside[::2])
    texts, truth = [task.texts[i] for i in tested], (classes[tested] != normal).astype(np.int64)
    log = LogDetector.calibrate(reference, encoder)
    known = baselines(reference)["unseen template"]
    scored = {
        "log mode": (log.decision_function(texts), log.threshold_),
        "text alone": (log.text.decision_function(texts), log.text.threshold_),
        "unseen template": (np.array([known(text) for text in texts], np.float64), 0.5),
    }
    starts = np.arange(0, len(texts), WINDOW)
    windows = np.maximum.reduceat(truth, starts)
    return [
        LogResult(
            f"{task.name}, {name}",
            quality(scores, truth, threshold),
            quality(np.maximum.reduceat(scores, starts), windows, threshold),
        )
        for name, (scores, threshold) in scored.items()
    ]


def log_table(results: Sequence[LogResult]) -> str:
    """A Markdown table, one row a way of scoring."""
    parts = ["AUROC", "precision", "recall", "F1"]
    head = ["log", *(f"{part}, lines" for part in parts), *(f"{part}, windows" for part in parts)]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for result in results:
        both = (result.lines, result.windows)
        lines.append(_row(result.name, [v for q in both for v in (q.auroc, q.precision, q.recall, q.f1)]))
    return "\n".join(lines)


def table(results: Sequence[Result], labels: int = LABELS) -> str:
    """A Markdown table, one row a task; tasks of one set that has several get a row with their mean."""
    names = list(results[0].baselines) if results else []
    head = ["set", "AUROC", "precision", "recall", "F1", f"AUROC, {labels} labels", "F1", *names]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    groups: dict[str, list[list[float]]] = {}
    for result in results:
        a, b = result.calibrated, result.labelled
        row = [a.auroc, a.precision, a.recall, a.f1, b.auroc if b else np.nan, b.f1 if b else np.nan]
        row += [result.baselines[name] for name in names]
        lines.append(_row(result.name, row))
        groups.setdefault(result.name.split(" ")[0], []).append(row)
    lines += [_row(f"{name} mean", np.mean(rows, 0)) for name, rows in groups.items() if len(rows) > 1]
    return "\n".join(lines)


def _row(name: str, values: Sequence[float] | NDArray) -> str:
    return f"| {name} | " + " | ".join("-" if np.isnan(v) else f"{v:.3f}" for v in values) + " |"
