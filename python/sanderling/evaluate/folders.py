"""Readers of sets that come as a train and a test recording a series, in folders: SMD, SMAP with MSL, joined arrays.

Both parts are joined; the train part carries no label and ends where `train_end` says.
"""

from __future__ import annotations

import ast
import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sanderling.errors import ReadError
from sanderling.evaluate.series import Keep, Series

# Both sets are sampled about once a minute (Su et al. 2019; Hundman et al. 2018).
MINUTE = 60.0
LABEL_TABLE = "labeled_anomalies.csv"
JOINED_LABELS = "_test_label.npy"
LABEL_FIELDS = ("chan_id", "spacecraft", "anomaly_sequences")


def is_smd(path: Path) -> bool:
    """Whether a folder holds train/, test/ and test_label/ with .txt files."""
    return all(any((path / part).glob("*.txt")) for part in ("train", "test", "test_label"))


def label_table(path: Path) -> Path | None:
    """The table of anomalies of a folder with train/*.npy and test/*.npy: in it or one level above; else None."""
    if not all(any((path / part).glob("*.npy")) for part in ("train", "test")):
        return None
    tables = (path / LABEL_TABLE, path.resolve().parent / LABEL_TABLE)
    return next((table for table in tables if table.is_file()), None)


def is_joined(path: Path) -> bool:
    """Whether a folder holds <NAME>_test_label.npy."""
    return any(path.glob(f"*{JOINED_LABELS}"))


def read_smd(root: str | Path, keep: Keep | None = None) -> Iterator[Series]:
    """The Server Machine Dataset: train/, test/ and test_label/<machine>.txt, comma-separated, no header."""
    root = Path(root)
    for file in sorted((root / "test_label").glob("*.txt")):
        if keep is not None and not keep("smd", file.stem):
            continue
        train, test = (_numbers(root / part / file.name) for part in ("train", "test"))
        marked = _numbers(file)
        if marked.shape != (len(test), 1) or not np.isin(marked, (0, 1)).all():
            raise ReadError(f"{file}: expected {len(test)} rows of one label, 0 or 1, found {marked.shape}")
        yield _joined("smd", file.stem, train, test, marked[:, 0], str(file))


def read_telemanom(root: str | Path, keep: Keep | None = None) -> Iterator[Series]:
    """NASA's SMAP and MSL: train/<channel>.npy, test/<channel>.npy and labeled_anomalies.csv.

    anomaly_sequences: [first, last] of each anomaly in the test part, both included; the rows of a channel are
    united. The set is the spacecraft's name in lower case. Channels without a recording are left out.
    """
    root = Path(root)
    table = label_table(root)
    if table is None:
        raise ReadError(f"{root}: expected train/*.npy, test/*.npy and {LABEL_TABLE}, found no such layout")
    for (set_name, name), spans in sorted(_spans(table).items()):
        parts = [root / part / f"{name}.npy" for part in ("train", "test")]
        if not all(p.is_file() for p in parts) or (keep is not None and not keep(set_name, name)):
            continue
        train, test = map(_array, parts)
        labels = np.zeros(len(test), np.uint8)
        for first, last in spans:
            if not 0 <= first <= last < len(test):
                raise ReadError(f"{table}: expected spans of {name} within {len(test)} samples, found {first}-{last}")
            labels[first : last + 1] = 1
        yield _joined(set_name, name, train, test, labels, str(parts[1]))


def read_joined(root: str | Path, keep: Keep | None = None) -> Iterator[Series]:
    """Sets as Anomaly Transformer and its kin pass them on: <NAME>_train.npy, _test.npy and _test_label.npy.

    All recordings of a set are one, so the set's name in lower case is the series' too.
    """
    for file in sorted(Path(root).glob(f"*{JOINED_LABELS}")):
        name = file.name.removesuffix(JOINED_LABELS).lower()
        if keep is not None and not keep(name, name):
            continue
        stem = str(file).removesuffix("_label.npy").removesuffix("_test")
        train, test = (_array(Path(f"{stem}_{part}.npy")) for part in ("train", "test"))
        marked = np.load(file, allow_pickle=False).reshape(-1)
        if marked.shape != (len(test),) or not np.isin(marked, (0, 1)).all():
            raise ReadError(f"{file}: expected {len(test)} labels, 0 or 1, found {marked.shape}")
        yield _joined(name, name, train, test, marked, str(file))


def _joined(
    set_name: str, name: str, train: np.ndarray, test: np.ndarray, labels: np.ndarray, where: str
) -> Series:
    if train.shape[1] != test.shape[1]:
        raise ReadError(f"{where}: expected {train.shape[1]} columns as in the train part, found {test.shape[1]}")
    marked = np.concatenate([np.zeros(len(train)), labels]).astype(np.uint8)
    return Series(set_name, name, np.concatenate([train, test]), marked, len(train), MINUTE)


def _numbers(file: Path) -> np.ndarray:
    try:
        table = np.loadtxt(file, np.float32, delimiter=",", ndmin=2)
    except (OSError, ValueError) as error:
        raise ReadError(f"{file}: expected rows of numbers separated by commas: {error}") from error
    if not table.size:
        raise ReadError(f"{file}: expected rows of numbers, found none")
    return table


def _array(file: Path) -> np.ndarray:
    try:
        values = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ReadError(f"{file}: expected an array without pickles: {error}") from error
    if values.ndim != 2 or not len(values) or values.dtype.kind not in "fiub":
        raise ReadError(f"{file}: expected numbers (time, channels), found {values.dtype} {values.shape}")
    return values.astype(np.float32)


def _spans(table: Path) -> dict[tuple[str, str], list[tuple[int, int]]]:
    """(set, channel) -> spans of the test part."""
    found: dict[tuple[str, str], list[tuple[int, int]]] = {}
    with table.open(newline="") as file:
        for row in csv.DictReader(file):
            absent = [field for field in LABEL_FIELDS if not row.get(field)]
            if absent:
                raise ReadError(f"{table}: expected columns {', '.join(LABEL_FIELDS)}, found none for {absent[0]}")
            try:
                spans = [(int(first), int(last)) for first, last in ast.literal_eval(row["anomaly_sequences"])]
            except (ValueError, SyntaxError, TypeError) as error:
                raise ReadError(f"{table}: expected spans [[first, last], ...], found {error}") from error
            found.setdefault((row["spacecraft"].strip().lower(), row["chan_id"].strip()), []).extend(spans)
    return found
