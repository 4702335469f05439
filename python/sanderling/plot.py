"""A picture of a scored recording. Needs the `plot` extra."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sanderling.errors import InputError
from sanderling.extras import require
from sanderling.files import write_file

if TYPE_CHECKING:
    from sanderling.score import ScoredRecording

_CHANNELS = 6  # panels; the channels with the highest scores of their own are shown
_SIGNAL, _SCORE, _ALARM, _LABEL = "#1f4e79", "#444444", "#d1495b", "#edae49"


def plot_score(scored: "ScoredRecording", path: Path) -> None:
    """Writes a picture: the signals, the score with its threshold, alarms shaded (and labels, if there are any).

    The suffix of `path` names the format (.png, .svg, .pdf). Raises DependencyError, InputError, StorageError.
    """
    require("matplotlib", "plot")
    kind = path.suffix.removeprefix(".").lower()
    figures = require("matplotlib.figure", "plot")
    shown = _loudest(scored)
    heights = [1.0] * len(shown) + [1.4]
    figure = figures.Figure(figsize=(11, 1.2 + 1.25 * sum(heights)), layout="constrained")
    if kind not in figure.canvas.get_supported_filetypes():
        raise InputError(f"{path}: expected a picture's suffix, found '{path.suffix}'; use .png, .svg or .pdf")
    axes = np.atleast_1d(figure.subplots(len(heights), 1, sharex=True, height_ratios=heights))
    x, unit = _x_axis(scored)
    for axis, channel in zip(axes, shown, strict=False):
        axis.plot(x, scored.recording.values[:, channel], color=_SIGNAL, linewidth=0.7)
        axis.set_ylabel(literal(scored.recording.channels[channel]), rotation=0, ha="right", va="center")
    _score_panel(axes[-1], scored, x)
    for axis in axes:
        _shade(axis, scored, x)
        axis.margins(x=0.005)
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1].legend(loc="upper left", fontsize=8, frameon=False, ncols=4)
    if np.asarray(x).dtype.kind == "M":
        dates = require("matplotlib.dates", "plot")
        locator = dates.AutoDateLocator()
        axes[-1].xaxis.set_major_locator(locator)
        axes[-1].xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
    figure.align_ylabels(axes)
    axes[-1].set_xlabel(unit)
    axes[0].set_title(literal(_title(scored, len(shown))), loc="left", fontsize=10)
    write_file(path, lambda file: figure.savefig(file, format=kind, dpi=120))


def literal(text: str) -> str:
    """A name as matplotlib draws it letter by letter: no formulas between dollars, and letters that it can encode."""
    return text.encode("utf-8", "replace").decode().replace("$", r"\$")


def _loudest(scored: "ScoredRecording") -> list[int]:
    own = scored.explanation.channel_scores
    peak = np.where(np.isnan(own), -np.inf, own).max(axis=0)
    # With frames a channel has several columns: its features.
    peak = peak.reshape(len(scored.recording.channels), -1).max(axis=1)
    order = np.argsort(-peak, kind="stable")[:_CHANNELS]
    return sorted(int(channel) for channel in order)


def _x_axis(scored: "ScoredRecording") -> tuple[Any, str]:
    recording = scored.recording
    if recording.timestamps is not None:
        if recording.timestamps[0] >= 1e9:
            return (recording.timestamps * 1e6).astype("datetime64[us]"), "time (UTC)"
        return recording.timestamps, "time (s)"
    if recording.period_s is not None:
        return np.arange(recording.samples) * recording.period_s, "time (s)"
    return np.arange(recording.samples), "sample"


def _score_panel(axis: Any, scored: "ScoredRecording", x: Any) -> None:
    explanation = scored.explanation
    axis.plot(x, explanation.scores, color=_SCORE, linewidth=0.8, label="score")
    if np.isfinite(explanation.threshold):
        axis.axhline(
            explanation.threshold, color=_ALARM, linewidth=0.9, linestyle="--", label="threshold"
        )
    axis.set_ylabel("score", rotation=0, ha="right", va="center")


def _shade(axis: Any, scored: "ScoredRecording", x: Any) -> None:
    last = len(x) - 1
    for i, alarm in enumerate(scored.alarms):
        name = "_" if i else "alarm"  # one entry in the legend
        axis.axvspan(x[alarm.start], x[min(alarm.end + 1, last)], color=_ALARM, alpha=0.25, linewidth=0, label=name)
    labels = scored.recording.labels
    if labels is None:
        return
    edges = np.flatnonzero(np.diff(labels, prepend=np.int8(0), append=np.int8(0)))
    for i, (start, end) in enumerate(zip(edges[::2], edges[1::2], strict=True)):
        # A band along the bottom: alarms stay visible above it.
        name = "_" if i else "labelled"
        axis.axvspan(x[start], x[min(end, last)], ymax=0.06, color=_LABEL, linewidth=0, label=name)


def _title(scored: "ScoredRecording", shown: int) -> str:
    name = scored.recording.path.name if scored.recording.path else "recording"
    total = len(scored.recording.channels)
    channels = f"{total} channel(s)" if shown == total else f"{shown} of {total} channels"
    return f"{name}   {channels}, {scored.mode}, {len(scored.alarms)} alarm(s), isa {scored.isa}"
