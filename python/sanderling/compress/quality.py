"""Detection quality on kept-back signals with injected anomalies: what a report states a step.

These are the trainer's own signals; recordings of the evaluation sets play no part in compression.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from ..evaluate.metrics import auc_pr, auc_roc
from ..model import Sanderling
from ..train.step import Batch
from .int8 import Int8Reference
from .network import Network, window_scores

# batch -> s_bar (b, c, tokens)
Scorer = Callable[[Batch], np.ndarray]


def float_scorer(model: Sanderling, network: torch.nn.Module | None = None) -> Scorer:
    """Scores by a float model, or by `network` (NNCF's stand-in) in its place."""
    network = Network(model) if network is None else network

    def score(batch: Batch) -> np.ndarray:
        return window_scores(model, network, batch.x, batch.valid, batch.reference).numpy()

    return score


def int8_scorer(reference: Int8Reference) -> Scorer:
    """Scores by the INT8 reference."""

    def score(batch: Batch) -> np.ndarray:
        windows = zip(batch.x.numpy(), batch.valid.numpy(), strict=True)
        return np.stack([reference.window_scores(x, v, batch.reference) for x, v in windows])

    return score


def live_scores(score: Scorer, batches: Sequence[Batch]) -> list[np.ndarray]:
    """Scores (b, c, tokens) after the reference part, a batch."""
    return [score(batch)[..., batch.reference :] for batch in batches]


def detection_quality(scores: Sequence[np.ndarray], batches: Sequence[Batch]) -> dict[str, float]:
    """AUROC and AUC-PR over the patches after the reference, all windows together."""
    labels = [batch.labels[..., batch.reference :].numpy() for batch in batches]
    y = np.concatenate([a.ravel() for a in labels]).astype(np.uint8)
    s = np.concatenate([a.ravel() for a in scores])
    return {"auc_roc": auc_roc(y, s), "auc_pr": auc_pr(y, s)}


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Rank correlation of two arrays, ties averaged."""

    def ranks(values: np.ndarray) -> np.ndarray:
        _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
        last = np.cumsum(counts)
        return ((last - (counts - 1) / 2)[inverse.ravel()]).astype(np.float64)

    x, y = ranks(np.ravel(a)), ranks(np.ravel(b))
    x, y = x - x.mean(), y - y.mean()
    norm = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / norm) if norm > 0 else float("nan")


def agreement(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> float:
    """Mean Spearman a window (all channels of it together)."""
    pairs = [pair for x, y in zip(a, b, strict=True) for pair in zip(x, y, strict=True)]
    return float(np.mean([spearman(x, y) for x, y in pairs]))


def anomalous_error(a: Sequence[np.ndarray], b: Sequence[np.ndarray], batches: Sequence[Batch]) -> float:
    """Mean |a - b| on anomalous patches, in standard deviations of b."""
    labels = np.concatenate([batch.labels[..., batch.reference :].numpy().ravel() for batch in batches])
    x, y = (np.concatenate([s.ravel() for s in scores]) for scores in (a, b))
    return float(np.abs(x - y)[labels].mean() / max(y.std(), 1e-12)) if labels.any() else float("nan")
