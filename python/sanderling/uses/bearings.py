"""Bearing faults in vibration at 48 kHz: `python -m sanderling.uses.bearings -o OUT`.

The evaluation is that of `sanderling.evaluate.vibration` (CWRU rig, `eval/cwru_1797.npz`): calibrated on 1.33 s of the
only normal record, scoring the rest and 13 faulty ones. Added are how many times faster than real time a sensor is
scored, modelled for a Raspberry Pi 4, and the picture.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from sanderling.boards import load_board
from sanderling.evaluate.datasets import open_series
from sanderling.evaluate.series import Series
from sanderling.evaluate.vibration import RECORDS, REFERENCE, evaluate, frame_scores, markdown
from sanderling.runtime.detector import Detector
from sanderling.runtime.frames import output_names
from sanderling.uses import common

RATE = 48_000
BOARD = "rpi4b"
# Cautious for INT8 on one Cortex-A72 core: it issues 8 products a cycle at best, 12 GMAC/s at 1.5 GHz (docs/frames.md).
MACS_PER_S = 1e9
MEMORY_WIDTH = 64  # of a row, in the metric as in the raw memory (docs/model.md section 6)
MEMORY_ROWS = 512 + 4096  # both memories, full
FRAME_OPERATIONS = 5 * 8  # filters and moments of a raw sample (docs/frames.md section 5)
SENSORS = (1, 2, 3)
SHOWN_S = 1.3  # seconds of each record in the picture


def run(inputs: common.Inputs) -> common.Outcome:
    series = list(open_series(inputs.file(*RECORDS.parts)))
    both = max(s.x.shape[1] for s in series)
    tables = {
        "drive end": evaluate(series, inputs.model, slice(0, 1)),
        "both ends": evaluate(series, inputs.model, slice(0, both)),
    }
    rows = real_time(inputs.detector().info)
    headings = ["sensors", "million MAC/s", "of one core", "times real time"]
    cells = [
        [r["sensors"], f"{r['macs_per_s'] / 1e6:.0f}", common.share(1 / r["times"]), f"{r['times']:.1f}"] for r in rows
    ]
    board = load_board(BOARD)
    text = "\n".join(
        [
            *(markdown(name, table) for name, table in tables.items()),
            f"Real time on one core of a {board.name}, modelled, not measured: frames of 10 ms, both memories full, "
            f"{MACS_PER_S / 1e9:.0f} GMAC/s.\n",
            common.grid(headings, cells),
        ]
    )
    return common.Outcome(text, {"tables": tables, "real_time": rows}, picture(series, tables["drive end"], inputs))


def real_time(info: dict[str, Any]) -> list[dict[str, float]]:
    """Per number of 48 kHz sensors: multiply-accumulates a second, and how often one core could do them.

    Counted from above: every stored byte is a weight that a patch uses once, the memories are full.
    """
    patches = RATE / 480 / int(info["patch"])
    attention = 2 * int(info["n_layers"]) * int(info["window"]) * int(info["d_model"])
    patch_macs = int(info["weight_bytes"]) + attention + MEMORY_WIDTH * MEMORY_ROWS
    sensor = len(output_names(("x",), 480)) * patches * patch_macs + RATE * FRAME_OPERATIONS
    return [{"sensors": n, "macs_per_s": n * sensor, "times": MACS_PER_S / (n * sensor)} for n in SENSORS]


def picture(series: list[Series], table: dict[str, Any], inputs: common.Inputs) -> Any:
    """Left: the score of every record over time. Right: its frames above the threshold, RMS's AUROC beside it."""
    normal = next(s for s in series if "Normal" in s.name)
    period = float(normal.period_s)
    detector = Detector.load(inputs.model).fit(normal.x[:REFERENCE, :1], period_s=period)
    figure = common.figure(12, 5)
    left, right = figure.subplots(1, 2, width_ratios=[1.5, 1])
    names = [normal.name, *table["records"]]
    x = {s.name: s.x[:, :1] for s in series} | {normal.name: normal.x[REFERENCE:, :1]}
    colours = _colours([n for n in names if n != normal.name])
    step = table["frame_samples"] * period
    patch = int(str(detector.info["patch"])) // table["frame_samples"]
    for name in reversed(names):
        scores = frame_scores(detector, x[name], period)[: int(SHOWN_S / step)]
        scores = scores[: len(scores) // patch * patch]  # what is left of a record fills no patch
        calm = name == normal.name
        style = (
            {"color": common.SIGNAL, "linewidth": 1.8} if calm else {"color": colours[_kind(name)], "linewidth": 0.7}
        )
        left.plot(np.arange(len(scores)) * step, scores, zorder=3 if calm else 2, **style)
    for kind, colour in colours.items():
        left.plot([], [], color=colour, label=kind)
    left.plot([], [], color=common.SIGNAL, linewidth=1.8, label="normal")
    left.axhline(detector.threshold_, color=common.ALARM, linestyle="--", linewidth=0.9, label="threshold", zorder=4)
    left.set_xlabel("seconds, the first 8 patches left out")
    left.set_ylabel("score of a frame (drive end)")
    left.set_ylim(0, None)
    left.legend(loc="best", fontsize=8, frameon=False)
    rows = table["records"]
    at = np.arange(len(rows))
    right.barh(at - 0.2, [r["auroc"] for r in rows.values()], 0.38, color=common.SIGNAL, label="score's AUROC")
    right.barh(at + 0.2, [r["rms_auroc"] for r in rows.values()], 0.38, color=common.OTHER, label="RMS's AUROC")
    right.plot(
        [r["alarming"] for r in rows.values()], at, "D", color=common.ALARM, markersize=4, label="share alarming"
    )
    right.set_yticks(at, [_short(name) for name in rows], fontsize=8)
    right.invert_yaxis()
    right.set_xlim(0.5 if min(r["alarming"] for r in rows.values()) > 0.55 else 0, 1.02)
    figure.legend(*right.get_legend_handles_labels(), loc="outside upper right", fontsize=8, frameon=False, ncols=3)
    common.tidy([left, right])
    return figure


def _short(name: str) -> str:
    return name.partition("[")[0].removeprefix("1797_").removesuffix("_DE48")


def _kind(name: str) -> str:
    """The fault behind a record's name: B, IR or OR (ball, inner race, outer race) and its size."""
    short = _short(name)
    return next((kind for mark, kind in _KINDS.items() if short.startswith(mark)), short)


_KINDS = {"B": "ball", "IR": "inner race", "OR": "outer race"}


def _colours(names: list[str]) -> dict[str, str]:
    kinds = dict.fromkeys(_kind(name) for name in names)
    palette = ("#d9a441", "#8f6bb1", "#5b9a68", "#b0b0b0")
    return {kind: palette[i % len(palette)] for i, kind in enumerate(kinds)}


if __name__ == "__main__":
    sys.exit(common.main("bearings", run, __doc__))
