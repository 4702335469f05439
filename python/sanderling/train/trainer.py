"""Pre-training: curriculum, adversarial passes, AdamW inside Lookahead, checkpoints and resume."""

from __future__ import annotations

import json
import math
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path

import torch

from ..errors import InputError
from ..model import ModelConfig, Sanderling
from .checkpoint import load_checkpoint, save_checkpoint
from .data import Batch as Arrays
from .distributed import Place
from .lookahead import Lookahead
from .losses import LossWeights
from .options import TrainOptions
from .raw_features import drop_wavelet
from .source import BatchSource
from .step import Batch, Objective, autocast, backward, losses, total


def bf16_is_fast(device: torch.device) -> bool:
    """Whether bfloat16 matrix products pay on this device."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())


def show_progress(step: int, steps: int, report: dict[str, float], rate: float) -> None:
    """One line on stderr, rewritten in place on a terminal."""
    parts = " ".join(f"{k} {v:.3f}" for k, v in report.items())
    left = (steps - step) / rate if rate > 0 else 0
    done = int(20 * step / steps)
    bar = "#" * done + "." * (20 - done)
    end = "\r" if sys.stderr.isatty() else "\n"
    print(f"[{bar}] {step}/{steps} {parts} ({left / 60:.1f} min left)", end=end, file=sys.stderr)


class Trainer:
    """Runs or resumes one pre-training.

    Args:
        config, options, weights: model, run and loss.
        source: where the batches come from.
        folder: checkpoint.pt and log.jsonl go here.
        place: this process among those that train together (train.distributed); each needs its own source.
    """

    def __init__(
        self,
        config: ModelConfig,
        options: TrainOptions,
        weights: LossWeights,
        source: BatchSource,
        folder: Path,
        device: torch.device | None = None,
        place: Place | None = None,
    ) -> None:
        self.config, self.options, self.weights = config, options, weights
        self.source, self.folder = source, Path(folder)
        self.place = place or Place()
        default = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.device = device or self.place.device or default
        self.mixed = bf16_is_fast(self.device)
        torch.manual_seed(options.seed)
        self.model = Sanderling(config, options.channel_independent).to(self.device)
        if not options.wavelet:
            drop_wavelet(self.model)
        unused = options.channel_independent or min(asdict(weights).values()) == 0
        self.objective = self.place.averaging(Objective(self.model, weights), unused)
        decay = [p for p in self.model.parameters() if p.ndim > 1]
        rest = [p for p in self.model.parameters() if p.ndim <= 1]
        self.fast = torch.optim.AdamW(
            [
                {"params": decay, "weight_decay": options.weight_decay},
                {"params": rest, "weight_decay": 0.0},
            ],
            lr=options.lr,
            betas=(0.9, 0.98),
        )
        self.optimizer = self._look_ahead()
        self.step = 0
        self.interrupted = False

    def _look_ahead(self) -> Lookahead | torch.optim.Optimizer:
        k = self.options.lookahead_k
        return Lookahead(self.fast, k, self.options.lookahead_alpha) if k else self.fast

    def start_from(self, model: Sanderling) -> None:
        """Begin with another network's weights (of the same shape) instead of random ones."""
        self.model.load_state_dict(model.state_dict())
        self.optimizer = self._look_ahead()  # its slow weights begin here too

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    def resume(self) -> bool:
        """Continue from the folder's checkpoint, if there is one (the first process's folder)."""
        there = self.place.first and self.checkpoint.exists()
        state = self.place.from_first(load_checkpoint(self.checkpoint) if there else None)
        if state is None:
            return False
        # An option that came later has its default in an older checkpoint.
        options = {**asdict(TrainOptions()), **state["options"]}
        options["processes"] = state.get("processes", 1)
        found = {"config": state["config"], "options": options}
        own = {**asdict(self.options), "processes": self.place.world}
        wanted = {"config": self.config.to_dict(), "options": own}
        if found != wanted:
            changed = sorted(
                k for part in wanted for k in wanted[part] if found[part].get(k) != wanted[part][k]
            )
            raise InputError(
                f"{self.checkpoint}: expected the options it was started with, found other values "
                f"of {', '.join(changed)}; use another folder or the same options"
            )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
        return True

    def save(self) -> None:
        if not self.place.first:
            return
        save_checkpoint(
            self.checkpoint,
            {
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "step": self.step,
                "config": self.config.to_dict(),
                "options": asdict(self.options),
                "processes": self.place.world,
            },
        )

    def train_step(self, arrays: Arrays) -> dict[str, float]:
        o = self.options
        for group in self.fast.param_groups:
            group["lr"] = o.learning_rate(self.step)
        # The high bits tell the processes apart: each hides other patches.
        seed = o.seed * 1_000_003 + self.step + (self.place.rank << 40)
        generator = torch.Generator().manual_seed(seed)
        attack = o.adversarial if o.adversarial and self.step % o.adversarial_every == 0 else 0.0
        self.optimizer.zero_grad()
        batch = Batch(arrays, self.config.patch, self.device)
        report = backward(self.objective, batch, self.weights, generator, attack, self.mixed)
        if not math.isfinite(report["loss"]):
            raise FloatingPointError(f"step {self.step}: the loss is {report['loss']}")
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), o.clip_norm)
        self.optimizer.step()
        self.step += 1
        return report

    @torch.no_grad()
    def validate(self, batches: int = 4) -> dict[str, float]:
        """Losses on signals kept back from training."""
        sums: dict[str, float] = {}
        for i, arrays in enumerate(self.source.valid(batches)):
            batch = Batch(arrays, self.config.patch, self.device)
            generator = torch.Generator().manual_seed(i)
            with autocast(self.device, self.mixed):
                parts = losses(self.model, batch, batch.x, self.weights, generator)
                parts["loss"] = total(parts, self.weights)
            for name, value in parts.items():
                sums[name] = sums.get(name, 0.0) + float(value) / batches
        return sums

    def log(self, kind: str, report: dict[str, float]) -> None:
        if not self.place.first:
            return
        with open(self.folder / "log.jsonl", "a", encoding="utf-8") as f:
            f.write(json.dumps({"kind": kind, "step": self.step, **report}) + "\n")

    def run(self) -> Sanderling:
        """Train to the end (or to an interrupt, which saves a checkpoint first)."""
        if self.place.first:
            self.folder.mkdir(parents=True, exist_ok=True)
        previous = signal.signal(signal.SIGINT, self._interrupt)
        start, first = time.monotonic(), self.step
        batches = self.source.train(self.step)
        try:
            while self.step < self.options.steps and not self._stopped():
                report = self.train_step(next(batches))
                last = self.step == self.options.steps
                if (self.step % 25 == 0 or last) and self.place.first:
                    rate = (self.step - first) / (time.monotonic() - start)
                    show_progress(self.step, self.options.steps, report, rate)
                    self.log("train", report)
                if self.step % self.options.validate_every == 0 and self.place.first:
                    self.log("valid", self.validate())
                if self.step % self.options.checkpoint_every == 0:
                    self.save()
        finally:
            batches.close()
            signal.signal(signal.SIGINT, previous)
        if self.step >= self.options.steps and isinstance(self.optimizer, Lookahead):
            self.optimizer.synchronise()
        self.save()
        self.place.any(False)  # all wait for the save: torchrun ends all when one has ended
        if self.interrupted:
            raise KeyboardInterrupt(f"stopped at step {self.step}; run again to go on")
        return self.model.eval()

    def _stopped(self) -> bool:
        self.interrupted = self.place.any(self.interrupted)
        return self.interrupted

    def _interrupt(self, *_: object) -> None:
        self.interrupted = True
