"""Trains adapters on one normal recording, within steps or seconds; keeps the best by the kept-back loss."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils import parametrize

from ..model import Sanderling
from ..signal.wavelet import windows
from .adapt_data import Segments
from .losses import LossWeights, contrastive_loss, next_patch_loss, reconstruction_loss, span_mask
from .step import Batch, total

CPU = torch.device("cpu")
HIDDEN, LONGEST_HIDDEN = 0.3, 4  # share of the patches, tokens a span
NOISE = 0.05  # in scaled units
VISIBLE = 0.25  # weight of reconstructing what is not hidden
CHECKS = 12  # looks at the kept-back loss in a run; closer at the start, where short recordings overfit
WARM_UP = 10  # steps
Progress = Callable[[float, float, float], None]


@dataclass(frozen=True)
class AdaptOptions:
    """How the adapters are trained; chosen on the tuning list (docs/adapt.md)."""

    share: float = 0.03  # of the network's parameters, at most
    lr: float = 5e-3
    clip_norm: float = 1.0
    patience: int = 4  # looks without a better kept-back loss before it stops
    most_steps: int = 200  # however much time is left: longer training lowers the loss and the detection too
    weights: LossWeights = LossWeights(contrastive=0.1, scorer=0.0)


class Clock:
    """How much of a run is done: by counted steps, or by seconds with the next look still inside them.

    begin: of time.monotonic(); seconds: None counts steps alone; steps: at most.
    """

    def __init__(self, begin: float, seconds: float | None, steps: int) -> None:
        self.begin, self.seconds, self.limit = begin, seconds, steps
        self.steps = 0

    def done(self, reserve: float) -> float:
        """Share in [0, 1]; reserve: seconds that must be left at the end."""
        counted = self.steps / self.limit
        if self.seconds is None:
            return min(1.0, counted)
        available = self.seconds - reserve
        timed = (time.monotonic() - self.begin) / available if available > 0 else 1.0
        return min(1.0, max(counted, timed))


@dataclass(frozen=True)
class Fit:
    """steps done; loss on the kept-back part before and after (the best, or before if none was better)."""

    steps: int
    before: float
    after: float


def hide(batch: Batch, mask: Tensor, patch: int) -> tuple[Tensor, Tensor]:
    """(x, valid) (b, T, c) in which the patches of mask (b, c, tokens) are missing: filled from the past."""
    shown = ~mask.transpose(1, 2).repeat_interleave(patch, dim=1)
    steps = torch.arange(shown.shape[1])[None, :, None]
    last = torch.where(shown, steps, torch.zeros_like(steps)).cummax(dim=1).values
    return batch.x.gather(1, last), batch.valid * shown


def normal_losses(
    model: Sanderling, batch: Batch, weights: LossWeights, generator: torch.Generator
) -> dict[str, Tensor]:
    """Parts of the loss on normal signals: next patch, hidden and visible patches, two views' embeddings."""
    config = model.config
    clean = model.encode(batch.x, batch.valid)
    patches = clean.y.unflatten(-1, (-1, config.patch))
    target = ~batch.labels
    b, c, t = target.shape
    mask = span_mask((b, c, t), HIDDEN, LONGEST_HIDDEN, generator)
    noise = NOISE * torch.randn(batch.x.shape, generator=generator)
    x, valid = hide(batch, mask, config.patch)
    hidden = model.encode(x + noise, valid)
    parts = {
        "next": next_patch_loss(clean.decoded, patches, target),
        "masked": reconstruction_loss(hidden.decoded, patches, mask & target)
        + VISIBLE * reconstruction_loss(clean.decoded, patches, target),
    }
    if weights.contrastive:
        w = windows(clean.y, config.raw_window, config.patch)
        per_sequence = max(8, 512 // (w.shape[0] * w.shape[1]))
        parts["contrastive"] = contrastive_loss(clean.u, hidden.u, w, generator, per_sequence)
    return parts


@torch.no_grad()
def kept_back_loss(model: Sanderling, batches: list[Batch], weights: LossWeights) -> float:
    """Weighted mean loss over the kept-back sequences; the same hidden patches and noise in each call.

    Without the contrastive part, which depends on what else is in the batch.
    """
    judged = LossWeights(0.0, weights.reconstruction, weights.next_patch, 0.0)
    loss, count = 0.0, 0
    with parametrize.cached():
        for i, batch in enumerate(batches):
            targets = int((~batch.labels).sum())
            generator = torch.Generator().manual_seed(i)
            loss += targets * float(total(normal_losses(model, batch, judged, generator), judged))
            count += targets
    return loss / count if count else math.nan


def fit(
    model: Sanderling,
    trained: list[torch.nn.Parameter],
    segments: Segments,
    options: AdaptOptions,
    clock: Clock,
    spare: float,
    progress: Progress | None = None,
) -> Fit:
    """Train `trained` in place; afterwards they hold the values of the lowest kept-back loss.

    Args:
        spare: seconds that the caller needs after training.
        progress: called with (share done, training loss, best kept-back loss so far).
    """
    patch = model.config.patch
    kept = [Batch(arrays, patch, CPU) for arrays in segments.kept_back()]
    optimizer = torch.optim.Adam(trained, lr=options.lr, betas=(0.9, 0.98))
    started = time.monotonic()
    before = best = kept_back_loss(model, kept, options.weights)
    look_seconds = time.monotonic() - started
    chosen = [p.detach().clone() for p in trained]
    looks_left, looked, longest_step = options.patience, 0, 0.0
    while True:
        done = clock.done(spare + 1.5 * look_seconds + longest_step)
        if clock.steps and int(CHECKS * done**0.5) > looked:
            looked = int(CHECKS * done**0.5)
            now = kept_back_loss(model, kept, options.weights)
            looks_left -= 1
            if now < best:
                best, looks_left = now, options.patience
                chosen = [p.detach().clone() for p in trained]
        if done == 1.0 or not looks_left:
            break
        started = time.monotonic()
        for group in optimizer.param_groups:
            group["lr"] = options.lr * min(1.0, (clock.steps + 1) / WARM_UP) * (1.0 - 0.9 * done)
        batch = Batch(segments.training(clock.steps), patch, CPU)
        generator = torch.Generator().manual_seed(segments.seed * 1_000_003 + clock.steps)
        optimizer.zero_grad(set_to_none=True)
        with parametrize.cached():
            loss = total(normal_losses(model, batch, options.weights, generator), options.weights)
            loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(trained, options.clip_norm)
        if math.isfinite(float(norm)):  # a batch that overflows teaches nothing
            optimizer.step()
        clock.steps += 1
        longest_step = max(longest_step, time.monotonic() - started)
        if progress:
            progress(done, float(loss.detach()), best)
    with torch.no_grad():
        for parameter, value in zip(trained, chosen, strict=True):
            parameter.copy_(value)
    return Fit(clock.steps, before, best)
