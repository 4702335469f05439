"""City and plant: `python -m sanderling.uses.city -o OUT`.

Seven road sensors and one machine's temperature of the Numenta Anomaly Benchmark (`eval/nab.npz`), calibrated on its
probationary period: the first 15 % of a recording, at most 750 samples. Where that is shorter than calibration needs
(256) the detector starts cold. The labels are NAB's windows: wide, and centred on the event.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from sanderling.errors import CalibrationError
from sanderling.evaluate.datasets import open_series
from sanderling.evaluate.series import Series
from sanderling.runtime.explanation import labels_of
from sanderling.uses import common

RECORDS = ("eval", "nab.npz")
TEMPERATURE = "realKnownCause/machine_temperature_system_failure"
TRAFFIC = "realTraffic/"
ROAD_SHOWN = "realTraffic/speed_6005"


def run(inputs: common.Inputs) -> common.Outcome:
    rows: list[dict[str, Any]] = []
    shown: dict[str, tuple[Series, np.ndarray, float]] = {}
    for item in open_series(inputs.file(*RECORDS), lambda _, name: name == TEMPERATURE or name.startswith(TRAFFIC)):
        detector = inputs.detector(period_s=item.period_s)
        mode = "calibrated"
        try:
            detector.fit(item.x[: item.train_end], period_s=item.period_s)
        except CalibrationError:
            mode = "cold"
        scores = detector.decision_function(item.x)
        row = common.quality(item, scores, detector.threshold_)
        rows.append({**row, "name": item.name.rpartition("/")[2], "mode": mode})
        if item.name in (TEMPERATURE, ROAD_SHOWN):
            shown[item.name] = (item, scores, detector.threshold_)
    text = "\n".join(
        [
            "One row a recording; delay in samples (5 minutes; travel times: 10) from the start of NAB's window; "
            "FA/day: false alarms a day.\n",
            common.quality_table("recording", rows, "mode"),
        ]
    )
    return common.Outcome(text, {"recordings": rows}, picture(list(shown.values())))


def picture(shown: list[tuple[Series, np.ndarray, float]]) -> Any:
    """Signal and score of each of `shown`, one column each; labels, alarms and the calibrating part shaded."""
    figure = common.figure(13, 4.6)
    axes = figure.subplots(2, len(shown), sharex="col", squeeze=False)
    for (signal, score), (item, scores, threshold) in zip(axes.T, shown, strict=True):
        assert item.labels is not None
        days = np.arange(len(item.x)) * item.period_s / 86_400
        signal.plot(days, item.x[:, 0], color=common.SIGNAL, linewidth=0.6, zorder=3)
        signal.set_ylabel("signal")
        signal.set_title(item.name.rpartition("/")[2].replace("_", " "), loc="left", fontsize=10)
        common.score_panel(score, days, scores, threshold)
        score.set_xlabel("days")
        for axis in (signal, score):
            axis.axvspan(0, days[item.train_end], color=common.NORMAL, linewidth=0, zorder=0, label="calibrates")
            common.shade(axis, item.labels, days, common.LABEL, "labelled")
            common.shade(axis, labels_of(scores, threshold), days, common.ALARM, "alarm", ymin=0.96, alpha=1)
    common.tidy(axes.ravel())
    figure.legend(
        *axes[1, 0].get_legend_handles_labels(), loc="outside lower right", ncols=5, fontsize=8, frameon=False
    )
    return figure


if __name__ == "__main__":
    sys.exit(common.main("city", run, __doc__))
