"""The fusion of the score's parts: chosen weights, and the MLP fitted as a correction to them.

Injected anomalies teach a learned fusion which component to trust on injected anomalies. On the
committed tuning list (evaluate/lists/tuning.json) chosen weights give the higher VUS-PR
(docs/model_card.md has the table), so they are chosen there; the MLP learns what to add to their
sum, and keeps a share of its voice that is chosen there too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch

from ..model import Sanderling
from .data import Batch as Arrays
from .losses import scorer_loss
from .step import Batch, autocast


@dataclass(frozen=True)
class Fusion:
    """weights: of max(l_k, 0), in the order of docs/model.md section 6; mlp: factor on the MLP's
    logit; smooth: tokens of the look-back mean."""

    weights: tuple[float, ...] = (0.0, 0.5, 2.0, 0.0, 0.0, 0.5, 0.0, 0.0)
    mlp: float = 0.1
    smooth: int = 1


CHOSEN = Fusion()


@torch.no_grad()
def set_weights(model: Sanderling, fusion: Fusion = CHOSEN) -> Sanderling:
    """Set the fusion's weights and the smoothing of a trained model, in place."""
    scorer = model.scorer
    if len(fusion.weights) != len(scorer.fusion_raw) or min(fusion.weights) < 0:
        raise ValueError(
            f"fusion: expected {len(scorer.fusion_raw)} weights of 0 or more, found {fusion.weights}"
        )
    # softplus never reaches 0; 1e-6 of a log-compressed component is nothing.
    wanted = torch.tensor(fusion.weights).clamp_min(1e-6).to(scorer.fusion_raw)
    scorer.fusion_raw.copy_(torch.log(torch.expm1(wanted)))
    model.config = model.config.replace(smooth=fusion.smooth)
    return model


@torch.no_grad()
def share_mlp(model: Sanderling, fusion: Fusion = CHOSEN) -> Sanderling:
    """Scale the MLP's logit by its chosen share, in place."""
    model.scorer.fc2.weight.mul_(fusion.mlp)
    model.scorer.fc2.bias.mul_(fusion.mlp)
    return model


def apply_fusion(model: Sanderling, fusion: Fusion = CHOSEN) -> Sanderling:
    """Chosen weights and the MLP's share of an MLP that was trained beside a learned fusion."""
    return share_mlp(set_weights(model, fusion), fusion)


def fit_scorer(
    model: Sanderling,
    batches: Iterable[Arrays],
    steps: int,
    lr: float = 1e-3,
    mixed: bool = False,
    progress: Callable[[int, float], None] | None = None,
) -> Sanderling:
    """Fit the MLP on injected anomalies after a clean prefix; everything else stands still.

    It starts from nothing (its last layer at 0) beside the weights that `set_weights` chose, so it
    learns a correction to their sum.

    Args:
        batches: as a pre-training run draws them.
        mixed: bfloat16 in the encoder.
        progress: called with (step, loss).
    """
    scorer, config = model.scorer, model.config
    torch.nn.init.zeros_(scorer.fc2.weight)
    torch.nn.init.zeros_(scorer.fc2.bias)
    learned = [*scorer.fc1.parameters(), *scorer.fc2.parameters()]
    optimizer = torch.optim.AdamW(learned, lr=lr, weight_decay=0.05)
    device = scorer.fc1.weight.device
    for step, arrays in zip(range(steps), batches, strict=False):
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1.0, (step + 1) / 20, 2 * (1 - step / steps))
        batch = Batch(arrays, config.patch, device)
        with torch.no_grad():
            with autocast(device, mixed):
                encoded = model.encode(batch.x, batch.valid)
            compressed = model.compressed(encoded, batch.reference)
        s_bar = model.token_scores(encoded.z.float(), compressed)
        loss = scorer_loss(s_bar, batch.labels, batch.reference, config.smooth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if progress:
            progress(step + 1, float(loss.detach()))
    return model
