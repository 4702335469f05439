"""Training and kept-back sequences of one normal recording."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..model import ModelConfig
from ..signal.scale import apply_scale, clean, fit_scale
from .data import Batch

KEPT_BACK = 0.2  # the recording's end: what follows is judged by it, as in use
SEQUENCES = 8  # channel sequences a step
LONGEST = 128  # tokens a sequence
KEPT_SEQUENCES = 24  # channel sequences that judge; a look costs about two steps
MIN_TRAIN, MIN_KEPT = 24, 8  # tokens
MAX_NODES = 8  # channels that see each other in one batch


class Segments:
    """Batches cut from a normal recording (time, channels), scaled as calibration will scale it.

    A token with a missing sample is no target; a channel without an observed sample is left out.
    """

    def __init__(self, reference: np.ndarray, config: ModelConfig, scaling: str, seed: int) -> None:
        patch = config.patch
        self.patch, self.seed = patch, seed
        self.tokens = len(reference) // patch
        raw = reference[: self.tokens * patch]
        filled, valid = clean(raw)
        self.x = apply_scale(filled, *fit_scale(raw, scaling), config.clip)
        self.valid = valid.astype(np.uint8)
        self.channels = np.flatnonzero(valid.any(0))
        kept = int(self.tokens * KEPT_BACK)
        self.train_tokens = self.tokens - kept
        self.field = config.n_layers * config.window
        self.length = min(LONGEST, self.train_tokens)

    @property
    def usable(self) -> bool:
        """Whether there is enough to learn from and to judge by."""
        return len(self.channels) > 0 and self.train_tokens >= MIN_TRAIN and self.tokens - self.train_tokens >= MIN_KEPT

    def _cut(self, begins: np.ndarray, channels: np.ndarray, target: np.ndarray) -> Batch:
        """Sequences that begin at tokens `begins`; targets are where target (sequences, tokens) is set."""
        tokens = target.shape[1]
        rows = begins[:, None] * self.patch + np.arange(tokens * self.patch)
        x, valid = self.x[rows][:, :, channels], self.valid[rows][:, :, channels]
        judged = np.repeat(target, self.patch, axis=1)[:, :, None]
        labels = (~(judged & (valid > 0))).astype(np.uint8)
        return Batch(x=x, valid=valid, labels=labels, prefix=self.patch, source=[])

    def training(self, step: int) -> Batch:
        """Random sequences of the training part and random channels; a function of (seed, step)."""
        rng = np.random.default_rng([self.seed, step])
        nodes = min(len(self.channels), MAX_NODES)
        channels = np.sort(rng.permutation(self.channels)[:nodes])
        count = max(1, SEQUENCES // nodes)
        begins = rng.integers(0, self.train_tokens - self.length + 1, count)
        return self._cut(begins, channels, np.ones((count, self.length), bool))

    def kept_back(self) -> Iterator[Batch]:
        """Sequences that cover the kept-back part evenly, each after one receptive field of context.

        Of many channels as many as `KEPT_SEQUENCES` has room for, evenly chosen.
        """
        kept = self.tokens - self.train_tokens
        context = min(self.field, self.train_tokens)
        judged = min(kept, LONGEST)
        some = min(len(self.channels), KEPT_SEQUENCES)
        channels = self.channels[np.arange(some) * len(self.channels) // some]
        groups = np.array_split(channels, -(-some // MAX_NODES))
        count = max(1, min(-(-kept // judged), KEPT_SEQUENCES // some))
        begins = self.train_tokens - context + np.linspace(0, kept - judged, count).astype(np.int64)
        target = np.zeros((count, context + judged), bool)
        target[:, context:] = True
        for group in groups:
            yield self._cut(begins, group, target)
