"""Options of a pre-training run."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class TrainOptions:
    """What a run does; stored in its checkpoint, and a resumed run must agree."""

    steps: int = 4000
    batch: int = 16
    length: int = 2048  # samples a sequence
    lr: float = 1e-3
    warmup: int = 200
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    lookahead_k: int = 5  # 0: plain AdamW
    lookahead_alpha: float = 0.5
    adversarial: float = 0.05  # FGSM step in scaled units; 0: none
    adversarial_every: int = 4
    curriculum: bool = True
    real_fraction: float = 0.5
    seed: int = 0
    validate_every: int = 250
    checkpoint_every: int = 250
    channel_independent: bool = False
    wavelet: bool = True  # False: the encoder sees raw patches only

    def learning_rate(self, step: int) -> float:
        """Linear warm-up, then a cosine to 2 % of the peak."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.lr * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))
