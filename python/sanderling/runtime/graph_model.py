"""An exported graph as the detector sees a model: what `_core.Model` and `_core.Stream` are to the native file."""

from __future__ import annotations

import os
from typing import Any

from sanderling.errors import CalibrationError, InputError
from sanderling.runtime.graph import Engine, Float32, GraphCalibration, GraphStream
from sanderling.runtime.graph_calibration import MIN_REFERENCE, calibrate
from sanderling.runtime.graph_frames import FEATURE_COUNT, FramedStream, Frames, choose_frames
from sanderling.runtime.graph_metadata import calibration_keys, calibration_of
from sanderling.runtime.graph_spec import PATCH
from sanderling.runtime.signals import MAX_CHANNELS


class GraphModel:
    """A loaded graph and its calibration, if any. Same methods and meanings as `_core.Model`."""

    def __init__(
        self, engine: Engine, calibration: GraphCalibration | None = None, frames: Frames | None = None
    ) -> None:
        """frames: those of the calibration, or those that a cold start takes for a signal of their rate."""
        self.engine = engine
        self.calibration = calibration
        self.frames = frames

    @classmethod
    def of_file(cls, engine: Engine) -> GraphModel:
        """With the calibration that the file holds. FormatError where it is incomplete."""
        kept = calibration_of(engine.metadata, engine.stored or {})
        return cls(engine, kept, Frames.of_keys(engine.metadata.get("frame")))

    def calibrate(
        self, x: Float32, standard_scaling: bool, false_alarms: float, period_s: float, frame_ms: float = -1.0
    ) -> GraphModel:
        """CalibrationError, InputError."""
        frames = choose_frames(self.frames, frame_ms, period_s, len(x))
        if frames is not None:
            if len(x) < MIN_REFERENCE * frames.samples:
                raise CalibrationError(
                    f"expected a reference of at least {MIN_REFERENCE * frames.samples} samples ({MIN_REFERENCE} "
                    f"frames), found {len(x)}; give a longer normal recording or a shorter frame_ms"
                )
            x, period_s = frames.of(x), frames.model_period
        found = calibrate(self.engine, x, standard=standard_scaling, false_alarms=false_alarms, period_s=period_s)
        return GraphModel(self.engine, found, frames)

    def stream(
        self,
        channels: int,
        false_alarms: float = 1.0,
        period_s: float = 0.0,
        frame_ms: float = -1.0,
        dynamic: bool = False,
        threads: int = 1,
    ) -> GraphStream | FramedStream:
        """A new stream; arguments as `_core.Stream`'s, but threads, which the engine was opened with."""
        if dynamic:
            raise InputError("expected dynamic=False: an exported graph runs every patch; use backend='native'")
        kept = self.calibration
        frames = choose_frames(self.frames, frame_ms, period_s) if kept is None else self.frames
        if frames is None:
            return GraphStream(self.engine, kept, channels, false_alarms, period_s)
        if not frames.same_period(period_s):
            raise InputError(
                f"expected {frames.period_s:g} s a sample (the rate of the model's frames), found {period_s:g}; "
                "resample or calibrate again"
            )
        width = channels * FEATURE_COUNT
        if width > MAX_CHANNELS:
            raise InputError(
                f"expected at most {MAX_CHANNELS // FEATURE_COUNT} channels with frames ({FEATURE_COUNT} features "
                f"each), found {channels}; select channels"
            )
        return FramedStream(frames, channels, GraphStream(self.engine, kept, width, false_alarms, frames.model_period))

    def save(self, path: bytes | str) -> None:
        """Writes the file with the calibration. StorageError; InputError where the format cannot."""
        kept = self.calibration
        keys = None if kept is None else calibration_keys(kept)
        document = {**self.engine.metadata, "calibration": keys, "frame": self.frames and self.frames.keys()}
        self.engine.write(os.fsencode(path), document, {} if kept is None else kept.tensors)

    def info(self) -> dict[str, Any]:
        """As `_core.Model.info`, and precision and profile of the file."""
        config, kept, frames = self.engine.config, self.calibration, self.frames
        request = {} if kept is None else kept.request
        raw, features = (frames.samples, FEATURE_COUNT) if frames else (1, 1)
        return {
            "variant": config.variant,
            "isa": f"{self.engine.name} {self.engine.version}",
            "d_model": config.d_model,
            "n_layers": config.n_layers,
            "window": config.window,
            "patch": PATCH * raw,
            "levels": config.levels,
            "cold_samples": config.cold_samples * raw,
            "memory_tokens": config.memory_tokens,
            "min_reference": MIN_REFERENCE * raw,
            "frame_samples": frames.samples if frames else 0,
            "calibrated": kept is not None,
            "channels": 0 if kept is None else kept.channels // features,
            "outputs": 0 if kept is None else kept.channels,
            "reference_samples": request.get("samples", 0) * raw,
            "scaling": request.get("scaling", ""),
            "threshold": 0.0 if kept is None else kept.threshold,
            "false_alarms": request.get("false_alarms", 0.0),
            "period_s": frames.period_s if frames and kept else request.get("period_s", 0.0),
            "precision": self.engine.metadata["precision"],
            "profile": self.engine.metadata["profile"],
        }
