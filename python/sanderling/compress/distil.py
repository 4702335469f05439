"""Distillation: the pruned network answers as the base does (Hinton et al. 2015), besides its own losses.

Widths differ, so what is matched has the same shape in both: the decoder's outputs, the similarity of
every token to the reference (what distances are made of; Tung and Mori 2019), and the score.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..model import Sanderling
from ..model.network import Encoded
from ..train.losses import next_patch_loss, reconstruction_loss, scorer_loss
from ..train.step import Batch, autocast

# Similarities differ by hundredths where squared distances are divided by metric_tau = 0.05.
WEIGHTS = {"decoded": 1.0, "similarity": 8.0, "score": 1.0, "task": 0.5}


def _scores(model: Sanderling, batch: Batch, encoded: Encoded) -> Tensor:
    with torch.no_grad():
        compressed = model.compressed(encoded, batch.reference)
    return model.token_scores(encoded.z.float(), compressed)


def _similarity(u: Tensor, reference: int) -> Tensor:
    """(b, c, tokens, heads, 32) -> cosine to the reference's tokens (b, c, heads, tokens, reference)."""
    u = u.float().transpose(2, 3)
    return u @ u[..., :reference, :].transpose(-1, -2)


def distillation_losses(student: Sanderling, teacher: Sanderling, batch: Batch, mixed: bool) -> dict[str, Tensor]:
    """Parts of the loss on one batch, unweighted.

    Args:
        student, teacher: the teacher is in eval mode and gets no gradient.
        mixed: bfloat16 autocast in the encoders.
    """
    device = batch.x.device
    with torch.no_grad(), autocast(device, mixed):
        target = teacher.encode(batch.x, batch.valid)
    with autocast(device, mixed):
        own = student.encode(batch.x, batch.valid)
    wanted, found = target.decoded, own.decoded
    decoded = sum(F.l1_loss(a.float(), b.float()) for a, b in zip(found[:2], wanted[:2], strict=True))
    decoded = decoded + 0.25 * F.l1_loss(found[2].float().clamp(-4, 4), wanted[2].float().clamp(-4, 4))
    similarity = F.l1_loss(_similarity(own.u, batch.reference), _similarity(target.u, batch.reference))
    with torch.no_grad():
        s_wanted = _scores(teacher, batch, target)
    s_bar = _scores(student, batch, own)
    patches = own.y.detach().unflatten(-1, (-1, student.config.patch))
    normal = ~batch.labels
    task = (
        next_patch_loss(found, patches, normal)
        + 0.25 * reconstruction_loss(found, patches, normal)
        + scorer_loss(s_bar, batch.labels, batch.reference, student.config.smooth)
    )
    return {
        "decoded": decoded,
        "similarity": similarity,
        "score": F.smooth_l1_loss(s_bar, s_wanted),
        "task": task,
    }


def distillation_loss(
    student: Sanderling, teacher: Sanderling, batch: Batch, mixed: bool
) -> tuple[Tensor, dict[str, float]]:
    """Weighted sum, and its parts as numbers."""
    parts = distillation_losses(student, teacher, batch, mixed)
    loss = torch.stack([WEIGHTS[name] * value for name, value in parts.items()]).sum()
    return loss, {name: float(value.detach()) for name, value in parts.items()}
