"""The batches of a training run: mostly univariate windows, every fourth step several channels."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from .data import Batch, Batcher, LinearProgress, Recording
from .options import TrainOptions

MULTI_EVERY = 4
MULTI_CHANNELS = (2, 3, 4, 6)
RANK_SEED = 1_000_003  # added to the training seed for each process before this one


class BatchSource:
    """Deterministic in (options, step), so that a resumed run goes on with the same batches.

    Args:
        options: seed, batch, length, curriculum and the share of real windows.
        recordings: from `read_recordings`; empty: generated signals only.
        prefetch: batches made ahead in a process of their own; 0 makes them in the caller.
        rank: of the process that trains; each rank draws other batches of the same shapes.
    """

    def __init__(
        self, options: TrainOptions, recordings: list[Recording], prefetch: int = 4, rank: int = 0
    ) -> None:
        self.options, self.prefetch, self.rank = options, prefetch, rank
        progress = LinearProgress(int(0.7 * options.steps)) if options.curriculum else 1.0
        self._train = self._batchers(recordings, "train", progress)
        self._valid = self._batchers(recordings, "valid", 1.0)

    def _batchers(self, recordings: list[Recording], split: str, progress: float | LinearProgress) -> list[Batcher]:
        o = self.options
        return [
            Batcher(
                o.seed + RANK_SEED * (self.rank if split == "train" else 0),
                batch=max(1, o.batch // channels),
                length=o.length,
                channels=channels,
                real_fraction=o.real_fraction,
                progress=progress,
                recordings=recordings,
                split=split,
            )
            for channels in (1, *MULTI_CHANNELS)
        ]

    def train(self, start: int) -> Generator[Batch, None, None]:
        """Endless batches from step `start`."""
        yield from Interleaved(self._train).stream(start, prefetch=self.prefetch)

    def valid(self, count: int) -> Iterator[Batch]:
        """The first `count` batches of what is kept back from training."""
        return Interleaved(self._valid).stream(0, count, prefetch=0)


class Interleaved(Batcher):
    """Takes each step's batch from one of several batchers."""

    def __init__(self, parts: list[Batcher]) -> None:
        self.parts = parts

    def batch_at(self, step: int) -> Batch:
        turn, rest = divmod(step, MULTI_EVERY)
        if rest != 2:
            return self.parts[0].batch_at(step)
        return self.parts[1 + turn % len(MULTI_CHANNELS)].batch_at(step)
