"""`sanderling export`: write a model's weights in a format that runs elsewhere."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sanderling.model import Sanderling

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


def write_int8(path: Path, model: Sanderling, tensors: dict, lineage: dict[str, str]) -> None:
    """The native file of a quantised model, its variant named after width, heads and FFN in all."""
    from sanderling.export.native import write_native

    config = model.config
    variant = f"d{config.d_model}-h{sum(config.n_heads)}-f{sum(config.ffn)}"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_native(path, {**config.to_dict(), "variant": variant}, tensors, lineage)


def _native(path: Path, model: Sanderling, lineage: dict[str, str]) -> None:
    from sanderling.compress.quantise import to_native_tensors

    write_int8(path, model, to_native_tensors(model), lineage)


WRITERS = {"native": _native}
