"""`sanderling pretrain`: pre-train a base model on generated and permissively licensed signals."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sanderling.cli.options import positive, whole
from sanderling.runtime.graph_spec import ENCODERS

if TYPE_CHECKING:
    from sanderling.train.distributed import Place
    from sanderling.train.trainer import Trainer

HELP = "pre-train a base model (train extra)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    parser.add_argument("-o", "--out", required=True, metavar="FOLDER", help="checkpoints, log, weights")
    parser.add_argument("--size", choices=("base", "small", "micro"), default="base")
    parser.add_argument(
        "--grow-from",
        metavar="FOLDER",
        help="start from this finished run's network, widened to twice its width",
    )
    parser.add_argument("--steps", type=whole, default=4000)
    parser.add_argument("--batch", type=whole, default=16, help="sequences a step, in each process (default: 16)")
    parser.add_argument("--lr", type=positive, default=1e-3, help="peak learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--data",
        metavar="FOLDER",
        default=os.environ.get("SANDERLING_DATA"),
        help="recordings with an index.json (default: $SANDERLING_DATA; none: generated only)",
    )
    parser.add_argument("--threads", type=whole, help="CPU threads (default: torch's choice)")
    parser.add_argument("--alpha", type=float, default=0.5, help="weight of the contrastive loss")
    parser.add_argument("--beta", type=float, default=1.0, help="weight of masked reconstruction")
    parser.add_argument("--no-next-patch", action="store_true", help="without next-patch prediction")
    parser.add_argument("--no-scorer", action="store_true", help="without the in-context scorer")
    parser.add_argument("--no-curriculum", action="store_true")
    parser.add_argument("--no-adversarial", action="store_true")
    parser.add_argument("--no-lookahead", action="store_true")
    parser.add_argument("--no-wavelet", action="store_true", help="the encoder sees raw patches only")
    parser.add_argument(
        "--no-temporal-attention", action="store_true", help="each patch sees itself only"
    )
    parser.add_argument(
        "--learned-fusion", action="store_true", help="keep the learned fusion, not the chosen one"
    )
    parser.add_argument(
        "--scorer-steps", type=whole, default=150, help="steps that fit the scorer to the chosen fusion"
    )
    parser.add_argument(
        "--encoder", choices=ENCODERS, default=ENCODERS[0], help="the native engine runs the transformer only (default)"
    )
    parser.add_argument("--channel-independent", action="store_true", help="without graph attention")


def start_from(trainer: Trainer, folder: Path) -> None:
    """Set the trainer's network to the widened one of a finished run."""
    from sanderling.errors import InputError
    from sanderling.model import ModelConfig, Sanderling
    from sanderling.train.checkpoint import load_checkpoint
    from sanderling.train.grow import doubled, widen

    state = load_checkpoint(folder / "checkpoint.pt")
    source = ModelConfig.from_dict(state["config"])
    if doubled(source) != trainer.config:
        raise InputError(
            f"--grow-from {folder}: expected a network of half the size asked for (d_model "
            f"{trainer.config.d_model // 2}), found d_model {source.d_model}"
        )
    narrow = Sanderling(source, trainer.options.channel_independent)
    narrow.load_state_dict(state["model"])
    trainer.start_from(widen(narrow, trainer.options.seed))


def show_scorer(step: int, loss: float) -> None:
    """Every 25th step's loss on stderr."""
    if step % 25 == 0:
        print(f"scorer {step}: {loss:.3f}", file=sys.stderr)


def run(args: argparse.Namespace) -> int:
    """Trains or resumes; an interrupt saves a checkpoint, and the same command goes on.

    Under torchrun all processes train one model: each draws --batch sequences of its own a step.
    """
    from sanderling.extras import require

    require("torch", "train")
    from sanderling.train.distributed import joined

    with joined() as place:
        return train(args, place)


def train(args: argparse.Namespace, place: Place) -> int:
    """One process's part; the first one reports and writes."""
    import torch

    from sanderling.model import SIZES
    from sanderling.train.checkpoint import save_weights
    from sanderling.train.data import read_recordings
    from sanderling.train.fusion import fit_scorer, set_weights, share_mlp
    from sanderling.train.losses import LossWeights
    from sanderling.train.options import TrainOptions
    from sanderling.train.plot import plot_losses
    from sanderling.train.source import BatchSource
    from sanderling.train.trainer import Trainer

    if args.threads:
        torch.set_num_threads(args.threads)
    options = TrainOptions(
        steps=args.steps,
        batch=args.batch,
        lr=args.lr,
        seed=args.seed,
        warmup=min(200, max(1, args.steps // 10)),
        lookahead_k=0 if args.no_lookahead else 5,
        adversarial=0.0 if args.no_adversarial else 0.05,
        curriculum=not args.no_curriculum,
        channel_independent=args.channel_independent,
        wavelet=not args.no_wavelet,
    )
    recordings = read_recordings(args.data) if args.data else []
    if place.first:
        processes = f"; {place.world} processes" if place.world > 1 else ""
        print(
            f"{len(recordings)} real series beside the generated ones; model {args.size}{processes}",
            file=sys.stderr,
        )
    folder = Path(args.out)
    trainer = Trainer(
        SIZES[args.size].replace(encoder=args.encoder, **({"window": 1} if args.no_temporal_attention else {})),
        options,
        LossWeights(
            contrastive=args.alpha,
            reconstruction=args.beta,
            next_patch=0.0 if args.no_next_patch else 1.0,
            scorer=0.0 if args.no_scorer else 1.0,
        ),
        BatchSource(options, recordings, rank=place.rank),
        folder,
        place=place,
    )
    if args.grow_from:
        start_from(trainer, Path(args.grow_from))
    if trainer.resume() and place.first:
        print(f"going on from step {trainer.step} of {folder}", file=sys.stderr)
    model = trainer.run()
    if not place.first:
        return 0
    if not args.learned_fusion:
        set_weights(model)
        batches = BatchSource(replace(options, curriculum=False), recordings).train(options.steps)
        fit_scorer(model, batches, args.scorer_steps, mixed=trainer.mixed, progress=show_scorer)
        batches.close()
        share_mlp(model)
    metadata = {
        "options": json.dumps(asdict(options), sort_keys=True),
        "data": ", ".join(["generated", *sorted({r.name.partition("/")[0] for r in recordings})]),
    }
    save_weights(folder / "model.safetensors", model, metadata)
    try:
        plot_losses(folder / "log.jsonl", folder / "loss.png")
    except ImportError:
        print("no loss plot: pip install 'sanderling[plot]'", file=sys.stderr)
    print(folder / "model.safetensors")
    return 0
