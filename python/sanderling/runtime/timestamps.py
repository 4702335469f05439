"""ISO 8601 to seconds, and the sample period of a time column; the C++ runner computes the same (csrc/io)."""

import re
from datetime import date

import numpy as np
from numpy.typing import NDArray

_ISO = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
_EPOCH = date(1970, 1, 1).toordinal()


def parse_timestamp(text: str) -> float | None:
    """Seconds since 1970-01-01 UTC of `YYYY-MM-DD[T| ]HH:MM[:SS[.f]][Z|+hh:mm]` (no zone: UTC); None if it is not.

    = float64(whole microseconds) / 1e6; digits after the sixth are dropped.
    """
    match = _ISO.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        days = date(int(year), int(month), int(day)).toordinal() - _EPOCH
    except ValueError:
        return None
    h, m, s = int(hour or 0), int(minute or 0), int(second or 0)
    zone_h, zone_m = (int(zone[1:3]), int(zone[4:6])) if zone not in (None, "Z") else (0, 0)
    if max(h, zone_h) > 23 or max(m, s, zone_m) > 59:
        return None
    west = -1 if zone and zone[0] == "-" else 1
    offset = west * (zone_h * 60 + zone_m) * 60
    micro = int((fraction or "")[:6].ljust(6, "0"))
    return ((days * 86400 + (h * 60 + m) * 60 + s - offset) * 1_000_000 + micro) / 1e6


def sample_period(seconds: NDArray[np.float64]) -> float | None:
    """Seconds a sample: the lower median of the positive differences, rounded to float32; None if there is none."""
    steps = np.diff(seconds)
    steps = np.sort(steps[steps > 0])
    if steps.size == 0:
        return None
    with np.errstate(over="ignore", under="ignore"):
        period = np.float32(steps[(steps.size - 1) // 2])
    return float(period) if np.isfinite(period) and period > 0 else None
