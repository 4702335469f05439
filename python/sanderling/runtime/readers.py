"""Recordings from files: CSV, WAV, NPY, NPZ, and Parquet by its extra."""

import os
import warnings
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from sanderling.errors import DtypeError, InputError, InputWarning, ReadError
from sanderling.extras import require
from sanderling.runtime.csv_reader import MAX_LINE, TIME_NAMES, ColumnChoice, parse_csv
from sanderling.runtime.positive import is_positive_float32
from sanderling.runtime.recording import Recording
from sanderling.runtime.signals import as_signal, as_timestamps, to_float32
from sanderling.runtime.timestamps import sample_period

# A numeric time above this is no date in seconds before the year 5138: milliseconds or finer.
_NOT_SECONDS = 1e11
# No signal rises so many times by chance; what always rises soon leaves all that a reference held: one endless alarm.
_RISING_ROWS = 64
_LABEL_NAMES = ("label", "labels", "is_anomaly", "anomaly")


def read(
    path: str | os.PathLike[str],
    *,
    columns: tuple[str, ...] = (),
    time: str = "",
    label: str = "",
    period_s: float | None = None,
) -> Recording:
    """Reads a recording; the suffix decides: .csv .tsv .txt, .wav, .npy, .npz, .parquet .pq.

    columns: the channels, by name, in this order (default: all but time and label). time: the time column
    (default: by its name, see csv_reader). label: a column that is no channel (0 or 1). period_s: seconds a sample
    (default: from the time column or the WAV's rate). Raises ReadError, TimestampError, DtypeError, ShapeError,
    InputError (a column that is not there), DependencyError (Parquet). Warns (InputWarning) about equal timestamps.
    """
    file = Path(path)
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        raise ReadError(
            f"{file}: expected one of the suffixes {' '.join(_READERS)}, found '{file.suffix}'; "
            "convert the recording or rename it"
        )
    if period_s is not None and not is_positive_float32(period_s):
        raise InputError(f"expected period_s above 0 as float32 (seconds a sample), found {period_s!r}")
    with _named(file):
        recording = reader(file, ColumnChoice(time, tuple(columns), label))
    period = recording.period_s if period_s is None else float(period_s)
    return Recording(
        recording.values, recording.channels, recording.timestamps, period, recording.labels, file
    )


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    """Lines of at most MAX_LINE bytes and their end; a longer one comes cut, and the parser refuses it."""
    while raw := file.readline(MAX_LINE + 2):
        yield raw


@contextmanager
def _named(file: Path) -> Iterator[None]:
    """Puts the file's name before the message of what happens inside."""
    try:
        yield
    except FileNotFoundError as error:
        raise ReadError(f"{file}: expected a recording, found no such file; check the path") from error
    except OSError as error:
        raise ReadError(f"{file}: expected a readable file, found: {error.strerror or error}") from error
    except MemoryError as error:
        raise ReadError(f"{file}: expected an array that fits in memory, found a larger one") from error
    except InputError as error:
        raise type(error)(f"{file}: {error}") from error


def _read_csv(file: Path, choice: ColumnChoice) -> Recording:
    with file.open("rb") as opened:
        table = parse_csv(lines_of(opened), choice)
    parser = table.parser
    values = np.frombuffer(table.values, np.float64).reshape(parser.rows, len(parser.names))
    if not choice.columns:
        _warn_of_columns(parser.names, values, bool(choice.label))
    if parser.equal_timestamps:
        _warn(f"{parser.equal_timestamps} row(s) have the time of the row before; they are kept")
    times = np.frombuffer(table.times, np.float64) if parser.has_time else None
    labels = _labels(np.frombuffer(table.labels, np.float64)) if parser.has_label else None
    return _recording(values, parser.names, times, labels)


