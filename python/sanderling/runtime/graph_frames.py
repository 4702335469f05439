"""Frames of high-rate signals in front of an exported graph (docs/frames.md), as csrc/model/stream.cpp has it.

To the graph a frame is a sample and a feature is a channel; every sample of a frame gets the frame's results.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sanderling.errors import InputError
from sanderling.runtime.graph import PATCH, Float32, GraphStream, Result
from sanderling.signal.frames import FEATURES, Framer

LEAST, MOST = 16, 8192  # raw samples a frame
LEAST_PERIOD, MOST_PERIOD = 1e-9, 1e6  # seconds a raw sample
HIGH_RATE = 0.95e-3  # at 1 kHz itself the rounding of timestamps must not decide
FEATURE_COUNT = len(FEATURES)


@dataclass(frozen=True)
class Frames:
    """samples: raw ones a frame; period_s: seconds a raw sample, a float32's value."""

    samples: int
    period_s: float

    @classmethod
    def of_keys(cls, keys: Mapping[str, Any] | None) -> Frames | None:
        """From a document's `frame`. ValueError."""
        if keys is None:
            return None
        samples, period = keys["samples"], float(np.float32(keys["period_s"]))
        if not (isinstance(samples, int) and LEAST <= samples <= MOST and 0 < period <= MOST_PERIOD):
            raise ValueError(f"frames {keys!r}")
        return cls(samples, period)

    def keys(self) -> dict[str, Any]:
        """For a document."""
        return {"samples": self.samples, "period_s": self.period_s}

    @property
    def model_period(self) -> float:
        """Seconds a frame."""
        return float(np.float32(self.samples) * np.float32(self.period_s))

    def same_period(self, period_s: float) -> bool:
        """Whether a recording's period (0: unknown) is that of the frames, to 1 %."""
        return period_s == 0 or abs(period_s - self.period_s) <= 0.01 * self.period_s

    def of(self, x: Float32) -> Float32:
        """The full frames of a recording (time, channels)."""
        return Framer(x.shape[1], self.samples).take(x)


def choose_frames(stored: Frames | None, frame_ms: float, period_s: float, samples: int = 0) -> Frames | None:
    """The frames of a request, section 4. frame_ms: 0 none, below 0 chosen. samples: of the reference, 0 unknown."""
    if frame_ms == 0:
        return None
    if frame_ms < 0 and stored is not None and stored.same_period(period_s):
        return stored
    if frame_ms < 0 and (period_s == 0 or period_s >= HIGH_RATE):
        return None
    period = float(np.float32(period_s)) or (stored.period_s if stored else 0.0)
    if period == 0:
        raise InputError("expected period_s with frame_ms, found none; give the seconds a sample")
    seconds = frame_ms / 1000 if frame_ms > 0 else min(max(480 * period, 0.010), 0.050)
    length = min(seconds / period + 0.5, 1e9)
    if frame_ms < 0:
        length = min(length, MOST)
        # A short reference gets shorter frames rather than none.
        while 0 < samples < 512 * math.floor(length) and length >= 2 * 96 and length * period >= 0.010:
            length *= 0.5
    if not (LEAST <= length < MOST + 1 and LEAST_PERIOD <= period <= MOST_PERIOD):
        raise InputError(
            f"expected frames of {LEAST} to {MOST} samples, found {seconds * 1000:g} ms of {period:g} s a sample; "
            "change frame_ms or period_s"
        )
    return Frames(int(length), period)


class FramedStream:
    """A GraphStream behind a framer: what `_core.Stream` is of a signal with frames."""

    skipped = 0

    def __init__(self, frames: Frames, channels: int, inner: GraphStream) -> None:
        self.frame_samples, self.channels, self.outputs = frames.samples, channels, inner.channels
        self.patch = PATCH * frames.samples
        self.cold_samples = inner.cold_samples * frames.samples
        self.samples = 0
        self._inner, self._framer, self._written = inner, Framer(channels, frames.samples), 0

    @property
    def threshold(self) -> float:
        return self._inner.threshold

    @property
    def tokens(self) -> int:
        return self._inner.tokens

    def update(self, x: Float32, blame: bool = False, reconstruction: bool = False) -> Result:
        """As `_core.Stream.update`."""
        self.samples += len(x)
        return self._spread([self._inner.update(self._framer.take(x), blame, reconstruction)])

    def flush(self, blame: bool = False, reconstruction: bool = False) -> Result:
        """As `_core.Stream.flush`: a part of a frame counts as one whose other samples are missing."""
        parts = [self._inner.update(self._framer.tail(), blame, reconstruction)]
        return self._spread([*parts, self._inner.flush(blame, reconstruction)])

    def _spread(self, parts: list[Result]) -> Result:
        columns: list[Any] = [None if c[0] is None else np.concatenate(c) for c in zip(*parts, strict=True)]
        n = min(len(columns[0]) * self.frame_samples, self.samples - self._written)
        self._written += n
        for i in (0, 1, 3):  # a row a sample; components and skipped: a row a patch
            if columns[i] is not None:
                columns[i] = np.repeat(columns[i], self.frame_samples, axis=0)[:n]
        score, channel_score, components, x_hat, skipped = columns
        return score, channel_score, components, x_hat, skipped
