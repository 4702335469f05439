"""CSV as others write it: names of labels, separators, words for numbers, and columns that are no channels."""

import io

import numpy as np
import pytest

from sanderling.errors import ReadError
from sanderling.evaluate.tables import LABEL_COLUMNS, LIKELY_LABELS, read_table


def read(text: str) -> tuple[np.ndarray, np.ndarray, float]:
    return read_table(io.StringIO(text, newline=""), "pump.csv")


@pytest.mark.parametrize("name", [*LABEL_COLUMNS, *LIKELY_LABELS, "Label", " IS_ANOMALY "])
def test_the_label_goes_by_many_names(name: str) -> None:
    x, labels, _ = read(f"a,{name},b\n1,0,2\n3,1,4\n")
    assert x.tolist() == [[1, 2], [3, 4]] and labels.tolist() == [0, 1]


def test_a_name_that_a_sensor_may_have_is_the_label_only_without_a_better_one() -> None:
    x, labels, _ = read("x,y,z,label\n1,2,3,0\n4,5,6,1\n")
    assert x.tolist() == [[1, 2, 3], [4, 5, 6]] and labels.tolist() == [0, 1]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_skab_s_answers_are_no_channels(separator: str) -> None:
    rows = ["datetime;Current;Pressure;anomaly;changepoint", "2020-03-09 10:14:33;1;2;0.0;0.0"]
    text = "\n".join([*rows, "2020-03-09 10:14:35;3;4;1.0;1.0"])
    x, labels, period_s = read(text.replace(";", separator))
    assert x.tolist() == [[1, 2], [3, 4]] and labels.tolist() == [0, 1] and period_s == 2


@pytest.mark.parametrize("header", [",v,label", "Unnamed: 0,v,label", "is_anomaly,v,label", "timestamps,v,label"])
def test_row_numbers_second_labels_and_times_are_no_channels(header: str) -> None:
    x, labels, _ = read(f"{header}\n0,5,0\n1,6,1\n")
    assert x.tolist() == [[5], [6]] and labels.tolist() == [0, 1]


@pytest.mark.parametrize("words", ["False True", "false TRUE", "Normal Attack", "normal A\u00a0ttack", "0.0 1"])
def test_labels_may_be_words(words: str) -> None:
    low, high = words.split(" ")
    assert read(f"v,label\n1,{low}\n2,{high}\n")[1].tolist() == [0, 1]


def test_missing_values_by_their_names() -> None:
    x, _, _ = read("v,w,label\n1,NA,0\nnull,2,0\n,?,0\nNaN, 3 ,0\n\n")
    np.testing.assert_array_equal(x, np.array([[1, np.nan], [np.nan, 2], [np.nan, np.nan], [np.nan, 3]], np.float32))


@pytest.mark.parametrize(
    ("stamps", "seconds"),
    [
        (("2020-01-01T00:00:00Z", "2020-01-01T00:00:30Z"), 30.0),
        (("1577836800", "1577836830"), np.nan),
        (("x", "y"), np.nan),
    ],
)
def test_only_dates_give_a_period(stamps: tuple[str, str], seconds: float) -> None:
    period_s = read("time,v,label\n" + "".join(f"{stamp},1,0\n" for stamp in stamps))[2]
    np.testing.assert_equal(period_s, seconds)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,label\n1,0\nx,0\n", "row 3: expected a number in each of 2 columns, found: could not convert"),
        ("a,label\n1,-1\n2,1\n", "expected labels 0 and 1 in column label"),
        ("a,label\n1,fine\n", "row 2: expected a number"),
        ("a,label\n1_000,0\n", "row 2: expected a number in each of 2 columns, found: digits with '_'"),
        (",label\n1,0\n", "expected a value column"),
        ("a,label\n", "at least one row"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, message: str) -> None:
    with pytest.raises(ReadError, match=message):
        read(text)
