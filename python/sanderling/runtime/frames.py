"""Frames of high-rate signals (docs/frames.md): names of what the model sees, and the option `frame_ms`."""

from collections.abc import Sequence

from sanderling import _core
from sanderling.errors import InputError
from sanderling.runtime.positive import is_positive_float32

# What the core takes for "chosen from the sampling period".
CHOSEN = -1.0


def output_names(channels: Sequence[str], frame_samples: int) -> tuple[str, ...]:
    """Names of the columns of channel_scores: the channels, or with frames `de_level3_rms` and the like."""
    if frame_samples == 0:
        return tuple(channels)
    return tuple(f"{channel}_{feature}" for channel in channels for feature in _core.frame_features)


def frame_option(frame_ms: float | None) -> float:
    """What the core takes for `frame_ms`: None = chosen from the period, 0 = none. Raises InputError."""
    if frame_ms is None:
        return CHOSEN
    if not (is_positive_float32(frame_ms) or (frame_ms == 0 and not isinstance(frame_ms, bool))):
        raise InputError(
            f"expected frame_ms above 0 as float32, 0 for no frames or None to choose, found {frame_ms!r}"
        )
    return float(frame_ms)
