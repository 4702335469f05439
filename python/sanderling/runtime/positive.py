"""Options that the core takes as float32."""

import math
import struct


def is_positive_float32(value: object) -> bool:
    """Whether `value` is one real number that float32 holds as finite and above 0, about 1e-45 to 3.4e38."""
    try:
        (rounded,) = struct.unpack("<f", struct.pack("<f", value))
    except (struct.error, OverflowError, TypeError):
        return False
    return math.isfinite(rounded) and rounded > 0
