"""Labelled recordings in the layouts that the field uses, one `Series` at a time.

`open_series(path)` picks the reader by what the path is:

| path | reader | sets |
|---|---|---|
| `*.npz` | `read_npz`: packed series, no pickles; else `read_values`: one, as `sanderling score` reads it | its stem |
| `*.whl`, or an unpacked `aeon` package folder | `read_aeon`: three recordings that aeon ships | aeon |
| `NNN_UCR_Anomaly_*_TRAIN_BEGIN_END.txt` | `read_ucr`: UCR Anomaly Archive | ucr_anomaly |
| a folder with `combined_windows.json` in it, in `labels/` or `../labels/` | `read_nab`: Numenta's benchmark | nab |
| a folder with `train/`, `test/`, `test_label/` of `.txt` | `read_smd`: Server Machine Dataset | smd |
| a folder with `train/`, `test/` of `.npy`, `labeled_anomalies.csv` in it or above | `read_telemanom` | smap, msl |
| a folder with `<NAME>_train.npy`, `_test.npy`, `_test_label.npy` | `read_joined` | `<name>` |
| other `*.csv` | `read_csv`: one label column; TSB-AD's file naming gives set and split | see there |
| other folder | each of the files above in it, by sorted path; a CSV without labels gives `Series.labels` None | |
"""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import numpy as np

from sanderling.errors import ReadError, SanderlingError
from sanderling.evaluate.folders import (
    LABEL_TABLE,
    is_joined,
    is_smd,
    label_table,
    read_joined,
    read_smd,
    read_telemanom,
)
from sanderling.evaluate.series import NO_SPLIT, Keep, Series
from sanderling.evaluate.tables import UnlabelledError, period, read_table, rows_of

MISSING_I16 = -32768
NAB_TABLE = "combined_windows.json"
UCR_NAME = re.compile(r"(?P<name>\d+_UCR_Anomaly_.+)_(?P<train>\d+)_(?P<begin>\d+)_(?P<end>\d+)$")
TSB_AD_NAME = re.compile(r"^\d+_(?P<set>.+?)_id_[^_]+_.*_tr_(?P<train>\d+)(_|$)")
AEON_DATA = "aeon/datasets/data"
# What reading bytes that are not what the file's name says ends in.
_ARCHIVE_DAMAGE = (EOFError, zipfile.BadZipFile, zlib.error)
_DAMAGE = (OSError, ValueError, TypeError, LookupError, MemoryError, csv.Error, *_ARCHIVE_DAMAGE)
ARRAYS = frozenset("names length n_channels train_end period_s ch_kind ch_off ch_scale ch_bias i16 f32".split())


def open_series(path: str | Path, keep: Keep | None = None) -> Iterator[Series]:
    """The series under a file or folder (table above) that `keep` accepts. ReadError if nothing there can be read."""
    path = Path(path)
    if not path.exists():
        raise ReadError(f"{path}: expected a file or folder, found none; check the path")
    try:
        yield from _open(path, keep)
    except SanderlingError:
        raise
    except _DAMAGE as error:
        why = str(getattr(error, "strerror", None) or error)[:120]
        raise ReadError(f"{path}: expected a whole recording, found a file that cannot be read: {why}") from error


def _open(path: Path, keep: Keep | None) -> Iterator[Series]:
    reader = _folder_reader(path) if path.is_dir() else _file_reader(path)
    if reader:
        yield from reader(path, keep)
    elif path.is_dir():
        inside = _readable(path)
        if not inside:
            raise ReadError(f"{path}: expected .npz, .csv or UCR .txt files or a known layout below, found none")
        for item in inside:
            try:
                yield from open_series(item, keep)
            except UnlabelledError:  # a list of files, a description: no reason to leave the others
                yield Series(item.resolve().parent.name, item.stem, np.empty((0, 1), np.float32), None)
    else:
        known = "expected .npz, .csv, .whl, or a .txt named as in the UCR Anomaly Archive"
        raise ReadError(f"{path}: {known}, found '{path.suffix}'; convert or rename it")


