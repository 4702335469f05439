"""Pictures of an evaluation: its sets beside the baselines, its best and worst series. Needs the `plot` extra."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from sanderling.errors import StorageError
from sanderling.evaluate.labels import segments
from sanderling.evaluate.series import Series
from sanderling.extras import require
from sanderling.files import write_file
from sanderling.plot import literal

CHANNELS = 3  # panels of a series; those in which its labelled part stands out most
SIGNAL, SCORE, THRESHOLD, LABEL, REFERENCE = "#1f4e79", "#444444", "#d1495b", "#edae49", "#eef3f7"
OTHERS = ("#c9cdd2", "#9fb8cc", "#b8a9c9", "#a3c9a8", "#e0bfa0")


def figure_name(set_name: str, name: str) -> str:
    """A file's name without suffix that is different for every series."""
    return f"{quote(set_name, safe='')}+{quote(name, safe='')}"


class KeptScores:
    """Scores on disk between the evaluation and its plots: FOLDER/scores/<set>+<series>.npy, float32 (time,)."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder) / "scores"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"expected to make the folder {self.folder}, found: {error.strerror}") from error

    def path(self, set_name: str, name: str) -> Path:
        return self.folder / f"{figure_name(set_name, name)}.npy"

    def put(self, set_name: str, name: str, scores: np.ndarray) -> None:
        """Raises StorageError."""
        write_file(self.path(set_name, name), lambda file: np.save(file, scores))

    def get(self, set_name: str, name: str) -> np.ndarray:
        return np.load(self.path(set_name, name), allow_pickle=False)


def extremes(report: dict[str, Any], count: int) -> dict[tuple[str, str], str]:
    """(set, series) -> "best" or "worst": the `count` series of each set with the highest and lowest VUS-PR.

    A set with fewer than 2 * count series shows each of its series once, the lower half as worst.
    """
    chosen: dict[tuple[str, str], str] = {}
    for set_name in report["sets"]:
        rows = [r for r in report["series"] if r["set"] == set_name and not math.isnan(r["vus_pr"])]
        ranked = sorted(rows, key=lambda row: row["vus_pr"])
        low = min(count, len(ranked) // 2)
        high = min(count, len(ranked) - low)
        for kind, part in (("worst", ranked[:low]), ("best", ranked[len(ranked) - high :])):
            chosen.update({(set_name, row["name"]): kind for row in part})
    return chosen


def write_plots(report: dict[str, Any], series: Iterable[Series], kept: KeptScores, folder: str | Path) -> list[Path]:
    """sets.png, and a picture of every one of `series`; returns the files. Raises DependencyError, StorageError."""
    folder = Path(folder)
    rows = {(row["set"], row["name"]): row for row in report["series"]}
    files = [folder / "sets.png"]
    plot_sets(report, files[0])
    for item in series:
        path = folder / f"{figure_name(item.set_name, item.name)}.png"
        plot_series(item, kept.get(item.set_name, item.name), rows[item.set_name, item.name], path)
        files.append(path)
    return files


def plot_sets(report: dict[str, Any], path: Path) -> None:
    """Bars of VUS-PR per set, the model beside the baselines, with the bootstrapped intervals."""
    names = [*report["sets"], "mean"]
    results = {f"{report['model']} ({report['mode']})": report, **report.get("baselines", {})}
    width = 0.8 / len(results)
    figure = _figure(max(7.0, 1.6 * len(names)), 4.2)
    axis = figure.subplots()
    for i, (label, result) in enumerate(results.items()):
        pairs = [(s["vus_pr"], s["intervals"]["vus_pr"]) for s in result["sets"].values()]
        pairs.append((result["mean_vus_pr"], result["mean_vus_pr_interval"]))
        heights = np.array([value for value, _ in pairs])
        low, high = np.array([bounds for _, bounds in pairs], float).T
        # Without an interval (one series) the bar stands without a whisker.
        reach = np.nan_to_num(np.maximum(np.stack([heights - low, high - heights]), 0))
        at = np.arange(len(names)) + (i - (len(results) - 1) / 2) * width
        colour = SIGNAL if i == 0 else OTHERS[(i - 1) % len(OTHERS)]
        axis.bar(at, heights, width * 0.94, color=colour, label=label.replace("_", " "))
        there = reach.any(axis=0)
        whisker = {"fmt": "none", "ecolor": "#333333", "elinewidth": 0.8, "capsize": 1.5}
        axis.errorbar(at[there], heights[there], reach[:, there], **whisker)
    axis.axvline(len(names) - 1.5, color="#bbbbbb", linewidth=0.8)
    axis.set_xticks(range(len(names)), [_set_label(report, name) for name in names])
    axis.set_ylabel("VUS-PR")
    axis.set_ylim(0, 1)
    axis.tick_params(axis="x", length=0)
    axis.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=min(len(results), 6), fontsize=8, frameon=False)
    _save(figure, path)


def plot_series(item: Series, scores: np.ndarray, row: dict[str, Any], path: Path) -> None:
    """The signal (the channels in which the label stands out), the score and its threshold; labels shaded."""
    assert item.labels is not None
    shown = _telling_channels(item)
    figure = _figure(11, 1.6 + 1.25 * len(shown) + 1.5)
    axes = figure.subplots(len(shown) + 1, 1, sharex=True, height_ratios=[1] * len(shown) + [1.4])
    for axis, channel in zip(axes, shown, strict=False):
        axis.plot(item.x[:, channel], color=SIGNAL, linewidth=0.6)
        axis.set_ylabel("signal" if item.x.shape[1] == 1 else f"channel {channel}")
    axes[-1].plot(scores, color=SCORE, linewidth=0.7, label="score", zorder=3)
    axes[-1].set_ylabel("score")
    threshold = row.get("threshold")
    if threshold is not None:
        axes[-1].axhline(threshold, color=THRESHOLD, linewidth=0.9, linestyle="--", label="threshold", zorder=4)
    first, last = segments(item.labels)
    # A single labelled sample of a long recording would be thinner than a pixel.
    least = len(item.x) / 700
    for axis in axes:
        if item.train_end > 0:
            axis.axvspan(0, item.train_end, color=REFERENCE, linewidth=0, zorder=0, label="normal part")
        for i, (begin, end) in enumerate(zip(first, last, strict=True)):
            name = "_" if i else "labelled"
            axis.axvspan(begin, max(end + 1, begin + least), color=LABEL, alpha=0.45, linewidth=0, zorder=1, label=name)
        axis.margins(x=0)
        axis.spines[["top", "right"]].set_visible(False)
    handles, names = axes[-1].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower right", ncols=4, fontsize=8, frameon=False)
    figure.align_ylabels(axes)
    axes[-1].set_xlabel("sample")
    of = f"   {len(shown)} of {item.x.shape[1]} channels" if item.x.shape[1] > len(shown) else ""
    title = f"{item.set_name}/{item.name}   VUS-PR {row['vus_pr']:.3f}{of}"
    axes[0].set_title(literal(title), loc="left", fontsize=10)
    _save(figure, path)


def _telling_channels(item: Series) -> list[int]:
    """The channels whose labelled samples lie farthest from the median, in spreads of the channel."""
    x = np.asarray(item.x, np.float64)
    if x.shape[1] == 1:
        return [0]
    marked = np.asarray(item.labels) != 0
    x = np.where(np.isfinite(x), x, 0)
    off = np.abs(x - np.median(x, axis=0)) / (x.std(axis=0) + 1e-9)
    order = np.argsort(-off[marked].mean(axis=0), kind="stable") if marked.any() else np.arange(x.shape[1])
    return sorted(int(channel) for channel in order[:CHANNELS])


def _set_label(report: dict[str, Any], name: str) -> str:
    return name if name == "mean" else f"{literal(name.replace('_', ' '))}\nn = {report['sets'][name]['n']}"


def _figure(width: float, height: float) -> Any:
    require("matplotlib", "plot")
    return require("matplotlib.figure", "plot").Figure(figsize=(width, height), layout="constrained")


def _save(figure: Any, path: Path) -> None:
    write_file(path, lambda file: figure.savefig(file, format="png", dpi=120))
