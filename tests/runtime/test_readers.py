"""Recordings from files, good and bad."""

import struct
import sys
import wave

import numpy as np
import pytest

from sanderling.errors import DependencyError, DtypeError, InputError, InputWarning, ReadError, TimestampError
from sanderling.runtime.readers import read

FLOAT32_MAX = float(np.finfo(np.float32).max)


def write_wav(path, samples: bytes, width: int, channels: int = 1, rate: int = 8000) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(samples)


def test_csv_with_times_and_labels(tmp_path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("time,a,b,y\n0,1,2,0\n0.5,3,,1\n1.0,5,1e300,0\n")
    recording = read(path, label="y")
    assert recording.channels == ("a", "b") and recording.period_s == 0.5 and recording.path == path
    assert recording.values.dtype == np.float32 and recording.values.flags.c_contiguous
    expected = np.array([[1, 2], [3, np.nan], [5, FLOAT32_MAX]], np.float32)
    np.testing.assert_array_equal(recording.values, expected)
    np.testing.assert_array_equal(recording.labels, np.array([0, 1, 0], np.int8))
    np.testing.assert_array_equal(recording.timestamps, [0, 0.5, 1.0])


def test_values_are_rounded_by_way_of_float64(tmp_path) -> None:
    # Straight to float32 this decimal rounds up; through float64 it is a tie and goes to even.
    decimal = "1.00000005960464477539062500001"
    path = tmp_path / "r.csv"
    path.write_text(f"a\n{decimal}\n")
    assert read(path).values[0, 0] == np.float32(np.float64(decimal)) == np.float32(1)


def test_period_is_the_lower_median_of_the_steps(tmp_path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("t,a\n0,0\n1,0\n1,0\n3,0\n13,0\n")
    with pytest.warns(InputWarning, match=r"1 row\(s\) have the time"):
        assert read(path).period_s == 2.0
    with pytest.warns(InputWarning):
        assert read(path, period_s=0.25).period_s == 0.25


def test_milliseconds_are_warned_about(tmp_path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("t,a\n1700000000000,0\n1700000001000,0\n")
    with pytest.warns(InputWarning, match="too large for seconds"):
        read(path)


def test_a_label_scored_as_a_channel_is_warned_about(tmp_path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("a,label\n1,0\n")
    with pytest.warns(InputWarning, match="'label' is scored as a channel"):
        assert read(path).channels == ("a", "label")


def test_row_numbers_and_clocks_under_other_names_are_warned_about(tmp_path, recwarn) -> None:
    path = tmp_path / "r.csv"
    for header in (",time,a", "time,timestamps,a"):
        path.write_text("\n".join([header, *(f"{i},{i},{i % 7}" for i in range(64))]))
        named = header.split(",")[header.startswith("time")]
        with pytest.warns(InputWarning, match=f"column '{named}' rises in every row.*name it as time"):
            read(path)
    recwarn.clear()
    read(path, columns=("timestamps",))
    path.write_text("\n".join(["time,a", *(f"{i},{i // 2}" for i in range(64))]))
    read(path)
    assert not recwarn.list


def test_one_row_and_one_column(tmp_path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("3.5")
    assert read(path).values.tolist() == [[3.5]]


@pytest.mark.parametrize("period", [0.0, -1.0, float("nan"), float("inf")])
def test_a_period_must_be_positive(tmp_path, period: float) -> None:
    path = tmp_path / "r.csv"
    path.write_text("1\n")
    with pytest.raises(InputError, match="period_s above 0"):
        read(path, period_s=period)


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [("", ReadError, "empty input"), ("a\n", ReadError, "a header"), ("a\nx\n", ReadError, "row 2"),
     ("t,a\n2,0\n1,0\n", TimestampError, "row 3")],
)  # fmt: skip
def test_errors_name_the_file(tmp_path, text: str, error: type, words: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(error, match=f"bad.csv: .*{words}"):
        read(path)


def test_a_file_that_is_not_there(tmp_path) -> None:
    with pytest.raises(ReadError, match="no such file"):
        read(tmp_path / "absent.csv")
    with pytest.raises(ReadError, match="expected a readable file"):
        (tmp_path / "folder.csv").mkdir()
        read(tmp_path / "folder.csv")


def test_an_unknown_suffix(tmp_path) -> None:
    with pytest.raises(ReadError, match="found '.xlsx'"):
        read(tmp_path / "r.xlsx")


@pytest.mark.parametrize(
    ("width", "raw"),
    [(1, bytes([0, 128, 255])), (2, struct.pack("<3h", -32768, 0, 32767)),
     (3, b"\x00\x00\x80" + b"\x00\x00\x00" + b"\xff\xff\x7f"), (4, struct.pack("<3i", -(2**31), 0, 2**31 - 1))],
)  # fmt: skip
def test_wav_widths(tmp_path, width: int, raw: bytes) -> None:
    path = tmp_path / "r.wav"
    write_wav(path, raw, width)
    recording = read(path)
    top = np.float32(1 - 2.0 ** -(8 * width - 1))
    np.testing.assert_array_equal(recording.values[:, 0], np.array([-1, 0, top], np.float32))
    assert recording.period_s == float(np.float32(1 / 8000))


def test_wav_channels(tmp_path) -> None:
    path = tmp_path / "r.wav"
    write_wav(path, struct.pack("<4h", 1, 2, 3, 4), 2, channels=2)
    assert (read(path).values * 2**15).tolist() == [[1, 2], [3, 4]]
    assert (read(path, columns=("1",)).values * 2**15).tolist() == [[2], [4]]


@pytest.mark.parametrize("cut", [0, 3, 20, 43])
def test_a_cut_wav(tmp_path, cut: int) -> None:
    path = tmp_path / "r.wav"
    write_wav(path, b"\x01\x00\x02\x00", 2)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ReadError, match=r"r\.wav: .*found[ :]+[a-zA-Z]"):
        read(path)


def test_a_wav_without_samples(tmp_path) -> None:
    write_wav(tmp_path / "r.wav", b"", 2)
    with pytest.raises(ReadError, match="at least one sample"):
        read(tmp_path / "r.wav")


def test_a_float_wav_is_refused(tmp_path) -> None:
    path = tmp_path / "r.wav"
    write_wav(path, b"\x01\x00\x02\x00", 2)
    raw = bytearray(path.read_bytes())
    raw[20:22] = struct.pack("<H", 3)  # format tag: IEEE float
    path.write_bytes(raw)
    with pytest.raises(ReadError, match="PCM"):
        read(path)


def test_npy_and_npz(tmp_path) -> None:
    x = np.arange(6, dtype=np.int64).reshape(3, 2)
    np.save(tmp_path / "r.npy", x)
    assert read(tmp_path / "r.npy").values.tolist() == x.tolist()
    np.savez(tmp_path / "one.npz", anything=x)
    assert read(tmp_path / "one.npz").values.tolist() == x.tolist()
    np.savez(tmp_path / "r.npz", values=x, channels=["p", "q"], timestamps=[0, 1, 2], labels=[0, 1, 0])
    recording = read(tmp_path / "r.npz", columns=("q",))
    assert recording.channels == ("q",) and recording.values[:, 0].tolist() == [1, 3, 5]
    assert recording.period_s == 1.0 and recording.labels is not None and recording.labels.tolist() == [0, 1, 0]
    np.savez(tmp_path / "p.npz", values=x, period_s=0.1)
    assert read(tmp_path / "p.npz").period_s == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("arrays", "error", "words"),
    [({"a": np.ones(3), "b": np.ones(3)}, ReadError, "named 'values'"),
     ({"values": np.ones((3, 2)), "channels": ["p"]}, ReadError, "expected 2 channel names"),
     ({"values": np.ones(3), "labels": [1]}, ReadError, "expected 3 labels"),
     ({"values": np.ones(3), "labels": ["a", "b", "c"]}, DtypeError, "labels as numbers"),
     ({"values": np.ones(3), "timestamps": [2, 1, 3]}, TimestampError, "never fall"),
     ({"values": np.ones(3), "period_s": -1.0}, ReadError, "period_s"),
     ({"values": np.ones(3), "period_s": 1e300}, ReadError, "period_s"),
     ({"values": np.ones((3, 2)), "channels": 7}, ReadError, "found 1"),
     ({"values": np.ones(3), "timestamps": np.ones((3, 1))}, TimestampError, "found shape"),
     ({"values": np.array(["a"])}, DtypeError, "found text"),
     ({"values": np.array([1j])}, DtypeError, "complex")],
)  # fmt: skip
def test_bad_npz(tmp_path, arrays: dict, error: type, words: str) -> None:
    np.savez(tmp_path / "r.npz", **arrays)
    with pytest.raises(error, match=words):
        read(tmp_path / "r.npz")


def test_pickles_are_never_loaded(tmp_path) -> None:
    np.save(tmp_path / "r.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(ReadError, match="without pickles"):
        read(tmp_path / "r.npy")
    np.savez(tmp_path / "r.npz", values=np.array([{}], object))
    with pytest.raises(ReadError, match="without pickles"):
        read(tmp_path / "r.npz")


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_cut_and_foreign_numpy_files(tmp_path, suffix: str) -> None:
    path = tmp_path / f"r{suffix}"
    save = np.save if suffix == ".npy" else np.savez
    save(path, np.ones(100))
    whole = path.read_bytes()
    for content in (b"", b"x", whole[:40], whole[: len(whole) // 2], b"\x80" * 100):
        path.write_bytes(content)
        with pytest.raises(ReadError):
            read(path)


def test_an_npy_that_claims_too_much(tmp_path) -> None:
    np.save(tmp_path / "r.npy", np.ones(100))
    raw = (tmp_path / "r.npy").read_bytes().replace(b"(100,)", b"(1<<9)", 1)
    (tmp_path / "r.npy").write_bytes(raw)
    with pytest.raises(ReadError):
        read(tmp_path / "r.npy")


def test_parquet(tmp_path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    stamps = np.array(["2024-01-01T00:00:00", "2024-01-01T00:00:02", "2024-01-01T00:00:04"], "datetime64[us]")
    table = pyarrow.table({"time": stamps, "a": [1.0, None, 3.0], "b": [1, 2, 3], "s": ["x", "y", "z"]})
    parquet.write_table(table, tmp_path / "r.parquet")
    recording = read(tmp_path / "r.parquet", columns=("a", "b"))
    np.testing.assert_array_equal(recording.values, np.array([[1, 1], [np.nan, 2], [3, 3]], np.float32))
    assert recording.period_s == 2.0
    with pytest.raises(DtypeError, match="column 's'"):
        read(tmp_path / "r.parquet")
    with pytest.raises(InputError, match="found 'z'"):
        read(tmp_path / "r.parquet", columns=("z",))
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(ReadError, match="Parquet"):
        read(tmp_path / "bad.parquet")


def test_parquet_with_an_unnamed_index_of_dates(tmp_path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    stamps = pyarrow.array([0, 60_000_000, 120_000_000], pyarrow.timestamp("us", "Europe/Oslo"))
    table = pyarrow.table({"a": [1.0, 2.0, 3.0], "__index_level_0__": stamps})
    parquet.write_table(table, tmp_path / "r.parquet")
    recording = read(tmp_path / "r.parquet")
    assert recording.channels == ("a",) and recording.timestamps.tolist() == [0, 60, 120]


def test_parquet_without_its_package_names_the_extra(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    (tmp_path / "r.parquet").write_bytes(b"PAR1")
    with pytest.raises(DependencyError, match=r"sanderling\[parquet\]"):
        read(tmp_path / "r.parquet")


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".wav"])
def test_flipped_bits_give_an_error_of_ours(tmp_path, suffix: str) -> None:
    """zlib, zipfile, tokenize and numpy each have their own errors for damage."""
    path = tmp_path / f"r{suffix}"
    if suffix == ".npy":
        np.save(path, np.ones((50, 2)))
    elif suffix == ".npz":
        np.savez_compressed(path, values=np.random.default_rng(0).standard_normal((50, 2)))
    else:
        write_wav(path, bytes(range(200)), 2, channels=2)
    whole = path.read_bytes()
    header = range(min(len(whole), 300))
    for i, place in enumerate([*header, *range(len(whole) - 150, len(whole))]):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << (i % 8)
        path.write_bytes(flipped)
        try:
            assert read(path).samples > 0
        except InputError as error:
            assert "\n" not in str(error)