def read_npz(path: str | Path, keep: Keep | None = None) -> Iterator[Series]:
    """Packed series.

    Arrays of the file, for S series of length[i] steps and n_channels[i] channels: names, length,
    n_channels, train_end, period_s (S); ch_kind, ch_off, ch_scale, ch_bias (all channels): kind
    0 = int16, 1 = float32, start in that pool, value = q * scale + bias; i16 (2, N) and f32 (4, N):
    the pools as byte planes, low byte first; delta: 1 = each int16 channel is stored as wrap-around
    differences; labels (all steps), optional. int16 -32768 is NaN.
    """
    path = Path(path)
    if not zipfile.is_zipfile(path):
        raise ReadError(f"{path}: expected an archive of arrays, found another file or a cut one; fetch it again")
    with np.load(path, allow_pickle=False) as packed:
        absent = ARRAYS - set(packed.files)
        if absent and "values" in packed.files:
            yield from read_values(path, keep)
            return
        if absent:
            layout = f"expected the packed layout's arrays {', '.join(sorted(absent))}, or values and labels"
            raise ReadError(f"{path}: {layout}, found {', '.join(packed.files)[:80] or 'none'}")
        names = packed["names"].astype(str)
        wanted = [i for i, name in enumerate(names) if keep is None or keep(path.stem, str(name))]
        z = {key: packed[key] for key in packed.files} if wanted else {}
    if not wanted:
        return
    i16 = np.ascontiguousarray(z["i16"].T).view("<i2").ravel()
    f32 = np.ascontiguousarray(z["f32"].T).view("<f4").ravel()
    delta = bool(z.get("delta", 0))
    steps = np.append(0, np.cumsum(z["length"], dtype=np.int64))
    channels = np.append(0, np.cumsum(z["n_channels"], dtype=np.int64))
    for i in wanted:
        n, first = int(z["length"][i]), channels[i]
        x = np.empty((n, int(z["n_channels"][i])), np.float32)
        for j in range(x.shape[1]):
            at = int(z["ch_off"][first + j])
            if z["ch_kind"][first + j]:
                x[:, j] = f32[at : at + n]
                continue
            q = i16[at : at + n]
            q = np.cumsum(q, dtype=np.int16) if delta else q
            value = q * z["ch_scale"][first + j] + z["ch_bias"][first + j]
            x[:, j] = np.where(q == MISSING_I16, np.nan, value)
        labels = z["labels"][steps[i] : steps[i + 1]] if "labels" in z else None
        yield Series(path.stem, str(names[i]), x, labels, int(z["train_end"][i]), float(z["period_s"][i]))


def read_values(path: str | Path, keep: Keep | None = None) -> Iterator[Series]:
    """One recording as `sanderling score` reads it: values (time, channels), labels, train_end and others optional.

    The set is the folder's name, as for CSV. Labels: anything but 0 is an anomaly.
    """
    from sanderling.runtime.readers import read

    path = Path(path)
    set_name = path.resolve().parent.name
    if keep is not None and not keep(set_name, path.stem):
        return
    with np.load(path, allow_pickle=False) as arrays:
        train_end = int(arrays["train_end"]) if "train_end" in arrays.files else NO_SPLIT
    found = read(path)
    labels = None if found.labels is None else found.labels.astype(np.uint8)
    period_s = float("nan") if found.period_s is None else found.period_s
    yield Series(set_name, path.stem, found.values, labels, train_end, period_s)


def read_ucr(path: str | Path, keep: Keep | None = None) -> Iterator[Series]:
    """A file of the UCR Anomaly Archive: split and label come from the name; begin and end are both labelled."""
    path = Path(path)
    named = UCR_NAME.match(path.stem)
    if not named:
        raise ReadError(f"{path}: expected a name NNN_UCR_Anomaly_<name>_<train>_<begin>_<end>")
    if keep is not None and not keep("ucr_anomaly", path.stem):
        return
    x = np.array(path.read_text().split(), np.float32)[:, None]
    train, begin, end = (int(named[key]) for key in ("train", "begin", "end"))
    if not 0 <= train <= begin <= end < len(x):
        raise ReadError(f"{path}: the name promises {train} <= {begin} <= {end} < samples, found {len(x)} samples")
    labels = np.zeros(len(x), np.uint8)
    labels[begin : end + 1] = 1
    yield Series("ucr_anomaly", path.stem, x, labels, train)


def nab_table(root: Path) -> Path | None:
    """NAB's table of windows: in labels/ of its repository, or beside the data; else None."""
    places = (root / "labels" / NAB_TABLE, root / NAB_TABLE, root.resolve().parent / "labels" / NAB_TABLE)
    return next((table for table in places if table.is_file()), None) if root.is_dir() else None


def read_nab(root: str | Path, keep: Keep | None = None) -> Iterator[Series]:
    """The NAB repository, or its data folder: <group>/<name>.csv, labelled by the windows of combined_windows.json.

    train_end is NAB's probationary period, min(15 %, 750 samples).
    """
    root = Path(root)
    table = nab_table(root)
    if table is None:
        raise ReadError(f"{root}: expected labels/{NAB_TABLE}, found none; fetch the whole repository")
    windows = json.loads(table.read_text())
    data = root / "data" if (root / "data").is_dir() else root
    for key in sorted(windows):
        file = data / key
        name = key.removesuffix(".csv")
        if not file.is_file() or (keep is not None and not keep("nab", name)):
            continue
        with file.open(newline="") as text:
            header, lines = rows_of(text, str(file))
            rows = list(lines)
        if header != ["timestamp", "value"] or not rows:
            found = f"{','.join(header)[:80]} and {len(rows)} rows"
            raise ReadError(f"{file}: expected columns timestamp,value and rows, found {found}")
        stamps = [row[0] for row in rows]
        times = [datetime.fromisoformat(stamp) for stamp in stamps]
        labels = np.zeros(len(rows), np.uint8)
        for first, last in windows[key]:
            span = datetime.fromisoformat(first), datetime.fromisoformat(last)
            labels[[span[0] <= t <= span[1] for t in times]] = 1
        x = np.array([[row[1]] for row in rows], np.float32)
        train_end = min(int(0.15 * len(x)), 750)
        yield Series("nab", name, x, labels, train_end, period(stamps, len(x)))


