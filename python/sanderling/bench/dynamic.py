"""Dynamic mode's wall time beside the full mode's, on recordings."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sanderling.runtime.detector import Detector

from .entries import PATCH

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
    """Wall time of dynamic mode over the full mode's, in turns; None where there is no recording.

    "stream": patch by patch, as a board gets its samples; "batch": whole recordings, many patches at once. saved: 1 -
    dynamic / full, of the times over all recordings.
    """
    found = [_compared(model, *recording, rounds) for recording in recordings(paths)]
    if not found:
        return None
    result: dict[str, Any] = {"recordings": found}
    for how in _WAYS:
        full, fast = (sum(row[f"{how}_{mode}_ms"] for row in found) for mode in ("full", "dynamic"))
        result[how] = {"full_ms": round(full, 3), "dynamic_ms": round(fast, 3), "saved": round(1 - fast / full, 4)}
    return result


def _compared(
    model: Path | str | None, name: str, reference: np.ndarray, live: np.ndarray, rounds: int
) -> dict[str, Any]:
    modes = {mode: Detector.load(model, dynamic=mode == "dynamic").fit(reference) for mode in ("full", "dynamic")}
    row: dict[str, Any] = {"recording": name, "samples": len(live), "channels": live.shape[1]}
    for how, score in _WAYS.items():
        times: dict[str, list[int]] = {mode: [] for mode in modes}
        for _ in range(rounds):
            for mode, detector in modes.items():
                begin = time.perf_counter_ns()
                score(detector, live)
                times[mode].append(time.perf_counter_ns() - begin)
        row |= {f"{how}_{mode}_ms": round(float(np.median(taken)) / 1e6, 3) for mode, taken in times.items()}
    fast = modes["dynamic"]
    return row | {"skipped": round(fast.last_skipped / max(fast.last_tokens, 1), 4)}


def _stream(detector: Detector, live: np.ndarray) -> None:
    stream = detector.stream()
    for i in range(0, len(live), PATCH):
        stream.update(live[i : i + PATCH])


def _batch(detector: Detector, live: np.ndarray) -> None:
    detector.decision_function(live)


_WAYS: dict[str, Callable[[Detector, np.ndarray], None]] = {"stream": _stream, "batch": _batch}
