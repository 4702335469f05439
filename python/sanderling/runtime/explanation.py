"""Scores with their reasons, and the alarms in them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# docs/model.md section 6, in the order of the core's components.
COMPONENTS = (
    "metric_distance_0",
    "metric_distance_1",
    "raw_distance",
    "prediction_error",
    "prediction_surprise",
    "reconstruction_error",
    "amplitude",
    "variation",
)


@dataclass(frozen=True)
class Alarm:
    """A run of samples whose score is above the threshold, from start to end (the last one), both included.

    channel is the one with the highest score of its own at the peak; component names what stood out most
    there, or None when nothing did (a score is smoothed over the patches before it, too).
    """

    start: int
    end: int
    peak: int
    score: float
    channel: int
    component: str | None


@dataclass(frozen=True)
class Explanation:
    """Scores of a recording or of a stream's chunk.

    scores: float32 (time,), NaN where nothing could be scored, 0 while cold. threshold: a sample alarms when its
    score is above; NaN while a cold stream has not decided it. channel_scores: float32 (time, channels).
    components: float32 (patches, channels, 8), robust z-scores log-compressed, named by component_names.
    patch: samples a patch. frame_samples: samples a frame of a high-rate signal, else 0; then the channels are
    features of the frames (`sanderling.runtime.frames.output_names`). skipped: bool (patches, channels), True where
    dynamic mode found the patch ordinary: of its components only raw_distance and amplitude are there, the rest is 0.
    """

    scores: NDArray[np.float32]
    threshold: float
    channel_scores: NDArray[np.float32]
    components: NDArray[np.float32]
    patch: int = 8
    component_names: tuple[str, ...] = COMPONENTS
    frame_samples: int = 0
    skipped: NDArray[np.bool_] | None = None

    @property
    def labels(self) -> NDArray[np.int8]:
        """int8 (time,): 1 where the score is above the threshold, else 0 (NaN gives 0)."""
        return labels_of(self.scores, self.threshold)

    @property
    def top_channel(self) -> NDArray[np.int64]:
        """int64 (time,): the channel with the highest score of its own; -1 where every channel is NaN."""
        filled = np.where(np.isnan(self.channel_scores), -np.inf, self.channel_scores)
        top = np.argmax(filled, axis=1)
        return np.where(np.isneginf(filled.max(axis=1)), -1, top)

    def alarms(self) -> list[Alarm]:
        """The runs of samples above the threshold, in order."""
        edges = np.flatnonzero(np.diff(self.labels, prepend=np.int8(0), append=np.int8(0)))
        return [self._alarm(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]

    def _alarm(self, start: int, end: int) -> Alarm:
        peak = start + int(np.argmax(self.scores[start : end + 1]))
        own = self.channel_scores[peak]
        channel = -1 if np.isnan(own).all() else int(np.nanargmax(own))
        component = None
        if channel >= 0:
            parts = self.components[peak // self.patch, channel]
            loudest = int(np.argmax(parts))
            component = self.component_names[loudest] if parts[loudest] > 0 else None
        return Alarm(start, end, peak, float(self.scores[peak]), channel, component)


def labels_of(scores: NDArray[np.float32], threshold: float) -> NDArray[np.int8]:
    """int8 (time,): 1 where `scores` is above `threshold`; a NaN on either side gives 0."""
    return (scores > np.float32(threshold)).astype(np.int8)
