"""Scores with .tflite files in another Python: tflite-runtime's, or an emulated ARM's, which has no core of ours.

usage: tflite_worker.py IN.npz OUT.npz FILE...      IN: x (samples, channels); calibrated on its first half

OUT has arrays by "<file's stem>.<what>": cold, stream (in chunks of 40), calibrated, threshold, causal (1: a last patch
changed no earlier score of the sequence graph); and version.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from sanderling.runtime.graph import GraphMachine, empty_memory
from sanderling.runtime.graph_model import GraphModel
from sanderling.runtime.tflite_engine import open_engine

CHUNK = 40


def scored(model: GraphModel, x: np.ndarray, chunk: int) -> np.ndarray:
    """(samples,) by a fresh stream."""
    stream = model.stream(x.shape[1])
    parts = [stream.update(x[i : i + chunk])[0] for i in range(0, len(x), chunk)]
    return np.concatenate([*parts, stream.flush()[0]])


def causal(model: GraphModel) -> bool:
    """Whether the loudest last patch leaves the rest of a block alone, and is itself heard."""
    engine = model.engine
    channels, tokens = engine.channels, engine.tokens[-1]
    x = np.random.default_rng(0).standard_normal((8 * tokens, channels)).astype(np.float32)
    changed = x.copy()
    changed[-8:] = 20
    location, scale = np.zeros(channels, np.float32), np.ones(channels, np.float32)
    found = []
    for samples in (x, changed):
        machine = GraphMachine(engine, channels, location, scale, empty_memory(engine, channels))
        found.append(machine.run(samples, np.ones_like(x), ["score", "smoothed", "metric"]))
    a, b = found
    same = all(np.array_equal(a[k][:, :-1], b[k][:, :-1]) for k in ("smoothed", "metric"))
    return same and np.array_equal(a["score"][:-1], b["score"][:-1]) and a["score"][-1] != b["score"][-1]


def results(path: Path, x: np.ndarray) -> dict[str, np.ndarray]:
    """Everything about one file."""
    model = GraphModel.of_file(open_engine(path, {"threads": 1}))
    fitted = model.calibrate(x[: len(x) // 2], False, 1.0, 0.0, 0.0)
    found = {
        "cold": scored(model, x, len(x)),
        "stream": scored(model, x, CHUNK),
        "calibrated": scored(fitted, x, len(x)),
        "threshold": np.float32(fitted.info()["threshold"]),
        "causal": np.bool_(causal(model)),
        "version": np.array(model.engine.version),
    }
    return {f"{path.stem}.{name}": value for name, value in found.items()}


def main(arguments: list[str]) -> None:
    """See above."""
    with np.load(arguments[0]) as given:
        x = given["x"]
    found: dict[str, np.ndarray] = {}
    for name in arguments[2:]:
        found |= results(Path(name), x)
    np.savez(arguments[1], **found)


if __name__ == "__main__":
    main(sys.argv[1:])
