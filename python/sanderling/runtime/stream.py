"""Live scoring: chunks in, scores out; together equal to the batch scores, byte for byte."""

from __future__ import annotations

import operator
import threading
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sanderling import _core
from sanderling.errors import ShapeError, StateError
from sanderling.runtime.explanation import COMPONENTS, Explanation
from sanderling.runtime.signals import MAX_CHANNELS, as_signal, as_timestamps

if TYPE_CHECKING:  # the engines of graphs are loaded with a graph
    from sanderling.runtime.graph import GraphStream
    from sanderling.runtime.graph_frames import FramedStream
    from sanderling.runtime.graph_model import GraphModel
    from sanderling.runtime.onnx_op import OpModel, OpStream

_Float32 = NDArray[np.float32]
# score (time,), channel_score (time, outputs), components (patches, outputs, 8), x_hat (time, outputs), skipped
# (patches, outputs); outputs: the channels, or with frames the channels' features
Result = tuple[_Float32, _Float32 | None, _Float32 | None, _Float32 | None, NDArray[np.uint8] | None]


class Stream:
    """A causal scorer; made by `Detector.stream`.

    A cold stream (an uncalibrated model) takes its first `cold_samples` as reference and scores them 0.
    Threads may share a stream: chunks are taken whole, one after the other. With frames (high-rate signals) a
    patch is 8 frames: all their samples get their score together.
    """

    def __init__(
        self,
        model: _core.Model | GraphModel | OpModel,
        channels: int | None,
        *,
        false_alarms: float = 1.0,
        period_s: float = 0.0,
        frame_ms: float = -1.0,
        dynamic: bool = False,
        threads: int = 1,
    ) -> None:
        info = model.info()
        self._model = model
        self._options = (false_alarms, period_s, frame_ms, dynamic, threads)
        self._patch = int(info["patch"])
        self._calibrated_threshold = float(info["threshold"]) if info["calibrated"] else np.nan
        self._expected = int(info["channels"]) if info["calibrated"] else None
        self._core: _core.Stream | GraphStream | FramedStream | OpStream | None = None
        self._ended = False
        self._lock = threading.Lock()
        self._last_time: float | None = None
        if channels is None:
            channels = self._expected
        if channels is not None:
            self._open(channel_count(channels))

    @property
    def channels(self) -> int | None:
        """Number of channels; None before the first chunk of a cold stream that was not told."""
        return self._core.channels if self._core else None

    @property
    def threshold(self) -> float:
        """A sample alarms when its score is above; NaN until a cold stream has seen its first part."""
        return float(self._core.threshold) if self._core else self._calibrated_threshold

    @property
    def samples(self) -> int:
        """Samples taken so far, per channel."""
        return int(self._core.samples) if self._core else 0

    @property
    def tokens(self) -> int:
        """Patches scored so far, over all channels (with frames: all their features); 0 while cold."""
        return int(self._core.tokens) if self._core else 0

    @property
    def skipped(self) -> int:
        """Those of `tokens` that dynamic mode found ordinary and skipped; 0 without it."""
        return int(self._core.skipped) if self._core else 0

    @property
    def patch(self) -> int:
        """Samples that get their score together: 8, or those of 8 frames."""
        return int(self._core.patch) if self._core else self._patch

    @property
    def frame_samples(self) -> int:
        """Samples a frame; 0 without frames."""
        return int(self._core.frame_samples) if self._core else 0

    @property
    def cold_samples(self) -> int:
        """Samples at the start that score 0; 0 when calibrated."""
        return int(self._core.cold_samples) if self._core else 0

    def update(
        self, chunk: ArrayLike, timestamps: ArrayLike | None = None
    ) -> NDArray[np.float32]:
        """Takes `chunk` (time, channels) or, for one channel, (time,); NaN and infinities are missing.

        Returns float32 (k,), the scores of the samples whose patches this chunk completed (k may be 0).
        timestamps: one a sample, seconds or datetime64; TimestampError if one is earlier than the last one, in
        which case the stream is as before. Also ShapeError, DtypeError, StateError (after flush).
        """
        return self._update(chunk, timestamps, blame=False, reconstruction=False)[0]

    def flush(self) -> NDArray[np.float32]:
        """The scores of the samples after the last full patch, float32 (0..patch - 1,); ends the stream."""
        return self._flush(blame=False, reconstruction=False)[0]

    def explain(self, chunk: ArrayLike, timestamps: ArrayLike | None = None) -> Explanation:
        """As `update`, with the channels and components behind the scores."""
        return self.explained(self._update(chunk, timestamps, blame=True, reconstruction=False))

    def explain_flush(self) -> Explanation:
        """As `flush`, with the channels and components behind the scores."""
        return self.explained(self._flush(blame=True, reconstruction=False))

    def explained(self, result: Result) -> Explanation:
        """A result of this stream that was asked for blame, with the threshold and patch that it has."""
        score, channel_score, components, _, skipped = result
        assert channel_score is not None and components is not None and skipped is not None
        return Explanation(
            score,
            self.threshold,
            channel_score,
            components,
            self.patch,
            frame_samples=self.frame_samples,
            skipped=skipped.view(np.bool_),
        )

    def _update(
        self,
        chunk: ArrayLike,
        timestamps: ArrayLike | None,
        *,
        blame: bool,
        reconstruction: bool,
    ) -> Result:
        with self._lock:
            return self._take(as_signal(chunk, allow_empty=True), timestamps, blame, reconstruction)

    def _take(self, x: _Float32, timestamps: ArrayLike | None, blame: bool, reconstruction: bool) -> Result:
        self._check_running()
        if x.shape[0] == 0 and x.shape[1] == 1:  # [] says nothing about channels
            x = np.empty((0, self.channels or 1), np.float32)
        expected = self.channels if self.channels is not None else x.shape[1]
        if x.shape[1] != expected:
            raise channel_mismatch(x.shape, expected, "stream")
        times = None
        if timestamps is not None:
            times = as_timestamps(timestamps, x.shape[0], self._last_time)
        if x.shape[0] == 0 and self._core is None:
            return empty_result(x.shape[1], blame, reconstruction)
        result = self._open(expected).update(x, blame, reconstruction)
        if times is not None and times.size:
            self._last_time = float(times[-1])
        return result

    def _flush(self, *, blame: bool, reconstruction: bool) -> Result:
        with self._lock:
            self._check_running()
            self._ended = True
            if self._core is None:
                return empty_result(1, blame, reconstruction)
            return self._core.flush(blame, reconstruction)

    def _check_running(self) -> None:
        if self._ended:
            raise StateError("expected a running stream, found one that flush ended; open a new one")

    def _open(self, channels: int) -> _core.Stream | GraphStream | FramedStream | OpStream:
        if self._core is None:
            if self._expected is not None and channels != self._expected:
                raise channel_mismatch((0, channels), self._expected, "model's calibration")
            if isinstance(self._model, _core.Model):
                self._core = _core.Stream(self._model, channels, *self._options)
            else:
                self._core = self._model.stream(channels, *self._options)
        return self._core


def channel_count(channels: int) -> int:
    """The number of channels as an int; ShapeError where it is none."""
    try:
        count = operator.index(channels)
    except TypeError as error:
        raise ShapeError(f"expected a number of channels, found {channels!r}; give an integer") from error
    if not 1 <= count <= MAX_CHANNELS:
        raise ShapeError(f"expected 1 to {MAX_CHANNELS} channels, found {count}; select channels")
    return count


def channel_mismatch(shape: tuple[int, ...], expected: int, whose: str) -> ShapeError:
    """The error of a signal whose number of channels is not the `expected` one."""
    return ShapeError(
        f"expected {expected} channel(s) as in the {whose}, found {shape[1]} (shape {tuple(shape)}); "
        "pass (time, channels) with the same channels, or calibrate again"
    )


def empty_result(channels: int, blame: bool, reconstruction: bool) -> Result:
    """What the core returns when no patch was completed."""
    none = np.empty((0, channels), np.float32)
    return (
        np.empty(0, np.float32),
        none if blame else None,
        np.empty((0, channels, len(COMPONENTS)), np.float32) if blame else None,
        none if reconstruction else None,
        np.empty((0, channels), np.uint8) if blame else None,
    )
