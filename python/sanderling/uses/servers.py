"""Servers: `python -m sanderling.uses.servers -o OUT`.

Machines of the Server Machine Dataset (`eval/smd.npz`: 38 metrics a minute, a normal half, then a labelled half). The
detector is calibrated on the normal half; its threshold needs no labels (one false alarm a day wanted). The first table
says what is found, how late, and VUS-PR beside raw-window kNN; the second names the metrics behind the detections.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from sanderling.evaluate.datasets import open_series
from sanderling.evaluate.labels import segments
from sanderling.evaluate.series import Series
from sanderling.runtime.explanation import Explanation
from sanderling.uses import common

RECORDS = ("eval", "smd.npz")
NAMED = 5  # detections listed a machine
TOP = 3  # metrics named a detection at most
NEAR = 0.5  # of the highest score: a metric below it isn't named
# The data set's columns, as its publishers name them.
METRICS = (
    "cpu_r load_1 load_5 load_15 mem_shmem mem_u mem_u_e total_mem disk_q disk_r disk_rb disk_svc disk_u disk_w "
    "disk_wa disk_wb si so eth1_fi eth1_fo eth1_pi eth1_po tcp_tw tcp_use active_opens curr_estab in_errs in_segs "
    "listen_overflows out_rsts out_segs passive_opens retransegs tcp_timeouts udp_in_dg udp_out_dg udp_rcv_buf_errs "
    "udp_snd_buf_errs"
).split()


def run(inputs: common.Inputs) -> common.Outcome:
    rows: list[dict[str, Any]] = []
    hits: list[dict[str, Any]] = []
    best, shown = -1.0, None
    for item in open_series(inputs.file(*RECORDS)):
        detector = inputs.detector().fit(item.x[: item.train_end], period_s=item.period_s)
        found = detector.explain(item.x)
        row = common.quality(item, found.scores, detector.threshold_)
        mine = detections(item, found)
        if row["f1"] > best:
            best, shown = row["f1"], picture(item, found, mine)
        rows.append(row)
        hits += mine[:NAMED]
    text = "\n".join(
        [
            "One row a machine; delay in minutes, the median of the events found; FA/day: false alarms a day.\n",
            common.quality_table("machine", rows),
            f"The first {NAMED} events found on each machine, and the metrics (at most {TOP}) whose own scores "
            "stand out while it lasts:\n",
            common.grid(["machine", "minute of the test", "delay (min)", "metrics (own score)"], map(_named, hits)),
        ]
    )
    return common.Outcome(text, {"machines": rows, "detections": hits}, shown)


def detections(item: Series, found: Explanation) -> list[dict[str, Any]]:
    """The labelled events that alarm: start and delay in samples, and the channels that stand out with their scores."""
    assert item.labels is not None
    marks, alarms = item.labels[item.train_end :], found.labels[item.train_end :]
    own = np.nan_to_num(found.channel_scores[item.train_end :])
    rows = []
    for first, last in zip(*segments(marks), strict=True):
        at = np.flatnonzero(alarms[first : last + 1])
        if not at.size:
            continue
        peaks = own[first : last + 1].max(axis=0)
        order = np.argsort(-peaks, kind="stable")[:TOP]
        top = [int(channel) for channel in order if peaks[channel] >= NEAR * peaks[order[0]]]
        rows.append(
            {
                "name": item.name,
                "start": int(first),
                "end": int(last),
                "delay": int(at[0]),
                "metrics": {channel: float(peaks[channel]) for channel in top},
            }
        )
    return rows


def picture(item: Series, found: Explanation, hits: Sequence[dict[str, Any]]) -> Any:
    """The test half of one machine: the metrics named most, the score; labels and alarms shaded."""
    assert item.labels is not None
    votes: dict[int, float] = {}
    for hit in hits:
        for channel, score in hit["metrics"].items():
            votes[channel] = votes.get(channel, 0.0) + score
    channels = sorted(sorted(votes, key=lambda channel: -votes[channel])[:TOP]) or [0]
    hours = np.arange(len(item.x) - item.train_end) * item.period_s / 3600
    figure = common.figure(12, 2.2 + 1.4 * len(channels))
    axes = figure.subplots(len(channels) + 1, 1, sharex=True, height_ratios=[1] * len(channels) + [1.6])
    for axis, channel in zip(axes, channels, strict=False):
        axis.plot(hours, item.x[item.train_end :, channel], color=common.SIGNAL, linewidth=0.6, zorder=3)
        axis.set_ylabel(METRICS[channel])
    common.score_panel(axes[-1], hours, found.scores[item.train_end :], found.threshold)
    for axis in axes:
        common.shade(axis, item.labels[item.train_end :], hours, common.LABEL, "labelled")
        common.shade(axis, found.labels[item.train_end :], hours, common.ALARM, "alarm", ymin=0.97, alpha=1)
    common.tidy(axes)
    figure.align_ylabels(axes)
    axes[-1].set_xlabel("hours since the test half began")
    axes[0].set_title(f"{item.name}: {item.x.shape[1]} metrics, calibrated on the normal half", loc="left", fontsize=10)
    figure.legend(*axes[-1].get_legend_handles_labels(), loc="outside lower right", ncols=4, fontsize=8, frameon=False)
    return figure


def _named(hit: dict[str, Any]) -> list[object]:
    metrics = ", ".join(f"{METRICS[channel]} ({score:.1f})" for channel, score in hit["metrics"].items())
    return [hit["name"], hit["start"], hit["delay"], metrics]


if __name__ == "__main__":
    sys.exit(common.main("servers", run, __doc__))
