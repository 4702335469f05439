"""What callers hand over, checked and turned into what the core takes: float32, C-contiguous, aligned."""

from datetime import timezone
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sanderling.errors import DtypeError, ShapeError, TimestampError
from sanderling.runtime.recording import Recording

MAX_CHANNELS = 1024  # docs/format.md: sanderling.cal.channels
_REAL_KINDS = "biuf"
_KIND_NAMES = {
    "U": "text",
    "S": "bytes",
    "O": "Python objects",
    "c": "complex numbers",
    "M": "dates",
    "m": "time differences",
    "V": "records",
}
_FLOAT32_MAX = float(np.finfo(np.float32).max)


def to_float32(values: NDArray[Any]) -> NDArray[np.float32]:
    """Rounds to nearest; a finite value beyond float32's range becomes its largest value, infinities stay."""
    if values.dtype.kind == "f" and values.dtype.itemsize > 4:
        too_large = (np.abs(values) > _FLOAT32_MAX) & np.isfinite(values)
        if too_large.any():
            values = np.where(too_large, np.copysign(_FLOAT32_MAX, values), values)
    return np.require(values, dtype=np.float32, requirements=["C", "A"])


def as_signal(x: ArrayLike | Recording, *, allow_empty: bool = False) -> NDArray[np.float32]:
    """`x` as float32 (time, channels); a 1-D input is one channel.

    NaN and infinities are missing values; a masked array's masked cells and a table's NA become NaN.
    Raises ShapeError (0-D, 3-D, ragged, empty, more than 1024 channels) and DtypeError (not real numbers).
    """
    array = _as_array(x)
    if array.dtype.kind not in _REAL_KINDS:
        kind = _KIND_NAMES.get(array.dtype.kind, str(array.dtype))
        hint = "; mark missing values by NaN" if array.dtype.kind == "O" else ""
        raise DtypeError(f"expected an array of real numbers, found {kind}; convert it to float32{hint}")
    if array.ndim not in (1, 2):
        raise ShapeError(
            f"expected shape (time,) or (time, channels), found {array.shape}; reshape the array"
        )
    if array.ndim == 1:
        array = array[:, np.newaxis]
    if array.shape[1] == 0 or (array.shape[0] == 0 and not allow_empty):
        raise ShapeError(f"expected at least one sample and one channel, found shape {array.shape}")
    if array.shape[1] > MAX_CHANNELS:
        raise ShapeError(
            f"expected at most {MAX_CHANNELS} channels, found shape {array.shape}; "
            "the layout is (time, channels): transpose the array if it is the other way round"
        )
    return to_float32(array)


def as_timestamps(timestamps: ArrayLike, samples: int, last: float | None) -> NDArray[np.float64]:
    """`timestamps` as float64 seconds (samples,); dates count from 1970-01-01 UTC, those without a zone as UTC.

    Raises TimestampError when one is missing or earlier than the one before (`last` precedes the first).
    """
    try:
        array = np.asarray(timestamps)
    except ValueError as error:  # ragged
        raise TimestampError("expected one timestamp a sample, found ragged ones; flatten them") from error
    if array.dtype.kind == "O":
        array = _dates(array)
    if array.dtype.kind == "M":
        missing = np.isnat(array)
        array = array.astype("datetime64[us]").astype(np.int64) / 1e6
        array[missing] = np.nan
    if array.dtype.kind not in "iuf":
        raise TimestampError(
            f"expected timestamps as numbers (seconds) or datetime64, found {array.dtype}; convert them"
        )
    seconds = np.ascontiguousarray(array, dtype=np.float64)
    if seconds.shape != (samples,):
        raise TimestampError(f"expected {samples} timestamps, one a sample, found shape {seconds.shape}")
    if not np.isfinite(seconds).all():
        index = int(np.argmin(np.isfinite(seconds)))
        raise TimestampError(f"expected finite timestamps, found {seconds[index]} at index {index}")
    before = np.concatenate(([seconds[0] if last is None else last], seconds[:-1])) if samples else seconds
    falling = seconds < before
    if falling.any():
        index = int(np.argmax(falling))
        raise TimestampError(
            f"expected timestamps that never fall, found {seconds[index]} after {before[index]} "
            f"at index {index}; sort the samples by time"
        )
    return seconds


def _dates(array: NDArray[Any]) -> NDArray[Any]:
    """datetime objects, pandas' dates with a time zone among them, as seconds; other objects as they are."""
    try:
        zoned = [one if one.tzinfo else one.replace(tzinfo=timezone.utc) for one in array.ravel()]
        return np.array([one.timestamp() for one in zoned], np.float64).reshape(array.shape)
    except (AttributeError, TypeError, ValueError):
        return array


def _as_array(x: ArrayLike | Recording) -> NDArray[Any]:
    if isinstance(x, Recording):
        return x.values
    if isinstance(x, np.ma.MaskedArray):
        if x.dtype.kind not in _REAL_KINDS:
            return np.asarray(x)
        return np.ma.filled(x.astype(np.float64), np.nan)
    try:
        # A table of pandas whose columns are numbers of several types, or nullable ones, is an array of objects.
        table: Any = x
        dtypes = np.ravel(np.asarray(getattr(table, "dtypes", None), object))
        if all(getattr(dtype, "kind", "O") in _REAL_KINDS for dtype in dtypes):
            return table.to_numpy(dtype=np.float64, na_value=np.nan)
        return np.asarray(x)
    except ValueError as error:  # numpy's word for rows of different lengths
        raise ShapeError(
            f"expected rows of one length, found {type(x).__name__} that makes no array; pad with NaN"
        ) from error
    except (RuntimeError, TypeError) as error:  # a tensor with a gradient, or on another device
        raise DtypeError(f"expected an array of real numbers, found {type(x).__name__}: {error}") from error
