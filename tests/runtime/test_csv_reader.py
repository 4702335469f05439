"""The CSV rules of runtime/csv_reader.py, one by one; csrc/io has the same list for the C++ reader."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sanderling.errors import InputError, ReadError, TimestampError
from sanderling.runtime.csv_reader import MAX_COLUMNS, MAX_LINE, ColumnChoice, parse_csv


def parse(text: str | bytes, **choice):
    raw = text.encode() if isinstance(text, str) else text
    table = parse_csv(raw.splitlines(keepends=True) if b"\r" not in raw else raw.split(b"\n"), ColumnChoice(**choice))
    width = len(table.parser.names)
    rows = [list(table.values[i : i + width]) for i in range(0, len(table.values), width)]
    return table, rows


def test_header_is_optional() -> None:
    table, rows = parse("1,2\n3,4\n")
    assert table.parser.names == ("0", "1") and rows == [[1, 2], [3, 4]]
    table, rows = parse("a,b\n3,4\n")
    assert table.parser.names == ("a", "b") and rows == [[3, 4]]


def test_a_first_row_with_a_missing_cell_is_no_header() -> None:
    _, rows = parse("1,\n3,4\n")
    assert rows[0][0] == 1 and math.isnan(rows[0][1]) and rows[1] == [3, 4]


@pytest.mark.parametrize("cell", ["", "nan", "NaN", "-nan", "NA", "null", "NULL", "None", "  ", " NA "])
def test_missing_cells(cell: str) -> None:
    _, rows = parse(f"a,b\n{cell},1\n")
    assert math.isnan(rows[0][0]) and rows[0][1] == 1


@pytest.mark.parametrize(
    ("cell", "value"),
    [("1", 1), ("+1", 1), ("-1.5", -1.5), (".5", 0.5), ("5.", 5), ("1e3", 1000), ("1E-3", 0.001), ("1e30", 1e30),
     ("inf", math.inf), ("-Infinity", -math.inf), ("1e400", math.inf), (" 7\t", 7), ("007", 7)],
)  # fmt: skip
def test_numbers(cell: str, value: float) -> None:
    assert parse(f"a,b\n{cell},0\n")[1][0][0] == value


@pytest.mark.parametrize(
    "cell", ["x", "1_000", "0x10", "1e", "e5", ".", "+", "--1", "1 2", "1,5x", "٣", "1\x0b", "infi"]
)
def test_text_in_a_numeric_column_names_row_and_column(cell: str) -> None:
    with pytest.raises(ReadError, match=r"row 3: expected a number in column 'b'"):
        parse(f"a;b\n1;2\n3;{cell}\n")


@pytest.mark.parametrize(("delimiter"), [",", ";", "\t"])
def test_delimiter_is_sniffed(delimiter: str) -> None:
    table, rows = parse(delimiter.join("abc") + "\n" + delimiter.join("123") + "\n")
    assert table.parser.names == ("a", "b", "c") and rows == [[1, 2, 3]]


def test_byte_order_mark_and_crlf() -> None:
    table, rows = parse(b"\xef\xbb\xbfa,b\r\n1,2\r\n")
    assert table.parser.names == ("a", "b") and rows == [[1, 2]]


def test_quoted_cells() -> None:
    table, rows = parse('"a,1","say ""x""" ,c\n"1",2,"3"\n')
    assert table.parser.names == ("a,1", 'say "x"', "c") and rows == [[1, 2, 3]]


@pytest.mark.parametrize("line", ['"1,2', '"1"x,2'])
def test_broken_quotes_name_the_row(line: str) -> None:
    with pytest.raises(ReadError, match="row 2: .*quot"):
        parse(f"a,b\n{line}\n")


def test_empty_lines_are_skipped_and_counted() -> None:
    with pytest.raises(ReadError, match="row 5: .*'x'"):
        parse("a\n\n1\n  \nx\n")