def read_csv(path: str | Path, keep: Keep | None = None) -> Iterator[Series]:
    """A CSV file with a header and a label column; `tables` says which columns are what, in any case of letters.

    A column timestamp, time, datetime or date is no channel; ISO dates give the period. Empty cells
    are missing. The set is the folder's name; for names of TSB-AD
    (`001_NAB_id_1_Facility_tr_1007_1st_2014.csv`) the set and split of the name.
    """
    path = Path(path)
    named = TSB_AD_NAME.match(path.stem)
    set_name = named["set"] if named else path.resolve().parent.name
    if keep is not None and not keep(set_name, path.stem):
        return
    x, labels, period_s = read_table(path.open(newline=""), str(path))
    yield Series(set_name, path.stem, x, labels, int(named["train"]) if named else NO_SPLIT, period_s)


def read_aeon(path: str | Path, keep: Keep | None = None) -> Iterator[Series]:
    """Three recordings out of an aeon wheel, or a folder holding the unpacked package, without importing aeon.

    - KDD-TSAD_135: UCR Anomaly Archive 135, invasive blood pressure; train_end = the length of its training file.
    - ecg-diff-count-3: generated ECG; the anomaly-free training recording, then the test recording.
    - Daphnet_S06R02E0: nine accelerometer channels. aeon 1.6.0 ships its labels as zeros throughout: good for speed and
      false alarms, not for detection quality.
    """
    read = _member_reader(Path(path))
    ucr = "KDD-TSAD_135/135_UCR_Anomaly_InternalBleeding16"
    parts = {
        "KDD-TSAD_135": [f"{ucr}_{part}.csv" for part in ("TRAIN", "TEST")],
        "ecg-diff-count-3": [f"UnitTest/ecg-diff-count-3_{part}.csv" for part in ("TRAIN_NA", "TEST")],
        "Daphnet_S06R02E0": ["Daphnet_S06R02E0/S06R02E0.csv"],
    }
    for name, files in parts.items():
        if keep is not None and not keep("aeon", name):
            continue
        tables = [read_table(read(f"{AEON_DATA}/{file}"), f"{path}:{file}") for file in files]
        train_end = len(tables[0][0]) if len(tables) > 1 else NO_SPLIT
        # The archive's test file repeats the training part; joining both would hold it twice.
        if len(tables) > 1 and np.array_equal(tables[0][0], tables[1][0][:train_end]):
            tables = tables[1:]
        x = np.concatenate([t[0] for t in tables])
        yield Series("aeon", name, x, np.concatenate([t[1] for t in tables]), train_end, tables[0][2])


def _readable(folder: Path) -> list[Path]:
    """Files and folders in it that a reader takes, by sorted path; a folder with a layout of its own is one item."""
    found: list[Path] = []
    for item in sorted(folder.iterdir()):
        if item.name.startswith("."):  # archives from a Mac hold a ._ beside every file
            continue
        if item.is_file():
            wanted = item.suffix != ".whl" and item.name != LABEL_TABLE
            found += [item] if wanted and _file_reader(item) else []
        elif item.is_dir():
            found += [item] if _folder_reader(item) else _readable(item)
    return found


def _folder_reader(path: Path) -> Callable[..., Iterator[Series]] | None:
    """The reader of a folder that has a layout of its own."""
    layouts = (
        ((path / AEON_DATA).is_dir, read_aeon),
        (lambda: nab_table(path), read_nab),
        (lambda: is_smd(path), read_smd),
        (lambda: label_table(path), read_telemanom),
        (lambda: is_joined(path), read_joined),
    )
    return next((reader for fits, reader in layouts if fits()), None)


def _file_reader(path: Path) -> Callable[..., Iterator[Series]] | None:
    if path.suffix == ".txt":
        return read_ucr if UCR_NAME.match(path.stem) else None
    return {".npz": read_npz, ".csv": read_csv, ".whl": read_aeon}.get(path.suffix.lower())


def _member_reader(path: Path) -> Callable[[str], io.TextIOBase]:
    """Opens a member of a wheel or of a folder as text."""
    if path.is_dir():
        return lambda member: (path / member).open(newline="")
    try:
        wheel = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise ReadError(f"{path}: expected an aeon wheel (a zip archive): {error}") from error

    def read(member: str) -> io.TextIOBase:
        try:
            return io.StringIO(wheel.read(member).decode(), newline="")
        except KeyError:
            raise ReadError(f"{path}: expected {member} inside, found none; aeon 1.6.0 has it") from None

    return read
