"""One pre-training step: three views of a batch and their losses."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from ..model.network import Sanderling
from ..signal.wavelet import windows
from .data import Batch as Arrays
from .losses import (
    LossWeights,
    contrastive_loss,
    next_patch_loss,
    reconstruction_loss,
    scorer_loss,
    span_mask,
)


def autocast(device: torch.device, enabled: bool) -> AbstractContextManager[None]:
    """bfloat16 autocast where asked for, else nothing."""
    return torch.autocast(device.type, torch.bfloat16) if enabled else nullcontext()


class Batch:
    """A batch on the device: x, valid (b, T, c) float32; labels (b, c, tokens) bool; reference."""

    def __init__(self, arrays: Arrays, patch: int, device: torch.device) -> None:
        self.x = torch.from_numpy(arrays["x"]).to(device)
        self.valid = torch.from_numpy(arrays["valid"]).to(device, torch.float32)
        labels = torch.from_numpy(arrays["labels"]).to(device)
        b, t, c = labels.shape
        per_token = labels.reshape(b, t // patch, patch, c).amax(2)
        self.labels = per_token.permute(0, 2, 1) > 0
        self.reference = int(arrays["prefix"]) // patch


def losses(
    model: Sanderling, batch: Batch, x: Tensor, weights: LossWeights, generator: torch.Generator
) -> dict[str, Tensor]:
    """The parts of the loss on input x (the batch's own or a perturbed one)."""
    config = model.config
    clean = model.encode(x, batch.valid)
    patches = clean.y.detach().unflatten(-1, (-1, config.patch))
    normal = ~batch.labels
    parts = {}
    if weights.next_patch:
        parts["next"] = next_patch_loss(clean.decoded, patches, normal)
    shown = torch.ones_like(batch.labels)
    if weights.reconstruction or weights.contrastive:
        b, c, t = batch.labels.shape
        mask = span_mask((b, c, t), 0.3, 4, generator).to(x.device)
        noise = 0.05 * torch.randn(x.shape, generator=generator).to(x.device)
        hidden = model.encode(x + noise, batch.valid, mask)
        if weights.reconstruction:
            parts["masked"] = reconstruction_loss(
                hidden.decoded, patches, mask & normal
            ) + 0.25 * reconstruction_loss(clean.decoded, patches, shown & normal)
        if weights.contrastive:
            with torch.autocast(x.device.type, enabled=False):
                w = windows(clean.y.detach().float(), config.raw_window, config.patch)
                per_sequence = max(8, 512 // (w.shape[0] * w.shape[1]))
                parts["contrastive"] = contrastive_loss(
                    clean.u.float(), hidden.u.float(), w, generator, per_sequence
                )
    if weights.scorer:
        with torch.autocast(x.device.type, enabled=False):
            # The scorer reads the embedding and the distances but does not shape them: injected
            # anomalies are no safe teacher for the distance.
            with torch.no_grad():
                compressed = model.compressed(clean, batch.reference)
            s_bar = model.token_scores(clean.z.detach().float(), compressed)
            parts["scorer"] = scorer_loss(s_bar, batch.labels, batch.reference, config.smooth)
    return parts


def total(parts: dict[str, Tensor], weights: LossWeights) -> Tensor:
    """Weighted sum of the parts."""
    factor = {
        "contrastive": weights.contrastive,
        "masked": weights.reconstruction,
        "next": weights.next_patch,
        "scorer": weights.scorer,
    }
    return torch.stack([factor[name] * value for name, value in parts.items()]).sum()


class Objective(nn.Module):
    """`losses` of one model as a module: what several processes average the gradients of."""

    def __init__(self, model: Sanderling, weights: LossWeights) -> None:
        super().__init__()
        self.model, self.weights = model, weights

    def forward(self, batch: Batch, x: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        return losses(self.model, batch, x, self.weights, generator)


def backward(
    objective: nn.Module,
    batch: Batch,
    weights: LossWeights,
    generator: torch.Generator,
    adversarial: float,
    mixed: bool,
) -> dict[str, float]:
    """Accumulate gradients of an `Objective`; adversarial > 0 adds a pass on an FGSM-perturbed input.

    FGSM: Goodfellow et al. 2015; `adversarial` is the step in units of the scaled signal.
    """
    x = batch.x.clone().requires_grad_(adversarial > 0)
    with autocast(x.device, mixed):
        parts = objective(batch, x, generator)
        loss = total(parts, weights)
    loss.backward()
    report = {name: float(value.detach()) for name, value in parts.items()}
    report["loss"] = float(loss.detach())
    if adversarial > 0:
        assert x.grad is not None
        moved = (batch.x + adversarial * x.grad.sign()).detach()
        with autocast(x.device, mixed):
            parts = objective(batch, moved, generator)
            loss = total(parts, weights)
        (0.5 * loss).backward()
        report["adversarial"] = float(loss.detach())
    return report
