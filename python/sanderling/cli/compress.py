"""`sanderling compress`: prune a base model, distil it, quantise it to INT8, and report what it cost."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from sanderling.cli.options import positive, whole

HELP = "prune, distil and quantise a model (train extra)"
SUFFIXES = (".safetensors", ".gguf")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    parser.add_argument("base", type=Path, help="weights written by pretrain (.safetensors)")
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="pruned weights (.safetensors) or the native INT8 file (.gguf)",
    )
    parser.add_argument("--target", type=float, default=0.2, help="share of the base's MACs to keep (default: 0.2)")
    parser.add_argument("--steps", type=whole, default=300, help="fine-tuning steps (default: 300)")
    parser.add_argument("--batch", type=whole, default=8, help="sequences a step (default: 8)")
    parser.add_argument("--length", type=int, default=2048, help="samples a sequence")
    parser.add_argument("--lr", type=positive, default=1e-3, help="peak learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--one-shot", action="store_true", help="cut once, before fine-tuning")
    parser.add_argument(
        "--data",
        metavar="FOLDER",
        default=os.environ.get("SANDERLING_DATA"),
        help="recordings with an index.json (default: $SANDERLING_DATA; none: generated only)",
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="report as JSON; a .md beside it")
    parser.add_argument("--resume", type=Path, metavar="FOLDER", help="keep a checkpoint here, and go on from it")
    parser.add_argument("--threads", type=whole, help="CPU threads (default: torch's choice)")


def run(args: argparse.Namespace) -> int:
    """Compresses; an interrupt saves a checkpoint when --resume is given."""
    from sanderling.errors import InputError
    from sanderling.extras import require

    if args.out.suffix not in SUFFIXES:
        raise InputError(f"-o: expected a name ending in {' or '.join(SUFFIXES)}, found {args.out.name}")
    require("torch", "train")
    require("torch_pruning", "train")
    import torch

    from sanderling.compress.pipeline import Signals, compress, markdown
    from sanderling.compress.prune import PruneOptions
    from sanderling.runtime.graph_spec import ENCODERS
    from sanderling.train.checkpoint import load_weights, save_weights
    from sanderling.train.data import read_recordings
    from sanderling.train.trainer import bf16_is_fast

    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    base, _ = load_weights(args.base)
    for folder in filter(None, (args.out.parent, args.report and args.report.parent)):
        folder.mkdir(parents=True, exist_ok=True)  # before the work, not after it
    if base.config.encoder != ENCODERS[0]:
        raise InputError(
            f"{args.base}: expected a {ENCODERS[0]}, which the native engine runs, found the encoder "
            f"{base.config.encoder!r}; export it to onnx or tflite as it is"
        )
    options = PruneOptions(
        target=args.target,
        steps=args.steps,
        lr=args.lr,
        one_shot=args.one_shot,
        mixed=bf16_is_fast(torch.device("cpu")),
    )
    recordings = tuple(read_recordings(args.data)) if args.data else ()
    signals = Signals(args.batch, args.length, args.seed, recordings)
    begin = time.monotonic()
    try:
        result = compress(base, options, signals, args.resume, _progress(begin))
    except KeyboardInterrupt as error:
        print(f"\n{error if args.resume else 'stopped; nothing was kept (no --resume)'}", file=sys.stderr)
        raise
    lineage = _lineage(args.base, result.report["plan"], recordings)
    if args.out.suffix == ".gguf":
        from sanderling.cli.export import write_int8

        write_int8(args.out, result.model, result.tensors, lineage)
    else:
        save_weights(args.out, result.model, lineage)
    table = markdown(result.report)
    if args.report:
        report = {**result.report, "lineage": lineage, "seconds": time.monotonic() - begin}
        args.report.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        args.report.with_suffix(".md").write_text(table, encoding="utf-8")
    print(table, end="")
    print(args.out)
    return 0


def _lineage(base: Path, plan: list[dict], recordings: tuple) -> dict[str, str]:
    """What the native file's sanderling.lineage keys state."""
    from sanderling.cli.export import sha256

    sets = sorted({r.name.partition("/")[0] for r in recordings})
    return {
        "base_sha256": sha256(base),
        "plan": json.dumps(plan, separators=(",", ":")),
        "data": ", ".join(["generated", *sets]),
    }


def _progress(begin: float) -> Callable[[int, int, dict[str, float]], None]:
    """Shows a line on stderr: each step on a terminal, every 25 elsewhere."""
    live = sys.stderr.isatty()

    def show(step: int, steps: int, report: dict[str, float]) -> None:
        if not live and step % 25 and step != steps:
            return
        left = (time.monotonic() - begin) / step * (steps - step)
        bar = "#" * (20 * step // steps)
        print(
            f"[{bar:.<20}] {step}/{steps} loss {report['loss']:.3f} MACs {report['macs']:.1%} "
            f"({left / 60:.1f} min left)",
            end="\r" if live and step < steps else "\n",
            file=sys.stderr,
        )

    return show
