"""The fusion of the score's parts: chosen values instead of the learned ones.

Injected anomalies teach the scorer which component to trust on injected anomalies. On the committed
tuning list (evaluate/lists/tuning.json) the one below gives the higher VUS-PR (docs/model_card.md
has the table), so the weights are chosen there and the MLP keeps a quarter of its voice.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..model import Sanderling


@dataclass(frozen=True)
class Fusion:
    """weights: of max(l_k, 0), in the order of docs/model.md section 6; mlp: factor on the MLP's
    logit; smooth: tokens of the look-back mean."""

    weights: tuple[float, ...] = (0.0, 0.5, 2.0, 0.0, 0.0, 0.5, 0.0, 0.0)
    mlp: float = 0.25
    smooth: int = 1


CHOSEN = Fusion()


@torch.no_grad()
def apply_fusion(model: Sanderling, fusion: Fusion = CHOSEN) -> Sanderling:
    """Set the fusion's weights, the MLP's share and the smoothing of a trained model, in place."""
    scorer = model.scorer
    if len(fusion.weights) != len(scorer.fusion_raw) or min(fusion.weights) < 0:
        raise ValueError(
            f"fusion: expected {len(scorer.fusion_raw)} weights of 0 or more, found {fusion.weights}"
        )
    # softplus never reaches 0; 1e-6 of a log-compressed component is nothing.
    wanted = torch.tensor(fusion.weights).clamp_min(1e-6)
    scorer.fusion_raw.copy_(torch.log(torch.expm1(wanted)))
    scorer.fc2.weight.mul_(fusion.mlp)
    scorer.fc2.bias.mul_(fusion.mlp)
    model.config = model.config.replace(smooth=fusion.smooth)
    return model
