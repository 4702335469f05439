"""The detector: load, fit, score, explain, save, stream."""

from __future__ import annotations

import hashlib
import math
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sanderling import _core
from sanderling.errors import InputError, StateError, StorageError
from sanderling.runtime.backends import AUTO, NATIVE, choose, open_model
from sanderling.runtime.explanation import Explanation, labels_of
from sanderling.runtime.frames import CHOSEN, frame_option
from sanderling.runtime.group import StreamGroup
from sanderling.runtime.hindsight import hindsight_option, with_hindsight
from sanderling.runtime.positive import is_positive_float32
from sanderling.runtime.recording import Recording
from sanderling.runtime.signals import as_signal, as_timestamps
from sanderling.runtime.stream import Result, Stream, channel_mismatch
from sanderling.runtime.weights import resolve

if TYPE_CHECKING:  # the engines of graphs are loaded with a graph
    from sanderling.runtime.graph_model import GraphModel
    from sanderling.runtime.onnx_op import OpModel

    Model = _core.Model | GraphModel | OpModel

Scaling = Literal["robust", "standard"]
_SCALINGS = ("robust", "standard")
# Samples a call into the core, so that Ctrl-C is answered; any chunking gives the same bytes.
_BATCH = 16384


class Detector:
    """Anomaly scores of a signal (time, channels): higher = more anomalous, 1 = outlier (PyOD's signs).

    *Cold*: an uncalibrated model takes at most the first `cold_samples` (512) samples of what it scores as
    reference; they score 0. *Calibrated* (after `fit`, or loaded from such a file): every sample is scored
    against the stored reference. A 1-D input is one channel. NaN and infinities are missing values: filled from
    the past; beyond a gap of 32 samples the score is NaN. float64 and integers are rounded to float32.
    *Frames*: a signal above about 1 kHz (by period_s, or frame_ms given) is turned into frames of some 10 ms, and
    the model sees their features; every sample of a frame gets the frame's score.
    """

    def __init__(self, model: Model, path: Path | None = None) -> None:
        self._model = model
        self._info = model.info()
        self._path = path
        self._cold_threshold = math.nan
        self._cold_options = (1.0, 0.0, CHOSEN)
        self._dynamic = False
        self._hindsight = 0
        self._backend = (NATIVE, "the core of this package")
        self._threads = 1
        self._last_tokens = (0, 0)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str] | None = None,
        isa: str | None = None,
        *,
        false_alarms: float = 1.0,
        period_s: float | None = None,
        frame_ms: float | None = None,
        dynamic: bool = False,
        hindsight: int = 0,
        threads: int = 1,
        backend: str = AUTO,
        **options: Any,
    ) -> Detector:
        """Opens a model: a file (.gguf, .onnx or .tflite by content), the name of a shipped one, None for the default.

        backend: "native", "onnxruntime", "tflite", or "auto": the one that runs the file (`backend_reason` says why).
        options go to the engine: providers, provider_options, session_options, library (onnxruntime), delegates
        (tflite).
        DependencyError names the command that installs a missing engine (docs/runtimes.md).
        isa: forces an instruction set; None = $SANDERLING_ISA, then the best supported. false_alarms, period_s,
        frame_ms: what cold scoring aims at (see `fit`). dynamic: patches that a cheap look finds ordinary skip the
        network (docs/model.md section 12): less work, nearly the same scores. hindsight: samples
        (with frames: frames) after a sample that its score may wait for, in recordings alone: sharper, and no longer
        what a stream says at the time. threads: at most so many, and no more
        than there are processors, share the work of long chunks; the scores stay the same bytes. isa and dynamic
        are the native engine's. Raises ModelError, IsaError, InputError.
        """
        file = resolve(path)
        chosen, reason = choose(file, backend)
        if chosen == NATIVE:
            if options:
                raise InputError(f"expected no options of the native engine, found {', '.join(sorted(options))}")
            model: Model = _core.Model.open(os.fsencode(file), isa or "")
        else:
            if isa:
                raise InputError(f"expected isa with backend 'native' alone, found it with {chosen!r}; leave it out")
            model = open_model(file, chosen, {**options, "threads": _thread_count(threads)})
        detector = cls(model, file)
        detector._backend = (chosen, reason)
        detector._cold_options = (*_alarm_options(false_alarms, period_s), frame_option(frame_ms))
        detector._dynamic = bool(dynamic)
        detector._hindsight = hindsight_option(hindsight)
        detector._threads = _thread_count(threads)
        return detector

    @property
    def calibrated(self) -> bool:
        """Whether a reference is stored (by `fit`, or in the file)."""
        return bool(self._info["calibrated"])

    @property
    def channels(self) -> int | None:
        """Number of channels of the calibration; None when cold: any number goes."""
        return int(self._info["channels"]) if self.calibrated else None

    @property
    def backend(self) -> str:
        """"native", "onnxruntime" or "tflite"."""
        return self._backend[0]

    @property
    def backend_reason(self) -> str:
        """Why this engine runs the file."""
        return self._backend[1]

    @property
    def isa(self) -> str:
        """The instruction set whose kernels run; of another engine its version and what it runs on."""
        return str(self._info["isa"])

    @property
    def threshold_(self) -> float:
        """A sample is labelled 1 when its score is above. Cold: that of the last scored recording, else NaN."""
        return float(self._info["threshold"]) if self.calibrated else self._cold_threshold

    @property
    def info(self) -> dict[str, object]:
        """What the model's file says: variant, sizes, calibration."""
        return dict(self._info)

    @property
    def dynamic(self) -> bool:
        """Whether ordinary patches skip the network."""
        return self._dynamic

    @property
    def last_tokens(self) -> int:
        """Patches of the last scored recording, over all channels; 0 before the first and where it stayed cold."""
        return self._last_tokens[0]

    @property
    def last_skipped(self) -> int:
        """Those of `last_tokens` that dynamic mode skipped."""
        return self._last_tokens[1]

    @property
    def path(self) -> Path | None:
        """The file behind the detector; None after `fit` until `save`."""
        return self._path

    def sha256(self) -> str:
        """Hexadecimal SHA-256 of the model's file. StateError when it was fitted and not saved."""
        if self._path is None:
            raise StateError("expected a model in a file, found a fitted one; save it first")
        try:
            return hashlib.sha256(self._path.read_bytes()).hexdigest()
        except OSError as error:
            raise StorageError(f"cannot read {self._path}: {error.strerror}") from error

    def fit(
        self,
        reference: ArrayLike | Recording,
        *,
        scaling: Scaling = "robust",
        false_alarms: float = 1.0,
        period_s: float | None = None,
        frame_ms: float | None = None,
    ) -> Detector:
        """Calibrates on a normal recording (at least 256 samples, or frames) and returns itself; no gradients, seconds.

        Stores each channel's location and spread (`scaling`: median and MAD, or mean and standard deviation), a
        memory of what normal looks like, and a threshold for `false_alarms` per day, or per 10,000 samples where
        period_s (seconds a sample; None: that of a Recording, else unknown) is unknown. frame_ms: milliseconds a
        frame, 0 for none; None: frames above about 1 kHz, their length by the rate (docs/frames.md).
        Raises CalibrationError (too short), ShapeError, DtypeError, InputError (an option).
        """
        if scaling not in _SCALINGS:
            raise InputError(f"expected scaling 'robust' or 'standard', found {scaling!r}")
        if period_s is None and isinstance(reference, Recording):
            period_s = reference.period_s
        alarms, period = _alarm_options(false_alarms, period_s)
        frame = frame_option(frame_ms)
        x = as_signal(reference)
        self._model = self._model.calibrate(x, scaling == "standard", alarms, period, frame)
        self._info = self._model.info()
        self._cold_options = (alarms, period, frame)
        self._path = None
        return self

    def decision_function(
        self, x: ArrayLike | Recording, timestamps: ArrayLike | None = None
    ) -> NDArray[np.float32]:
        """Scores, float32 (time,): higher = more anomalous, 0 while cold, NaN where too much is missing.

        timestamps: optional, one a sample; TimestampError when one is earlier than the one before.
        Raises ShapeError, DtypeError.
        """
        return self._run(x, timestamps)[0][0]

    def predict(
        self, x: ArrayLike | Recording, timestamps: ArrayLike | None = None
    ) -> NDArray[np.int8]:
        """Labels, int8 (time,): 1 where the score is above the threshold, else 0 (also where it is NaN)."""
        result, stream = self._run(x, timestamps)
        return labels_of(result[0], stream.threshold)

    def explain(
        self, x: ArrayLike | Recording, timestamps: ArrayLike | None = None
    ) -> Explanation:
        """Scores with each channel's own score and the components behind it."""
        result, stream = self._run(x, timestamps, blame=True)
        return stream.explained(result)

    def reconstruct(self, x: ArrayLike | Recording) -> NDArray[np.float32]:
        """The model's own version of `x`, float32, in its shape and units; NaN while cold.

        With frames: of their features, (time, channels x features), a frame's for each of its samples. NaN also where
        dynamic mode skipped the patch.
        """
        x_hat = self._run(x, None, reconstruction=True)[0][3]
        assert x_hat is not None
        return x_hat[:, 0] if np.ndim(_values(x)) == 1 and x_hat.shape[1] == 1 else x_hat

    def stream(self, channels: int | None = None) -> Stream:
        """A new stream. channels: None takes the calibration's, or (cold) the first chunk's."""
        alarms, period, frame = self._cold_options
        wanted = {"false_alarms": alarms, "period_s": period, "frame_ms": frame}
        return Stream(self._model, channels, **wanted, dynamic=self._dynamic, threads=self._threads)

    def streams(self, n: int, channels: int | None = None) -> StreamGroup:
        """n new streams that share one engine: what they complete at the same time is one batch of work.

        channels: of each stream; None takes the calibration's. Raises InputError, ShapeError.
        """
        if not isinstance(self._model, _core.Model):
            found = f"found {self.backend!r}; open single streams"
            raise InputError(f"expected backend 'native' for a group of streams, {found}")
        alarms, period, frame = self._cold_options
        wanted = {"false_alarms": alarms, "period_s": period, "frame_ms": frame}
        return StreamGroup(self._model, n, channels, **wanted, dynamic=self._dynamic, threads=self._threads)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the model, with its calibration if any, atomically. Raises InputError (no name), StorageError."""
        if os.fspath(path) == "" or "\0" in os.fspath(path):
            raise InputError(f"expected a file's name to save to, found {os.fspath(path)!r}; give a path")
        file = Path(path)
        self._model.save(os.fsencode(file))
        self._path = file

    def __getstate__(self) -> dict[str, Any]:
        """For pickle and copy: the model as its file's bytes. TypeError where another engine runs it."""
        if not isinstance(self._model, _core.Model):
            raise TypeError(f"cannot pickle a detector of backend {self.backend!r}; load it again where it is needed")
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "model.gguf"
            self._model.save(os.fsencode(file))
            return {**self.__dict__, "_model": file.read_bytes()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """The best instruction set of this machine runs it: the scores are the same bytes."""
        self.__dict__.update(state, _model=_core.Model.parse(state["_model"]))
        self._info = self._model.info()

    def __repr__(self) -> str:
        mode = f"calibrated on {self.channels} channel(s)" if self.calibrated else "cold"
        return f"Detector({self._info['variant']!r}, {mode}, backend={self.backend!r}, isa={self.isa!r})"

    def _run(
        self,
        x: ArrayLike | Recording,
        timestamps: ArrayLike | None,
        *,
        blame: bool = False,
        reconstruction: bool = False,
    ) -> tuple[Result, Stream]:
        signal = as_signal(x)
        if self.channels is not None and signal.shape[1] != self.channels:
            raise channel_mismatch(signal.shape, self.channels, "model's calibration")
        if timestamps is None and isinstance(x, Recording):
            timestamps = x.timestamps
        if timestamps is not None:
            as_timestamps(timestamps, signal.shape[0], None)
        alarms, period, frame = self._cold_options
        if self.calibrated and isinstance(x, Recording) and x.period_s:
            period = x.period_s  # a calibration with frames refuses another rate
        wanted = {"false_alarms": alarms, "period_s": period, "frame_ms": frame}
        stream = Stream(self._model, signal.shape[1], **wanted, dynamic=self._dynamic, threads=self._threads)
        parts = [
            stream._update(signal[i : i + _BATCH], None, blame=blame, reconstruction=reconstruction)
            for i in range(0, signal.shape[0], _BATCH)
        ]
        parts.append(stream._flush(blame=blame, reconstruction=reconstruction))
        self._last_tokens = (stream.tokens, stream.skipped)
        if not self.calibrated:
            self._cold_threshold = stream.threshold
        scores, channel_scores, components, x_hat, skipped = zip(*parts, strict=True)
        floats = (_joined(channel_scores), _joined(components), _joined(x_hat))
        return (self._looked_back(np.concatenate(scores), stream), *floats, _joined(skipped)), stream

    def _looked_back(self, scores: NDArray[np.float32], stream: Stream) -> NDArray[np.float32]:
        if not self._hindsight:
            return scores
        frame = max(stream.frame_samples, 1)
        cold = 0 if self.calibrated else int(self._info["cold_samples"]) * frame
        return with_hindsight(scores, self._hindsight * frame, stream.patch, cold)


def _alarm_options(false_alarms: float, period_s: float | None) -> tuple[float, float]:
    if not is_positive_float32(false_alarms):
        raise InputError(f"expected false_alarms above 0 as float32, found {false_alarms!r}; give a positive number")
    if period_s is None:
        return float(false_alarms), 0.0
    if not is_positive_float32(period_s):
        raise InputError(
            f"expected period_s above 0 as float32 (seconds a sample), found {period_s!r}; leave it out if unknown"
        )
    return float(false_alarms), float(period_s)


def _thread_count(threads: int) -> int:
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise InputError(f"expected a number of threads above 0, found {threads!r}; 1 is the default")
    return threads


def _joined(parts: Sequence[NDArray[Any] | None]) -> NDArray[Any] | None:
    there = [part for part in parts if part is not None]
    return np.concatenate(there) if there else None


def _values(x: ArrayLike | Recording) -> ArrayLike:
    return x.values if isinstance(x, Recording) else x
