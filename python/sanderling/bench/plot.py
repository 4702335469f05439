"""The plot of a result: a bar a row, one panel a mode."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from sanderling.extras import require

from .entries import NATIVE, STREAM, WINDOW

_TITLES = {WINDOW: "window: 64 tokens (512 samples)", STREAM: "stream: one patch (8 samples)"}
_OWN, _PEER, _WRONG = "#c8553d", "#8d99ae", "#dddddd"


def png(document: Mapping[str, Any]) -> bytes:
    """Medians with p10 to p90, microseconds on a logarithmic axis; rows whose answers do not agree are pale."""
    require("matplotlib", "plot")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = {mode: _rows(document, mode) for mode in _TITLES if _rows(document, mode)}
    heights = [len(rows) + 1.5 for rows in panels.values()]
    figure = Figure(figsize=(7.5, 0.24 * sum(heights) + 0.9), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axis, (mode, rows) in zip(axes, panels.items(), strict=True):
        _panel(axis, _TITLES[mode], rows)
    figure.suptitle(f"one thread, {document['machine']['processor']}", fontsize=9)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=90)
    return out.getvalue()


def _rows(document: Mapping[str, Any], mode: str) -> list[Mapping[str, Any]]:
    return sorted((row for row in document["rows"] if row["mode"] == mode), key=lambda row: -row["median_us"])


def _panel(axis: Any, title: str, rows: list[Mapping[str, Any]]) -> None:
    at = range(len(rows))
    medians = [row["median_us"] for row in rows]
    spans = [[row["median_us"] - row["p10_us"] for row in rows], [row["p90_us"] - row["median_us"] for row in rows]]
    colours = [_WRONG if not row["checked"] else _OWN if row["engine"] == NATIVE else _PEER for row in rows]
    axis.barh(at, medians, color=colours, height=0.7, xerr=spans, error_kw={"lw": 0.7, "ecolor": "#333333"})
    names = [f"native {row['isa']}" if row["engine"] == NATIVE else f"{row['engine']} {row['variant']}" for row in rows]
    axis.set_yticks(list(at), names, fontsize=7)
    axis.set_xscale("log")
    axis.set_xlim(min(row["p10_us"] for row in rows) / 1.5, max(row["p90_us"] for row in rows) * 2.2)
    for i, row in zip(at, rows, strict=True):
        axis.text(row["p90_us"] * 1.06, i, f"{row['median_us']:,.0f}", va="center", fontsize=7)
    axis.set_title(title, fontsize=9, loc="left")
    axis.set_xlabel("microseconds, median (p10 to p90)", fontsize=7)
    axis.tick_params(axis="x", labelsize=7)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
