"""The demo's pictures, written beside the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sanderling.extras import require

from .recordings import DemoRecording

ANOMALY, REFERENCE = "#d1495b", "#8fb996"


def _figure(width: float, height: float) -> Any:
    require("matplotlib", "plot")
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def draw_scores(
    r: DemoRecording, cold: np.ndarray, calibrated: np.ndarray, threshold: float, folder: Path
) -> None:
    """Signal, cold score, calibrated score with its threshold; anomalies and reference shaded."""
    figure = _figure(11, 5.4)
    axes = figure.subplots(3, 1, sharex=True)
    x = r.series.x
    offset = np.nanstd(x, axis=0).max() * 4 * np.arange(x.shape[1])
    axes[0].plot(x + offset, lw=0.5, color="#1f4e79")
    axes[0].set_title(f"{r.name}: {x.shape[0]:,} samples, {x.shape[1]} channel(s)", loc="left")
    axes[0].set_ylabel("signal")
    axes[1].plot(cold, lw=0.7, color="#444444")
    axes[1].set_ylabel("cold")
    axes[2].plot(calibrated, lw=0.7, color="#444444")
    axes[2].axhline(threshold, lw=0.8, ls="--", color=ANOMALY)
    axes[2].set_ylabel("calibrated")
    axes[2].set_xlabel("sample (green: normal part that calibrates; red: labelled anomaly)")
    labels = r.labels
    edges = np.flatnonzero(np.diff(np.concatenate([[0], labels, [0]])))
    for axis in axes:
        axis.axvspan(0, r.reference, color=REFERENCE, alpha=0.25, lw=0)
        for start, end in edges.reshape(-1, 2):
            axis.axvspan(start, max(end, start + len(x) / 800), color=ANOMALY, alpha=0.35, lw=0)
        axis.margins(x=0.005)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(folder / f"{r.name}.png", dpi=100)


def draw_bars(rows: dict[str, dict], folder: Path) -> None:
    """VUS-PR of the shipped model beside the simple detectors, per labelled recording."""
    kinds = ("random", "amplitude", "raw_knn", "zero_shot", "calibrated")
    labelled = {name: row for name, row in rows.items() if row["labelled"]}
    figure = _figure(8, 3.2)
    axis = figure.subplots()
    for k, kind in enumerate(kinds):
        at = np.arange(len(labelled)) + (k - 2) * 0.16
        axis.bar(at, [row[f"vus_pr_{kind}"] for row in labelled.values()], 0.15, label=kind)
    axis.set_xticks(np.arange(len(labelled)), list(labelled))
    axis.set_ylabel("VUS-PR")
    axis.set_ylim(0, 1)
    axis.legend(ncols=5, frameon=False, fontsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(folder / "vus_pr.png", dpi=110)
