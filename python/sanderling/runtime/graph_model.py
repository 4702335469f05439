"""An exported graph as the detector sees a model: what `_core.Model` and `_core.Stream` are to the native file."""

from __future__ import annotations

import os
from typing import Any

from sanderling.runtime.graph import Engine, Float32, GraphCalibration, GraphStream
from sanderling.runtime.graph_calibration import MIN_REFERENCE, calibrate
from sanderling.runtime.graph_metadata import calibration_keys, calibration_of
from sanderling.runtime.graph_spec import PATCH


class GraphModel:
    """A loaded graph and its calibration, if any. Same methods and meanings as `_core.Model`."""

    def __init__(self, engine: Engine, calibration: GraphCalibration | None = None) -> None:
        self.engine = engine
        self.calibration = calibration

    @classmethod
    def of_file(cls, engine: Engine) -> GraphModel:
        """With the calibration that the file holds. FormatError where it is incomplete."""
        return cls(engine, calibration_of(engine.metadata, engine.stored or {}))

    def calibrate(
        self, x: Float32, standard_scaling: bool, false_alarms: float, period_s: float, frame_ms: float = -1.0
    ) -> GraphModel:
        """CalibrationError, InputError."""
        found = calibrate(
            self.engine, x, standard=standard_scaling, false_alarms=false_alarms, period_s=period_s, frame_ms=frame_ms
        )
        return GraphModel(self.engine, found)

    def stream(
        self,
        channels: int,
        false_alarms: float = 1.0,
        period_s: float = 0.0,
        frame_ms: float = -1.0,
        dynamic: bool = False,
        threads: int = 1,
    ) -> GraphStream:
        """A new stream; arguments as `_core.Stream`'s, but threads, which the engine was opened with."""
        return GraphStream(self.engine, self.calibration, channels, false_alarms, period_s, frame_ms, dynamic)

    def save(self, path: bytes | str) -> None:
        """Writes the file with the calibration. StorageError; InputError where the format cannot."""
        kept = self.calibration
        keys = None if kept is None else calibration_keys(kept)
        document = {**self.engine.metadata, "calibration": keys}
        self.engine.write(os.fsencode(path), document, {} if kept is None else kept.tensors)

    def info(self) -> dict[str, Any]:
        """As `_core.Model.info`, and precision and profile of the file."""
        config, kept = self.engine.config, self.calibration
        request = {} if kept is None else kept.request
        return {
            "variant": config.variant,
            "isa": f"{self.engine.name} {self.engine.version}",
            "d_model": config.d_model,
            "n_layers": config.n_layers,
            "window": config.window,
            "patch": PATCH,
            "levels": config.levels,
            "cold_samples": config.cold_samples,
            "memory_tokens": config.memory_tokens,
            "min_reference": MIN_REFERENCE,
            "frame_samples": 0,
            "calibrated": kept is not None,
            "channels": 0 if kept is None else kept.channels,
            "outputs": 0 if kept is None else kept.channels,
            "reference_samples": request.get("samples", 0),
            "scaling": request.get("scaling", ""),
            "threshold": 0.0 if kept is None else kept.threshold,
            "false_alarms": request.get("false_alarms", 0.0),
            "period_s": request.get("period_s", 0.0),
            "precision": self.engine.metadata["precision"],
            "profile": self.engine.metadata["profile"],
        }
