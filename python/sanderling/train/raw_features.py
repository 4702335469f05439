"""The switch of the ablation without wavelet features: patches as they are."""

from __future__ import annotations

import torch
from torch import Tensor

from ..model import Sanderling


@torch.no_grad()
def drop_wavelet(model: Sanderling) -> None:
    """Make the embedding blind to details and smooth, now and while it trains, in place.

    The weights are 0 and get no gradient, so that the network keeps its shape and runs in every engine.
    """
    weight, patch = model.encoder.embed.weight, model.config.patch
    seen = torch.zeros_like(weight)
    seen[:, :patch] = seen[:, -patch:] = 1  # raw samples and their validity
    weight.mul_(seen)

    def hide(gradient: Tensor) -> Tensor:
        return gradient * seen

    weight.register_hook(hide)
