"""Many live signals in one engine: a chunk a stream in, scores a stream out."""

import operator
import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sanderling import _core
from sanderling.errors import InputError, ShapeError, StateError
from sanderling.runtime.signals import as_signal
from sanderling.runtime.stream import channel_count, channel_mismatch


class StreamGroup:
    """Independent streams of one model; made by `Detector.streams`.

    Each gives the scores that it would give alone, byte for byte. The patches that one `update` completes are one
    batch of work, so that a thousand slow signals cost less than a thousand streams. Streams with frames, and cold
    starts, run one after another.
    """

    def __init__(
        self,
        model: _core.Model,
        n: int,
        channels: int | None,
        *,
        false_alarms: float = 1.0,
        period_s: float = 0.0,
        frame_ms: float = -1.0,
        dynamic: bool = False,
        threads: int = 1,
    ) -> None:
        info = model.info()
        if channels is None:
            if not info["calibrated"]:
                raise ShapeError("expected a number of channels for cold streams, found None; name it, or fit first")
            channels = int(info["channels"])
        try:
            count = operator.index(n)
        except TypeError as error:
            raise InputError(f"expected a number of streams, found {n!r}; give an integer") from error
        if count < 1:
            raise InputError(f"expected at least 1 stream, found {count}")
        channels = channel_count(channels)
        if info["calibrated"] and channels != info["channels"]:
            raise channel_mismatch((0, channels), int(info["channels"]), "model's calibration")
        self._core = _core.StreamGroup(model, count, channels, false_alarms, period_s, frame_ms, dynamic, threads)
        self._ended = False
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._core)

    @property
    def channels(self) -> int:
        """Number of channels of each stream."""
        return int(self._core.channels)

    @property
    def patch(self) -> int:
        """Samples that get their score together: 8, or those of 8 frames."""
        return int(self._core.patch)

    @property
    def thresholds(self) -> NDArray[np.float32]:
        """float32 (n,): a stream's sample alarms when its score is above; NaN while a cold stream has too little."""
        return np.array(self._core.thresholds, np.float32)

    def update(self, chunks: Sequence[ArrayLike]) -> list[NDArray[np.float32]]:
        """Takes a chunk a stream, (time, channels) or, for one channel, (time,), of any lengths, 0 included.

        Returns for each stream float32 (k,), the scores of the samples whose patches were completed. Raises ShapeError,
        DtypeError, StateError (after flush); the streams are then as before.
        """
        if len(chunks) != len(self):
            found = f"expected {len(self)} chunks, one a stream, found {len(chunks)}"
            raise ShapeError(f"{found}; pass an empty one where there is none")
        x = [self._signal(chunk) for chunk in chunks]
        with self._lock:
            self._check_running()
            return self._core.update(x)

    def flush(self) -> list[NDArray[np.float32]]:
        """For each stream the scores after its last full patch, float32 (0..patch - 1,); ends the streams."""
        with self._lock:
            self._check_running()
            self._ended = True
            return self._core.flush()

    def _signal(self, chunk: ArrayLike) -> NDArray[np.float32]:
        x = as_signal(chunk, allow_empty=True)
        if x.shape[0] == 0 and x.shape[1] == 1:  # [] says nothing about channels
            x = np.empty((0, self.channels), np.float32)
        if x.shape[1] != self.channels:
            raise channel_mismatch(x.shape, self.channels, "group of streams")
        return x

    def _check_running(self) -> None:
        if self._ended:
            raise StateError("expected running streams, found ones that flush ended; open new ones")