def _read_wav(file: Path, choice: ColumnChoice) -> Recording:
    try:
        with wave.open(str(file), "rb") as opened:
            channels, width, rate = (
                opened.getnchannels(), opened.getsampwidth(), opened.getframerate()
            )
            raw = opened.readframes(opened.getnframes())
    except (wave.Error, EOFError, RuntimeError) as error:
        raise ReadError(
            f"expected a WAV file of PCM samples, found: {str(error) or 'a truncated file'}; save it as PCM WAV"
        ) from error
    if width not in _PCM or channels == 0 or rate <= 0:
        raise ReadError(
            f"expected PCM of 8, 16, 24 or 32 bits, found {8 * width} bits, {channels} channels, {rate} Hz"
        )
    whole = len(raw) - len(raw) % (width * channels)
    if whole == 0:
        raise ReadError("expected at least one sample, found a WAV file without any")
    values = _PCM[width](raw[:whole]).reshape(-1, channels)
    names = tuple(str(i) for i in range(channels))
    values, names = _pick(values, names, choice)
    recording = _recording(values, names, None, None)
    return Recording(recording.values, recording.channels, None, float(np.float32(1.0 / rate)))


def _pcm24(raw: bytes) -> NDArray[Any]:
    # The three bytes go to the top of an int32, which keeps the sign.
    wide = np.zeros((len(raw) // 3, 4), np.uint8)
    wide[:, 1:] = np.frombuffer(raw, np.uint8).reshape(-1, 3)
    return wide.view("<i4")[:, 0] / 2.0**31


# Bytes a sample -> values in [-1, 1). WAV's 8 bits are unsigned.
_PCM: dict[int, Callable[[bytes], NDArray[Any]]] = {
    1: lambda raw: (np.frombuffer(raw, np.uint8) - 128.0) / 128.0,
    2: lambda raw: np.frombuffer(raw, "<i2") / 2.0**15,
    3: _pcm24,
    4: lambda raw: np.frombuffer(raw, "<i4") / 2.0**31,
}


def _load_numpy(file: Path) -> Any:
    try:
        return np.load(file, allow_pickle=False)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # damage shows as whatever numpy's parser trips over
        raise ReadError(f"expected a NumPy file without pickles, found: {_one_line(error)}") from error


def _read_npy(file: Path, choice: ColumnChoice) -> Recording:
    array = _load_numpy(file)
    if not isinstance(array, np.ndarray):
        array.close()
        raise ReadError("expected one array, found a zip archive; rename it to .npz")
    return _from_array(array, {}, choice)


def _read_npz(file: Path, choice: ColumnChoice) -> Recording:
    archive = _load_numpy(file)
    if isinstance(archive, np.ndarray):
        raise ReadError("expected an archive of arrays, found one array; rename it to .npy")
    with archive:
        try:
            arrays = {name: archive[name] for name in archive.files}
        except (OSError, MemoryError):
            raise
        except Exception as error:  # zlib's, zipfile's and numpy's own kinds
            raise ReadError(f"expected arrays without pickles, found: {_one_line(error)}") from error
    if "values" in arrays:
        values = arrays.pop("values")
        return _from_array(values, arrays, choice)
    if len(arrays) != 1:
        raise ReadError(
            f"expected an array named 'values' or a single one, found {', '.join(arrays) or 'none'}; "
            "save it as values= (with timestamps=, labels=, channels=, period_s= where known)"
        )
    return _from_array(next(iter(arrays.values())), {}, choice)


def _from_array(
    array: NDArray[Any], beside: dict[str, NDArray[Any]], choice: ColumnChoice
) -> Recording:
    values = as_signal(array)
    names = tuple(str(name) for name in np.atleast_1d(beside.get("channels", np.arange(values.shape[1]))))
    if len(names) != values.shape[1]:
        raise ReadError(f"expected {values.shape[1]} channel names, found {len(names)}")
    values, names = _pick(values, names, choice)
    times = beside.get("timestamps")
    labels = beside.get("labels")
    if labels is not None and labels.shape != (values.shape[0],):
        raise ReadError(f"expected {values.shape[0]} labels, found shape {labels.shape}")
    recording = _recording(values, names, times, None if labels is None else _labels(labels))
    if "period_s" not in beside:
        return recording
    period = beside["period_s"]
    if period.shape != () or period.dtype.kind not in "iuf" or not is_positive_float32(float(period)):
        raise ReadError("expected period_s as one number above 0 (seconds a sample), found another value")
    return Recording(values, names, recording.timestamps, float(period), recording.labels)


def _read_parquet(file: Path, choice: ColumnChoice) -> Recording:
    parquet = require("pyarrow.parquet", "parquet")
    pyarrow = require("pyarrow", "parquet")
    try:
        table = parquet.read_table(file)
    except pyarrow.ArrowException as error:
        raise ReadError(f"expected a Parquet file, found: {_one_line(error)}") from error
    names = tuple(table.column_names)
    if table.num_rows == 0 or not names:
        raise ReadError("expected at least one row and one column, found an empty table")
    dates = (n for n in names if pyarrow.types.is_timestamp(table.column(n).type))  # the index of a table of pandas
    time = choice.time or next((n for n in names if n.lower() in TIME_NAMES), None) or next(dates, "")
    for role, name in (("time", time), ("label", choice.label)):
        if name and name not in names:
            raise _no_column(role, name, names)
    picked = choice.columns or tuple(n for n in names if n not in (time, choice.label))
    for name in picked:
        if name not in names:
            raise _no_column("columns", name, names)
    if not picked:
        raise ReadError("expected at least one channel beside time and label, found none")
    def numbers(name: str) -> NDArray[np.float64]:
        kind = table.column(name).type
        types = pyarrow.types
        if not (types.is_floating(kind) or types.is_integer(kind) or types.is_boolean(kind)):
            raise DtypeError(f"expected numbers in column '{name}', found {kind}; convert it")
        return np.asarray(table.column(name).to_numpy(), dtype=np.float64)

    values = np.stack([numbers(name) for name in picked], axis=1)
    if not choice.columns:
        _warn_of_columns(picked, values, bool(choice.label))
    times = np.asarray(table.column(time).to_numpy()) if time else None
    labels = _labels(numbers(choice.label)) if choice.label else None
    return _recording(values, picked, times, labels)


def _recording(
    values: NDArray[Any],
    names: tuple[str, ...],
    times: NDArray[Any] | None,
    labels: NDArray[np.int8] | None,
) -> Recording:
    if times is None:
        return Recording(to_float32(values), names, None, None, labels)
    seconds = as_timestamps(times, values.shape[0], None)
    if np.asarray(times).dtype.kind != "M" and abs(seconds[0]) > _NOT_SECONDS:
        _warn("the time column's numbers are too large for seconds; pass the period (seconds a sample)")
    return Recording(to_float32(values), names, seconds, sample_period(seconds), labels)


def _pick(
    values: NDArray[Any], names: tuple[str, ...], choice: ColumnChoice
) -> tuple[NDArray[Any], tuple[str, ...]]:
    for role, name in (("time", choice.time), ("label", choice.label)):
        if name:
            raise InputError(f"{role}: this kind of file has no named columns, found '{name}'; leave it out")
    if not choice.columns:
        return values, names
    for name in choice.columns:
        if name not in names:
            raise _no_column("columns", name, names)
    return values[:, [names.index(name) for name in choice.columns]], choice.columns


def _labels(values: NDArray[Any]) -> NDArray[np.int8]:
    """Anything but 0 and NaN is an anomaly."""
    if values.dtype.kind not in "biuf":
        raise DtypeError(f"expected labels as numbers (0 or 1), found {values.dtype}; convert them")
    return (np.nan_to_num(np.asarray(values, np.float64)) != 0).astype(np.int8)


def _no_column(role: str, name: str, names: tuple[str, ...]) -> InputError:
    return InputError(
        f"{role}: expected one of the columns ({', '.join(names[:20])}), found '{name}'; check the name"
    )


def _warn_of_columns(names: tuple[str, ...], values: NDArray[np.float64], labelled: bool) -> None:
    for name in names:
        if name.lower() in _LABEL_NAMES and not labelled:
            _warn(f"column '{name}' is scored as a channel; if it holds labels, name it as label")
    if len(values) < _RISING_ROWS:
        return
    for name, rises in zip(names, np.all(values[1:] > values[:-1], axis=0), strict=True):
        if rises:
            _warn(
                f"column '{name}' rises in every row and is scored as a channel; if it is a clock or a row number, "
                "name it as time, or name the channels as columns"
            )


def _warn(message: str) -> None:
    warnings.warn(message, InputWarning, stacklevel=2)


def _one_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__


_READERS: dict[str, Callable[[Path, ColumnChoice], Recording]] = {
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".txt": _read_csv,
    ".wav": _read_wav,
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".parquet": _read_parquet,
    ".pq": _read_parquet,
}
