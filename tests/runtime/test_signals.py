"""What callers may hand over, and what they may not."""

from datetime import datetime, timedelta, timezone

import numpy as np
import pytest

from sanderling.errors import DtypeError, ShapeError, TimestampError
from sanderling.runtime.recording import Recording
from sanderling.runtime.signals import as_signal, as_timestamps, to_float32

FLOAT32_MAX = np.finfo(np.float32).max


@pytest.mark.parametrize(
    "dtype", [np.float16, np.float32, np.float64, np.int8, np.int64, np.uint16, bool, ">f4", ">f8"]
)
def test_real_numbers_become_float32(dtype) -> None:
    x = as_signal(np.array([[0, 1], [1, 0]], dtype))
    assert x.dtype == np.float32 and x.dtype.isnative and x.tolist() == [[0, 1], [1, 0]]


def test_float32_is_taken_without_a_copy() -> None:
    x = np.zeros((4, 2), np.float32)
    assert np.shares_memory(as_signal(x), x)


def test_layouts_that_the_core_cannot_read_are_copied() -> None:
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    unaligned = np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(np.float32).reshape(3, 4)
    for view in (x.T, x[:, ::2], x[::-1], unaligned):
        y = as_signal(view)
        assert y.flags.c_contiguous and y.flags.aligned
        np.testing.assert_array_equal(y, view)


def test_one_dimension_is_one_channel() -> None:
    assert as_signal([1, 2, 3]).shape == (3, 1)


def test_a_recording_is_its_values() -> None:
    values = np.zeros((2, 1), np.float32)
    assert as_signal(Recording(values, ("a",))) is values


def test_masked_cells_are_missing() -> None:
    x = as_signal(np.ma.masked_array([1.0, 2.0], mask=[False, True]))
    assert x[0, 0] == 1 and np.isnan(x[1, 0])


def test_too_large_for_float32_is_its_largest_value() -> None:
    x = to_float32(np.array([1e300, -1e300, np.inf, -np.inf, np.nan, 1e30]))
    np.testing.assert_array_equal(
        x, np.array([FLOAT32_MAX, -FLOAT32_MAX, np.inf, -np.inf, np.nan, 1e30], np.float32)
    )


@pytest.mark.parametrize(
    "x", [["a", "b"], [b"a"], [None, 1.0], [object()], [1 + 2j], np.array(["2024-01-01"], "M8[s]"), [1.0, "x"]]
)
def test_other_kinds_are_refused(x) -> None:
    with pytest.raises(DtypeError, match="expected an array of real numbers"):
        as_signal(x)


@pytest.mark.parametrize(
    "x", [5.0, np.zeros((2, 2, 2)), [], np.zeros((0, 3)), np.zeros((3, 0)), [[1, 2], [3]], np.zeros((2, 1025))]
)
def test_other_shapes_are_refused(x) -> None:
    with pytest.raises(ShapeError, match="expected"):
        as_signal(x)


def test_a_transposed_signal_gets_a_hint() -> None:
    with pytest.raises(ShapeError, match="transpose"):
        as_signal(np.zeros((3, 5000)))


def test_dates_become_seconds() -> None:
    assert as_timestamps(np.array(["1970-01-01", "1970-01-02"], "M8[D]"), 2, None).tolist() == [0, 86400]


@pytest.mark.parametrize(
    ("times", "last", "words"),
    [([1, 2], None, "expected 3"), ([1, 3, 2], None, "index 2"), ([1, 2, 3], 1.5, "index 0"),
     ([1, np.nan, 2], None, "finite"), (["a", "b", "c"], None, "numbers"),
     (np.array(["1970-01-01", "NaT", "1970-01-03"], "M8[D]"), None, "finite")],
)  # fmt: skip
def test_bad_times(times, last, words: str) -> None:
    with pytest.raises(TimestampError, match=words):
        as_timestamps(times, 3, last)


class Table:
    """What a table of pandas shows: an array of objects where its columns differ in type or are nullable."""

    def __init__(self, dtypes: list) -> None:
        self.dtypes = dtypes

    def __array__(self, dtype=None, copy=None):
        return np.array([[1, True], [None, False]], object)

    def to_numpy(self, dtype, na_value):
        return np.array([[1, 1], [na_value, 0]], dtype)


def test_tables_of_numbers() -> None:
    x = as_signal(Table([np.dtype(np.int64), np.dtype(bool)]))
    np.testing.assert_array_equal(x, np.array([[1, 1], [np.nan, 0]], np.float32))
    with pytest.raises(DtypeError, match="found Python objects"):
        as_signal(Table([np.dtype(np.int64), np.dtype(object)]))


def test_a_tensor_that_will_not_be_an_array() -> None:
    class Tensor:
        def __array__(self, dtype=None, copy=None):
            raise RuntimeError("Use tensor.detach().numpy() instead.")

    with pytest.raises(DtypeError, match="found Tensor: Use tensor.detach"):
        as_signal(Tensor())


def test_dates_with_time_zones_are_ordered_by_the_instant() -> None:
    east, west = (timezone(timedelta(hours=hours)) for hours in (2, -3))
    clocks = [datetime(2024, 1, 1, 3, tzinfo=east), datetime(2024, 1, 1, 1, tzinfo=west)]
    assert as_timestamps(clocks, 2, None).tolist() == [1704070800, 1704081600]
    assert as_timestamps([datetime(1970, 1, 1, 1)], 1, None).tolist() == [3600]  # no zone: UTC, as everywhere
    for wrong in (clocks[::-1], [clocks[0], None]):
        with pytest.raises(TimestampError):
            as_timestamps(wrong, 2, None)
