"""Makes the .tflite files that the tests score: conversion takes half a minute a model, so they are made once.

usage: tflite_files.py FOLDER

FOLDER/<model>/ has model.gguf, float.graph (what litert-torch converts) and a file for each of FILES. Models: `one`,
the shipped tiny model for one channel, and `two`, random weights for two channels.
"""

from __future__ import annotations

import shutil
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

# name: (precision, target, how the weights are stored or None for the target's own way)
FILES = {
    "fp32": ("fp32", "tflite-runtime", None),
    "litert": ("int8", "litert", None),
    "tflite-runtime": ("int8", "tflite-runtime", None),
    # What tflite-runtime 2.14 loads and scores wrongly, under a name that lets it pass.
    "trap": ("int8", "tflite-runtime", ("dynamic", "CHANNELWISE")),
}
MODELS = {"one": (1, 64), "two": (2, 16)}  # channels, tokens of the sequence graph


def make(folder: Path, name: str) -> None:
    """One model's files."""
    from sanderling.export import tflite
    from sanderling.export.reading import read_native
    from sanderling.export.tflite_graph import float_graph

    from sanderling.runtime.weights import resolve

    folder.mkdir(parents=True, exist_ok=True)
    if name == "one":
        shutil.copy(resolve("tiny"), folder / "model.gguf")
    else:
        sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
        from tests.helpers.random_model import write_random_native

        write_random_native(folder / "model.gguf", n_heads=[2], ffn=[64], memory_budget=256, raw_budget=1024)
    native = read_native(folder / "model.gguf")
    channels, tokens = MODELS[name]
    graph = float_graph(native, channels, tokens, native.config.memory_shape(tflite.LONGEST_REFERENCE, channels))
    (folder / "float.graph").write_bytes(graph)
    for file, (precision, target, storage) in FILES.items():
        stored = tflite.quantised(graph, *storage) if storage else graph
        done = "fp32" if storage else precision
        content = tflite.finished(stored, native, done, target, tokens, channels)
        (folder / f"{file}.tflite").write_bytes(content)


if __name__ == "__main__":
    out = Path(sys.argv[1])
    with ProcessPoolExecutor(len(MODELS)) as pool:
        list(pool.map(make, [out / name for name in MODELS], MODELS))
