"""What an exported file says about itself: one JSON document, the same in ONNX and TFLite (docs/runtimes.md)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from sanderling.errors import FormatError, VersionError
from sanderling.runtime.graph import GraphCalibration
from sanderling.runtime.graph_frames import FEATURE_COUNT, Frames
from sanderling.runtime.graph_spec import CALIBRATION, GraphConfig
from sanderling.runtime.signals import MAX_CHANNELS

VERSION = 1
MAX_TEXT = 1 << 22
PRECISIONS = ("fp32", "int8")
# key of the configuration -> least and most, as docs/format.md has them
_BOUNDS: dict[str, tuple[float, float]] = {
    "d_model": (16, 2048),
    "n_heads": (1, 64),
    "ffn": (16, 8192),
    "levels": (1, 8),
    "window": (2, 64),
    "graph_heads": (1, 64),
    "scorer_hidden": (16, 4096),
    "smooth": (1, 64),
    "top_k": (1, 2**32 - 1),
    "max_gap": (0, 2**32 - 2),
    "cold_samples": (256, 65536),
    "memory_tokens": (1, 65536),
    "memory_budget": (1, 2**24),
    "raw_rows": (1, 65536),
    "raw_budget": (1, 2**24),
    "loo_block": (1, 65536),
    "clip": (1, 1e4),
    "metric_tau": (1e-4, 1e4),
    "raw_tau": (1e-4, 1e4),
    "reach": (56, 2048),
}


def make_document(
    config: GraphConfig,
    *,
    format: str,
    profile: str,
    precision: str,
    channels: int | None = None,
    tokens: tuple[int, ...] | None = None,
    rows: tuple[int, int] | None = None,
    lineage: Mapping[str, str] | None = None,
    native_sha256: str = "",
    calibration: GraphCalibration | None = None,
    frames: Frames | None = None,
) -> dict[str, Any]:
    """The document as plain types. channels, tokens, rows: what the graph is fixed to; None: free."""
    return {
        "version": VERSION,
        "format": format,
        "profile": profile,
        "precision": precision,
        "config": config.to_keys(),
        "channels": channels,
        "tokens": None if tokens is None else list(tokens),
        "rows": None if rows is None else list(rows),
        "lineage": dict(lineage or {}),
        "native_sha256": native_sha256,
        "calibration": None if calibration is None else calibration_keys(calibration),
        "frame": None if frames is None else frames.keys(),
    }


def calibration_keys(calibration: GraphCalibration) -> dict[str, Any]:
    """The document's part on a calibration; its tensors are in the graph."""
    return {
        "location": [float(v) for v in calibration.location],
        "scale": [float(v) for v in calibration.scale],
        "threshold": float(calibration.threshold),
        **calibration.request,
    }


def write_document(document: Mapping[str, Any]) -> str:
    """As text; same document, same text."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)


def parse_document(text: str | None) -> dict[str, Any]:
    """Checked. `config` is a GraphConfig, tokens and rows are tuples. FormatError, VersionError."""
    if not text or len(text) > MAX_TEXT:
        raise FormatError(
            "expected a model that sanderling exported, found no metadata of it; export it with sanderling"
        )
    try:
        document = json.loads(text)
        if not isinstance(document, dict):
            raise TypeError("an object")
        if "kind" in document:
            raise FormatError(
                f"expected a model of signals, found a {document['kind']!s:.40}; give it to: sanderling text --encoder"
            )
        version = document["version"]
        if version != VERSION:
            raise VersionError(f"expected a graph of version {VERSION}, found {version!r}; export it with this release")
        config = GraphConfig.from_keys(document["config"])
        checked = {
            **document,
            "config": config,
            "profile": _word(document["profile"]),
            "precision": _word(document["precision"]),
            "channels": _count(document["channels"]),
            "tokens": _counts(document["tokens"]),
            "rows": _counts(document["rows"]),
            "lineage": {str(k): str(v) for k, v in dict(document["lineage"]).items()},
        }
        _check_config(config)
        if checked["precision"] not in PRECISIONS or (checked["rows"] and len(checked["rows"]) != 2):
            raise ValueError("precision or rows")
        if document["calibration"] is not None:
            _check_calibration(document["calibration"])
        frames = Frames.of_keys(document.get("frame"))
        if frames is not None and document["calibration"] and len(document["calibration"]["location"]) % FEATURE_COUNT:
            raise ValueError("channels that are no frames' features")
    except (KeyError, TypeError, ValueError, RecursionError, OverflowError) as error:
        if isinstance(error, VersionError | FormatError):
            raise
        raise FormatError(
            f"expected sanderling's metadata, found it damaged ({error}); export the model again"
        ) from error
    return checked


def calibration_of(document: Mapping[str, Any], stored: Mapping[str, np.ndarray]) -> GraphCalibration | None:
    """The calibration in a file whose graph holds `stored`; None in an uncalibrated file. FormatError."""
    keys = document["calibration"]
    if keys is None:
        return None
    missing = [name for name in CALIBRATION if name not in stored]
    if missing:
        raise FormatError(f"expected the calibration's tensors in the graph, found {missing} missing; export it again")
    request = {key: keys[key] for key in ("scaling", "samples", "false_alarms", "period_s")}
    location, scale = (np.array(keys[key], np.float32) for key in ("location", "scale"))
    return GraphCalibration(location, scale, float(keys["threshold"]), dict(stored), request, in_file=True)


def _word(value: Any) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= 63 or not value.isprintable():
        raise ValueError(f"a short text, not {value!r}")
    return value


def _count(value: Any) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 2**20):
        return value
    raise ValueError(f"a count, not {value!r}")


def _counts(value: Any) -> tuple[int, ...] | None:
    if value is None:
        return None
    counts = tuple(_count(v) or 0 for v in value)
    if not 1 <= len(counts) <= 8 or 0 in counts:
        raise ValueError(f"counts, not {value!r}")
    return counts


def _check_config(config: GraphConfig) -> None:
    for key, (least, most) in _BOUNDS.items():
        value = getattr(config, key)
        values = value if isinstance(value, tuple) else (value,)
        if not 1 <= len(values) <= 32 or not all(least <= v <= most for v in values):
            raise ValueError(f"{key} {value!r}")
    if len(config.n_heads) != len(config.ffn):
        raise ValueError("n_heads and ffn of different lengths")


def _check_calibration(keys: Mapping[str, Any]) -> None:
    location, scale = (np.array(keys[key], np.float64) for key in ("location", "scale"))
    if location.ndim != 1 or location.shape != scale.shape or not 1 <= len(location) <= MAX_CHANNELS:
        raise ValueError("location and scale")
    if not np.isfinite(location).all() or not (np.isfinite(scale).all() and (scale >= 1e-30).all()):
        raise ValueError("location or scale that is not finite")
    numbers = (keys["threshold"], keys["false_alarms"], keys["period_s"], keys["samples"])
    if not all(isinstance(v, (int, float)) and math.isfinite(v) and v >= 0 for v in numbers):
        raise ValueError("threshold or request")
    if keys["scaling"] not in ("robust", "standard"):
        raise ValueError(f"scaling {keys['scaling']!r}")
