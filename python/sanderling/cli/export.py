"""`sanderling export`: write a model's weights in a format that runs elsewhere."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

HELP = "write a model as a native INT8 file (train extra)"
LINEAGE = ("base_sha256", "plan", "data")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    parser.add_argument("model", type=Path, help="weights written by pretrain or compress")
    parser.add_argument("--format", choices=tuple(WRITERS), default="native")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE")


def run(args: argparse.Namespace) -> int:
    """Exports; prints the file's path."""
    from sanderling.extras import require

    require("torch", "train")
    from sanderling.train.checkpoint import load_weights

    model, metadata = load_weights(args.model)
    lineage = {name: metadata[name] for name in LINEAGE if name in metadata}
    WRITERS[args.format](args.out, model, {"base_sha256": sha256(args.model), **lineage})
    print(args.out)
    return 0


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _native(path: Path, model, lineage: dict[str, str]) -> None:
    from sanderling.compress.quantise import to_native_tensors
    from sanderling.export.native import write_native

    write_native(path, model.config, to_native_tensors(model), lineage)


WRITERS = {"native": _native}
