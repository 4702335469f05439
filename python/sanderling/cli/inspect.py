"""`sanderling inspect FILE`: what a model's file holds, without running anything."""

from __future__ import annotations

import argparse
import json
from importlib import import_module
from pathlib import Path
from typing import Any

HELP = "what a .gguf, .onnx or .tflite file holds: shapes, operators, types, sizes, metadata, hash"
# format -> module with describe(path)
READERS = {
    "gguf": "sanderling.runtime.gguf_file",
    "onnx": "sanderling.runtime.onnx_file",
    "tflite": "sanderling.runtime.tflite_file",
}
WIDTH = 160  # characters of a metadata value that are shown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    parser.add_argument("file", help="a model's file, or the name of a shipped one")
    parser.add_argument("--tensors", action="store_true", help="every stored tensor, too")
    parser.add_argument("--json", action="store_true", help="everything as JSON")


def run(options: argparse.Namespace) -> int:
    """Prints the description."""
    from sanderling.runtime.backends import format_of
    from sanderling.runtime.weights import resolve

    path = resolve(options.file)
    found = import_module(READERS[format_of(path)]).describe(path)
    if options.json:
        print(json.dumps(found))
    else:
        _print(path, found, options.tensors)
    return 0


def _print(path: Path, found: dict[str, Any], tensors: bool) -> None:
    print(f"{path}: {found['format']}, {found['bytes']:,} bytes, sha256 {found['sha256']}")
    for key, value in found["metadata"].items():
        text = _clean(value)
        print(f"  {key}: {text if len(text) <= WIDTH else text[:WIDTH] + ' ...'}")
    for graph in found["graphs"]:
        print(f"graph {_clean(graph['name'])}")
        for side in ("inputs", "outputs"):
            for tensor in graph[side]:
                print(f"  {side[:-1]:6} {_line(tensor)}")
        counts = ", ".join(f"{_clean(name)} {n}" for name, n in graph["operators"].items())
        if counts:
            print(f"  operators: {counts}")
        for dtype, size in graph["constants"].items():
            print(f"  stored {dtype}: {size['tensors']} tensors, {size['bytes']:,} bytes")
        for tensor in graph.get("tensors", ()) if tensors else ():
            print(f"  tensor {_line(tensor)}, {tensor['bytes']:,} bytes")


def _line(tensor: dict[str, Any]) -> str:
    shape = ", ".join(_clean(n) for n in tensor["shape"])
    return f"{_clean(tensor['name'])}: {tensor['dtype']} ({shape})"


def _clean(value: Any) -> str:
    """A file may hold control characters that a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in str(value))
