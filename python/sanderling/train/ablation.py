"""`python -m sanderling.train.ablation -o FOLDER`: what each part of pre-training is worth.

Small networks, one a part that is switched off, trained with the same seed, data and steps; quality on the committed
tuning list and on injected anomalies in signals kept back from training. A row whose result is in the folder is not
trained again, so that an interrupted table goes on.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch

from ..errors import InputError
from ..model import ModelConfig
from ..model.config import HEAD_DIM
from .ablation_report import FULL, markdown, plot, summary
from .data import Recording, read_recordings
from .losses import LossWeights
from .options import TrainOptions
from .quality import (
    Stretch,
    deployed,
    injected_stretches,
    network_only,
    quality,
    tuning_stretches,
)
from .source import BatchSource
from .tables import exit_status, read_json, write_json, write_text
from .trainer import Trainer


@dataclass(frozen=True)
class Part:
    """A part of pre-training, and what leaves it out: fields of the options, the loss weights and the network."""

    title: str
    options: dict = field(default_factory=dict)
    weights: dict = field(default_factory=dict)
    config: dict = field(default_factory=dict)


PARTS = {
    FULL: Part("everything on"),
    "contrastive": Part("contrastive loss (alpha)", weights={"contrastive": 0.0}),
    "masked": Part("masked reconstruction (beta)", weights={"reconstruction": 0.0}),
    "next_patch": Part("next-patch prediction", weights={"next_patch": 0.0}),
    "scorer": Part("in-context scorer", weights={"scorer": 0.0}),
    "curriculum": Part("curriculum", options={"curriculum": False}),
    "adversarial": Part("adversarial perturbation", options={"adversarial": 0.0}),
    "lookahead": Part("Lookahead", options={"lookahead_k": 0}),
    "graph_attention": Part("graph attention (channels independent instead)", options={"channel_independent": True}),
    "wavelet": Part("wavelet features (raw patches instead)", options={"wavelet": False}),
    "temporal_attention": Part("temporal attention (window 1 instead)", config={"window": 1}),
    "tcn": Part("attention (a TCN's causal convolutions instead)", config={"encoder": "tcn"}),
    "gru": Part("attention (a GRU instead)", config={"encoder": "gru"}),
}


@dataclass(frozen=True)
class Budget:
    """What every row gets; stored in the folder, and a table that goes on must agree."""

    steps: int = 500
    batch: int = 8  # sequences a step
    length: int = 2048  # samples a sequence
    lr: float = 1.5e-3
    d_model: int = 96
    layers: int = 3
    held_out: int = 16  # kept-back batches
    series: int | None = None  # of the tuning list, at most, a set; None: all

    def config(self) -> ModelConfig:
        d, n = self.d_model, self.layers
        return ModelConfig(d_model=d, n_heads=(max(1, d // HEAD_DIM),) * n, ffn=(2 * d,) * n, scorer_hidden=128)

    def options(self, seed: int) -> TrainOptions:
        """Of the row with everything on."""
        return TrainOptions(
            steps=self.steps,
            batch=self.batch,
            length=self.length,
            lr=self.lr,
            warmup=max(1, self.steps // 10),
            seed=seed,
            validate_every=self.steps,
            checkpoint_every=max(1, self.steps // 4),
        )


class Ablation:
    """The rows of one folder.

    Args:
        folder: results (rows/*.json), and the checkpoint of the row that trains now.
        data: recordings with an index.json; None: generated signals only, and no tuning list.

    Raises:
        InputError: the folder holds rows of another budget.
    """

    def __init__(self, folder: Path, budget: Budget, data: Path | None) -> None:
        self.folder, self.budget = Path(folder), budget
        self.recordings: list[Recording] = read_recordings(data) if data else []
        self._agree({"budget": asdict(budget), "recordings": len(self.recordings)})
        config = budget.config()
        self.stretches: dict[str, list[Stretch]] = {"injected": self._injected()}
        if data:
            self.stretches["tuning"] = tuning_stretches(data, config, budget.series)

    def _agree(self, wanted: dict) -> None:
        path = self.folder / "budget.json"
        if path.exists():
            found = read_json(path)
            if found != wanted:
                raise InputError(f"{path}: expected {wanted}, found {found}; use another folder or the same options")
        write_json(path, wanted)

    def _injected(self) -> list[Stretch]:
        """The same for every row and seed."""
        source = BatchSource(replace(self.budget.options(0), batch=16), self.recordings, prefetch=0)
        return injected_stretches(source.valid(self.budget.held_out))

    def result(self, part: str, seed: int) -> Path:
        return self.folder / "rows" / f"{part}-{seed}.json"

    def row(self, part: str, seed: int) -> dict:
        """Train and measure one row, or read its result."""
        path = self.result(part, seed)
        if path.exists():
            return read_json(path)
        begun = time.monotonic()
        chosen = PARTS[part]
        options = replace(self.budget.options(seed), **chosen.options)
        run = self.folder / "runs" / f"{part}-{seed}"
        trainer = Trainer(
            self.budget.config().replace(**chosen.config),
            options,
            replace(LossWeights(), **chosen.weights),
            BatchSource(options, self.recordings, prefetch=0),
            run,
        )
        trainer.resume()
        model = trainer.run().cpu()
        trained = time.monotonic()
        chosen_fusion = deployed(model)
        models = {"deployed": chosen_fusion, "network": network_only(chosen_fusion)}
        found = {where: quality(models, stretches) for where, stretches in self.stretches.items()}
        row = {
            "part": part,
            "seed": seed,
            "weights": sum(p.numel() for p in model.parameters()),
            "train_seconds": trained - begun,
            "measure_seconds": time.monotonic() - trained,
            "quality": found,
        }
        write_json(path, row)
        shutil.rmtree(run)
        return row

    def report(self, rows: list[dict]) -> str:
        """Write ablation.json, .md and .png from the rows that are there; returns the Markdown."""
        table = {
            "budget": asdict(self.budget),
            "config": self.budget.config().to_dict(),
            "weights": rows[0]["weights"],
            "recordings": len(self.recordings),
            "series": {where: len(stretches) for where, stretches in self.stretches.items()},
            **summary(rows, {name: part.title for name, part in PARTS.items()}),
        }
        write_json(self.folder / "ablation.json", table)
        text = markdown(table)
        write_text(self.folder / "ablation.md", text)
        plot(table, self.folder / "ablation.png")
        return text


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    default = Budget()
    p = argparse.ArgumentParser(prog="python -m sanderling.train.ablation", description=__doc__)
    p.add_argument("-o", "--out", type=Path, required=True, metavar="FOLDER", help="results; an old folder goes on")
    p.add_argument(
        "--data",
        type=Path,
        metavar="FOLDER",
        default=os.environ.get("SANDERLING_DATA"),
        help="recordings with an index.json (default: $SANDERLING_DATA)",
    )
    p.add_argument("--rows", nargs="+", choices=tuple(PARTS), default=tuple(PARTS), help="default: all")
    p.add_argument("--seeds", type=int, default=2, help="trainings a row (default: 2)")
    for name in ("steps", "batch", "length", "d_model", "layers", "held_out", "series"):
        value = getattr(default, name)
        p.add_argument(f"--{name.replace('_', '-')}", type=int, default=value, help=f"default: {value or 'all'}")
    p.add_argument("--lr", type=float, default=default.lr)
    p.add_argument("--threads", type=int, help="CPU threads (default: torch's choice)")
    return p


def run(args: argparse.Namespace) -> int:
    """Rows seed by seed, so that a stopped table has whole seeds; the report is rewritten after each row."""
    if args.threads:
        torch.set_num_threads(args.threads)
    budget = Budget(
        args.steps, args.batch, args.length, args.lr, args.d_model, args.layers, args.held_out, args.series
    )
    ablation = Ablation(args.out, budget, args.data)
    parts = [FULL, *(part for part in args.rows if part != FULL)]
    wanted = [(part, seed) for seed in range(args.seeds) for part in parts]
    rows: list[dict] = []
    text = ""
    for number, (part, seed) in enumerate(wanted, 1):
        print(f"[{number}/{len(wanted)}] {part}, seed {seed}", file=sys.stderr, flush=True)
        rows.append(ablation.row(part, seed))
        text = ablation.report(rows)
    print(text, end="")
    print(args.out / "ablation.md")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status: 2 for the user's mistakes, 130 for an interrupt (the same command goes on)."""
    args = parser().parse_args(argv)
    return exit_status("ablation", lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
