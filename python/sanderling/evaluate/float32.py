"""The same weights with float32 activations, beside the engine's INT8: what quantisation costs on each series."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from sanderling.evaluate.metrics import rank_correlation
from sanderling.evaluate.scorers import DetectorScorer
from sanderling.evaluate.series import Series

FLOAT32, SPEARMAN = "float32", "spearman"


class Float32Scorer:
    """Scores like `int8`, a native file's scorer in mode cold or calibrated, with the file's weights in torch.

    Both calibrate themselves. Notes "spearman": the rank correlation of the two, over the samples that both score.
    """

    def __init__(self, int8: DetectorScorer) -> None:
        self.int8 = int8

    def score_series(self, item: Series, mode: str) -> tuple[np.ndarray, None, dict[str, Any]]:
        """Scores (time,) float32, no threshold, and notes."""
        from sanderling.export.network import TorchEngine
        from sanderling.export.reading import read_native
        from sanderling.runtime.detector import Detector
        from sanderling.runtime.graph_model import GraphModel

        reference = item.x[: max(item.train_end, 0)]
        native, notes = self.int8.detector(reference, item.period_s, mode)
        known = item.period_s if math.isfinite(item.period_s) and item.period_s > 0 else None
        found = Detector(GraphModel(TorchEngine(read_native(native.path))))
        if notes["scored"] == "calibrated":
            found.fit(reference, false_alarms=self.int8.false_alarms, period_s=known)
        scores, in_int8 = found.decision_function(item.x), native.decision_function(item.x)
        both = np.isfinite(scores) & np.isfinite(in_int8)
        return scores, None, {**notes, SPEARMAN: rank_correlation(scores[both], in_int8[both])}


def float32_lines(report: Mapping[str, Any]) -> list[str]:
    """Spearman a set, mean (least), their mean, and that over all series; nothing for a run without --float32."""
    rows = report.get("baselines", {}).get(FLOAT32, {}).get("series", [])
    sets: dict[str, list[float]] = {}
    for row in rows:
        sets.setdefault(row["set"], []).append(row[SPEARMAN])
    if not sets:
        return []
    every = np.concatenate(list(sets.values()))
    means = [float(np.mean(ranks)) for ranks in sets.values()]
    return [
        "Spearman of INT8 and float32 a series, mean (least)",
        *(f"{name}: {mean:.3f} ({min(ranks):.3f})" for (name, ranks), mean in zip(sets.items(), means, strict=True)),
        f"mean over the sets {np.mean(means):.3f}, over the {len(every)} series {every.mean():.3f}, "
        f"median {np.median(every):.4f}, below 0.99: {int((every < 0.99).sum())}",
    ]
