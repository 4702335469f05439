"""Labelled recordings as CSV text: which column holds the labels, which are channels, which are neither."""

from __future__ import annotations

import csv
import io
import re
from array import array
from collections.abc import Iterator

import numpy as np

from sanderling.errors import ReadError
from sanderling.runtime.csv_reader import TIME_NAMES
from sanderling.runtime.timestamps import parse_timestamp

# Columns that say what is an anomaly: the first of these in a header is the label, none of them is a channel.
LABEL_COLUMNS = (
    "label",
    "labels",
    "is_anomaly",
    "anomaly",
    "anomaly_label",
    "is_outlier",
    "outlier",
    "ground_truth",
    "gt",
    "attack",
    "normal/attack",
)
# Names that a sensor may have too: the label where none of the above is there.
LIKELY_LABELS = ("target", "class", "event", "y")
TIME_COLUMNS = (*TIME_NAMES, "timestamps")
# Answers of another kind (SKAB, Yahoo), and the row number that pandas writes.
OTHER_COLUMNS = re.compile(r"changepoint|(unnamed: \d+)?")
NORMAL, ANOMALOUS = ("false", "no", "normal"), ("true", "yes", "anomaly", "abnormal", "attack", "outlier")
FLAGS = {**dict.fromkeys(NORMAL, 0.0), **dict.fromkeys(ANOMALOUS, 1.0)}
MISSING = frozenset(("", "na", "null", "none", "?"))


class UnlabelledError(ReadError):
    """A table without a label column."""


def rows_of(text: io.TextIOBase, where: str) -> tuple[list[str], Iterator[list[str]]]:
    """The header's cells, and the rows that are not empty; separated by `,`, `;` or tab, as the header is."""
    first = text.readline()
    delimiter = max(",;\t", key=first.count)
    header = next(csv.reader([first.removeprefix("\ufeff")], delimiter=delimiter), [])
    if not any(header):
        raise ReadError(f"{where}: expected a header and at least one row, found an empty first line")
    return [cell.strip() for cell in header], filter(None, csv.reader(text, delimiter=delimiter))


def read_table(text: io.TextIOBase, where: str) -> tuple[np.ndarray, np.ndarray, float]:
    """x (time, channels) float32, labels (time,) uint8, seconds a sample (NaN = unknown). Raises ReadError."""
    with text:
        header, rows = rows_of(text, where)
        names = [name.lower() for name in header]
        label = _label_column(names)
        if label is None:
            wanted = f"expected a column {', '.join(LABEL_COLUMNS[:4])}"
            raise UnlabelledError(f"{where}: {wanted}, found {','.join(header)[:80]}; name the labels so")
        stamp = next((i for i, name in enumerate(names) if name in TIME_COLUMNS), None)
        picked = [i for i, name in enumerate(names) if i != label and _is_channel(name)]
        if not picked:
            raise ReadError(f"{where}: expected a value column beside {header[label]}, found none")
        values, flags = array("d"), array("d")
        stamps: list[str] = []
        for number, row in enumerate(rows, 2):
            try:
                values.extend(_numbers([row[i] for i in picked]))
                flags.append(_flag(row[label]))
                if stamp is not None:
                    stamps = [*stamps[:1], row[stamp].strip()]
            except (ValueError, IndexError) as error:
                wanted = f"expected a number in each of {len(header)} columns"
                raise ReadError(f"{where}: row {number}: {wanted}, found: {error}") from error
    if not flags:
        raise ReadError(f"{where}: expected a header and at least one row, found none")
    x, y = np.frombuffer(values).reshape(-1, len(picked)), np.frombuffer(flags)
    if not np.isin(y, (0.0, 1.0)).all():
        raise ReadError(f"{where}: expected labels 0 and 1 in column {header[label]}, found others; map them to these")
    with np.errstate(over="ignore"):
        return x.astype(np.float32), y.astype(np.uint8), period(stamps, len(y))


def period(stamps: list[str], samples: int) -> float:
    """Mean seconds a sample between the first and the last of ISO dates; NaN for numbers, whose unit is unknown."""
    first, last = (parse_timestamp(stamps[at]) if stamps else None for at in (0, -1))
    if samples < 2 or first is None or last is None:
        return float("nan")
    return (last - first) / (samples - 1)


def _label_column(names: list[str]) -> int | None:
    return next((names.index(name) for name in (*LABEL_COLUMNS, *LIKELY_LABELS) if name in names), None)


def _is_channel(name: str) -> bool:
    return not (name in LABEL_COLUMNS or name in TIME_COLUMNS or OTHER_COLUMNS.fullmatch(name))


def _numbers(cells: list[str]) -> list[float]:
    if "_" in "".join(cells):  # Python's 1_000, which no other reader of ours takes
        raise ValueError(f"digits with '_' in {','.join(cells)[:40]!r}")
    try:
        return list(map(float, cells))
    except ValueError:
        return [float("nan") if cell.strip().lower() in MISSING else float(cell) for cell in cells]


def _flag(cell: str) -> float:
    # SWaT writes "A ttack".
    word = "".join(cell.split()).lower()
    return FLAGS[word] if word in FLAGS else _numbers([cell])[0]