@pytest.mark.parametrize("line", ["1", "1,2,3"])
def test_ragged_rows_name_the_row(line: str) -> None:
    with pytest.raises(ReadError, match="row 3: expected 2 columns"):
        parse(f"a,b\n1,2\n{line}\n")


@pytest.mark.parametrize(
    ("text", "found"), [("", "an empty input"), ("\n \n", "an empty input"), ("a,b\n", "a header")]
)
def test_no_rows(text: str, found: str) -> None:
    with pytest.raises(ReadError, match=found):
        parse(text)


@pytest.mark.parametrize("raw", [b"a\n1\x00\n", b"a\n\xff\n"])
def test_bytes_that_are_no_text(raw: bytes) -> None:
    with pytest.raises(ReadError, match="row 2: .*UTF-8"):
        parse(raw)


def test_limits() -> None:
    with pytest.raises(ReadError, match=f"at most {MAX_COLUMNS} columns"):
        parse(",".join(["1"] * (MAX_COLUMNS + 1)) + "\n")
    with pytest.raises(ReadError, match=f"at most {MAX_LINE} bytes"):
        parse("a\n" + "1" * (MAX_LINE + 1) + "\n")


@pytest.mark.parametrize("name", ["time", "Timestamp", "DATETIME", "date", "ts", "t"])
def test_time_column_by_name(name: str) -> None:
    table, rows = parse(f"a,{name}\n1,10\n2,11\n")
    assert table.parser.names == ("a",) and list(table.times) == [10, 11] and rows == [[1], [2]]


def test_time_column_by_choice_wins() -> None:
    table, _ = parse("time,clock,a\n1,5,0\n1,6,0\n", time="clock")
    assert table.parser.names == ("time", "a") and list(table.times) == [5, 6]


def test_iso_times() -> None:
    table, _ = parse("time,a\n1970-01-02,0\n1970-01-02T00:00:01Z,0\n1970-01-02 01:00:02.5+01:00,0\n")
    assert list(table.times) == [86400, 86401, 86402.5]


@pytest.mark.parametrize("cell", ["", "nan", "inf", "yesterday", "2024/01/01", "2024-02-30", "2024-01-01T24:00"])
def test_a_time_that_is_none(cell: str) -> None:
    with pytest.raises(TimestampError, match="row 2: .*time column 'time'"):
        parse(f"time,a\n{cell},0\n")


def test_numbers_and_dates_do_not_mix() -> None:
    with pytest.raises(TimestampError, match="row 3: expected seconds"):
        parse("time,a\n5,0\n2024-01-01,0\n")


def test_an_earlier_time_names_the_row() -> None:
    with pytest.raises(TimestampError, match="row 4: .*'1.5'"):
        parse("time,a\n1,0\n2,0\n1.5,0\n")


def test_equal_times_are_kept_and_counted() -> None:
    table, rows = parse("time,a\n1,0\n1,1\n2,2\n2,3\n")
    assert table.parser.equal_timestamps == 2 and len(rows) == 4


def test_columns_are_chosen_in_order() -> None:
    table, rows = parse("a,b,c,y\n1,2,x,0\n", columns=("b", "a"), label="y")
    assert table.parser.names == ("b", "a") and rows == [[2, 1]]  # c is text and not read


@pytest.mark.parametrize("choice", [{"time": "z"}, {"label": "z"}, {"columns": ("a", "z")}])
def test_a_column_that_is_not_there(choice: dict) -> None:
    with pytest.raises(InputError, match=r"expected one of the columns \(a, b\), found 'z'"):
        parse("a,b\n1,2\n", **choice)


def test_no_channel_left() -> None:
    with pytest.raises(ReadError, match="found 0"):
        parse("time\n1\n")


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=20))
def test_every_float_reads_back(values: list[float]) -> None:
    _, rows = parse("a\n" + "".join(f"{v!r}\n" for v in values))
    assert [row[0] for row in rows] == values


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_give_rows_or_an_error_of_ours(raw: bytes) -> None:
    try:
        table, rows = parse(raw)
    except InputError:
        return
    assert rows and all(len(row) == len(table.parser.names) for row in rows)
