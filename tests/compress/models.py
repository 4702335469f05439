"""Small models and batches for the compression tests."""

from __future__ import annotations

import torch

from sanderling.compress.pipeline import Signals
from sanderling.model import SIZES, Sanderling
from sanderling.train.step import Batch

SIGNALS = Signals(batch=4, length=1536, seed=3, held_out=3, calibration=2)


def random_model(size: str = "micro", seed: int = 0) -> Sanderling:
    """A model whose scorer says something (it starts at 0)."""
    torch.manual_seed(seed)
    model = Sanderling(SIZES[size])
    with torch.no_grad():
        model.scorer.fc2.weight.normal_(0, 0.1)
        for layer in model.encoder.layers:
            for last in (layer.attn.out, layer.ffn_down):
                last.weight.normal_(0, last.in_features**-0.5)
    return model.eval()


def batches(count: int, start: int = 0) -> list[Batch]:
    source = SIGNALS.training(8)
    return [source(start + i) for i in range(count)]
