"""What dynamic mode (docs/model.md section 12) skips: shares of the patches, and of the multiply-accumulates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

# Means of a set that only a dynamic run has.
SHARES = ("skipped", "skipped_in_anomalies", "macs_saved")


def skipped_shares(skipped: np.ndarray, labels: np.ndarray | None, patch: int) -> dict[str, float]:
    """Shares of the skipped (patches, channels) bool: "skipped", over all, and "skipped_in_anomalies".

    labels: (time,), 1 inside an anomaly; a patch of `patch` samples with one such sample counts as inside. NaN where
    no patch is.
    """
    shares = {"skipped": _share(skipped), "skipped_in_anomalies": math.nan}
    if labels is not None:
        padded = np.zeros(len(skipped) * patch, bool)
        padded[: len(labels)] = np.asarray(labels) != 0
        inside = padded.reshape(len(skipped), patch).any(axis=1)
        shares["skipped_in_anomalies"] = _share(skipped[inside])
    return shares


def dynamic_lines(report: Mapping[str, Any]) -> list[str]:
    """The shares a set and their mean over the sets as text; nothing for a run without dynamic mode."""
    sets = {name: of_set for name, of_set in report["sets"].items() if SHARES[0] in of_set}
    if not sets:
        return []
    mean = {key: float(np.mean([of_set[key] for of_set in sets.values()])) for key in SHARES}
    said = [f"{name}: {_said(of_set)}" for name, of_set in {**sets, "mean over the sets": mean}.items()]
    return ["dynamic mode (share of the patches skipped, of those inside anomalies, of the MACs saved)", *said]


def _said(of_set: Mapping[str, float]) -> str:
    return "  ".join(f"{of_set[key]:.3f}" for key in SHARES)


def _share(mask: np.ndarray) -> float:
    return float(mask.mean()) if mask.size else math.nan
