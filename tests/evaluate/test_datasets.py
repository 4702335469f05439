"""Readers, on files that the tests write in each layout; aeon's own wheel where SANDERLING_AEON_WHEEL names it."""

import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from sanderling.errors import ReadError
from sanderling.evaluate.datasets import open_series, read_aeon, read_npz
from tests.evaluate.packed import pack

NAN = float("nan")


@pytest.fixture
def packed(tmp_path):
    """Two series: int16 with a gap and wrap-around differences beside float32; then int16 alone."""
    swing = np.array([300.0, -300.0, NAN, 327.0, -326.5, 1.0])
    first = np.stack([swing, np.array([1e30, -1e-30, 0, NAN, 2, 3])], axis=1)
    second = np.linspace(0, 4, 9)[:, None]
    path = tmp_path / "demo.npz"
    y1, y2 = np.array([0, 0, 1, 1, 0, 0]), np.zeros(9)
    pack(
        path,
        [
            ("a", first, ("i16", "f32"), 0.01, y1, 2, 60.0),
            ("b", second, ("i16",), 0.5, y2, -1, NAN),
        ],
    )
    return path, first, second, y1


def test_packed_values_come_back(packed):
    path, first, second, y1 = packed
    a, b = read_npz(path)
    assert (a.set_name, a.name, a.train_end, a.period_s) == ("demo", "a", 2, 60.0)
    np.testing.assert_allclose(a.x, first.astype(np.float32), atol=0.005)
    np.testing.assert_array_equal(a.x[:, 1], first[:, 1].astype(np.float32))
    np.testing.assert_array_equal(a.labels, y1)
    assert a.x.dtype == np.float32 and a.x.shape == (6, 2)
    np.testing.assert_allclose(b.x, second, atol=1e-6)
    assert b.train_end == -1 and np.isnan(b.period_s) and not b.labels.any()


def test_packed_series_are_chosen_by_name(packed):
    path, _, second, _ = packed
    (only,) = read_npz(path, lambda set_name, name: (set_name, name) == ("demo", "b"))
    np.testing.assert_allclose(only.x, second, atol=1e-6)
    assert list(read_npz(path, lambda *_: False)) == []


def test_packed_without_labels(tmp_path):
    pack(tmp_path / "raw.npz", [("a", np.ones((4, 1)), ("f32",), 1.0, None, -1, NAN)])
    (series,) = read_npz(tmp_path / "raw.npz")
    assert series.labels is None


def test_other_archives_are_refused(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.ones(3))
    with pytest.raises(ValueError, match="expected the packed layout's arrays ch_bias"):
        next(read_npz(tmp_path / "x.npz"))


def test_ucr_name_gives_split_and_labels(tmp_path):
    values = np.arange(30.0)
    path = tmp_path / "017_UCR_Anomaly_demo_10_20_22.txt"
    path.write_text("\n".join(map(str, values)))
    (series,) = open_series(path)
    assert series.set_name == "ucr_anomaly" and series.train_end == 10
    assert np.flatnonzero(series.labels).tolist() == [20, 21, 22]
    np.testing.assert_array_equal(series.x[:, 0], values)
    short = tmp_path / "018_UCR_Anomaly_demo_10_20_99.txt"
    short.write_text("1 2 3")
    with pytest.raises(ValueError, match="found 3 samples"):
        next(open_series(short))


def test_nab_folder(tmp_path):
    (tmp_path / "labels").mkdir()
    (tmp_path / "data" / "realX").mkdir(parents=True)
    rows = [f"2014-02-14 14:{minute:02d}:00,{minute}.5" for minute in range(0, 50, 5)]
    (tmp_path / "data" / "realX" / "one.csv").write_text("\n".join(["timestamp,value", *rows]))
    windows = {
        "realX/one.csv": [["2014-02-14 14:10:00.000000", "2014-02-14 14:20:00.000000"]],
        "realX/absent.csv": [],
    }
    (tmp_path / "labels" / "combined_windows.json").write_text(json.dumps(windows))
    (series,) = open_series(tmp_path)
    assert (series.set_name, series.name, series.train_end) == ("nab", "realX/one", 1)
    assert np.flatnonzero(series.labels).tolist() == [2, 3, 4] and series.period_s == 300
    assert series.x[:, 0].tolist() == [m + 0.5 for m in range(0, 50, 5)]


def test_csv_with_a_label_column(tmp_path):
    path = tmp_path / "pump.csv"
    path.write_text("timestamp,a,Label,b\n0,1.5,0,2\n1,,1,3\n2,4,0.0,5\n")
    (series,) = open_series(path)
    np.testing.assert_array_equal(series.x, np.array([[1.5, 2], [NAN, 3], [4, 5]], np.float32))
    assert series.labels.tolist() == [0, 1, 0] and series.set_name == tmp_path.name
    assert series.train_end == -1 and np.isnan(series.period_s)


def test_tsb_ad_file_names(tmp_path):
    path = tmp_path / "001_NAB_id_1_Facility_tr_2_1st_3.csv"
    path.write_text("Data,Label\n1,0\n2,0\n3,0\n4,1\n")
    (series,) = open_series(path)
    assert (series.set_name, series.name, series.train_end) == ("NAB", path.stem, 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "at least one row"),
        ("a,label\n", "at least one row"),
        ("a,b\n1,2\n", "expected a column label"),
        ("label\n0\n", "expected a value column"),
        ("a,label\nx,0\n", "expected a number"),
        ("a,label\n1\n", "expected a number"),
        ("a,label\n1,2\n", "labels 0 and 1"),
        ("a,label\n1,\n", "labels 0 and 1"),
    ],
)
def test_bad_csv_is_refused(tmp_path, text, message):
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        next(open_series(tmp_path / "bad.csv"))


def test_folders_hold_any_of_them(tmp_path, packed):
    (tmp_path / "z.csv").write_text("a,label\n1,0\n2,1\n")
    (tmp_path / "notes.txt").write_text("nothing to read here")
    assert [s.name for s in open_series(tmp_path)] == ["a", "b", "z"]
    assert [s.name for s in open_series(tmp_path, lambda s, name: name != "a")] == ["b", "z"]


def test_paths_without_series_are_refused(tmp_path):
    with pytest.raises(ValueError, match="expected a file or folder, found none"):
        next(open_series(tmp_path / "absent"))
    with pytest.raises(ValueError, match="found none"):
        next(open_series(tmp_path))
    (tmp_path / "a.bin").write_bytes(b"")
    with pytest.raises(ValueError, match=r"expected \.npz"):
        next(open_series(tmp_path / "a.bin"))


def aeon_members():
    """The members that `read_aeon` reads, tiny: the KDD test file repeats its training part, the ECG's does not."""
    root = "aeon/datasets/data"
    kdd = [f"{i},{10 + i},{int(i == 4)}" for i in range(6)]
    ecg = "timestamp,value-0,is_anomaly"
    return {
        f"{root}/KDD-TSAD_135/135_UCR_Anomaly_InternalBleeding16_TRAIN.csv": [
            "timestamp,value,is_anomaly",
            *kdd[:3],
        ],
        f"{root}/KDD-TSAD_135/135_UCR_Anomaly_InternalBleeding16_TEST.csv": [
            "timestamp,value,is_anomaly",
            *kdd,
        ],
        f"{root}/UnitTest/ecg-diff-count-3_TRAIN_NA.csv": [ecg, "0,1,0.0", "1,2,0.0"],
        f"{root}/UnitTest/ecg-diff-count-3_TEST.csv": [ecg, "0,3,0", "1,4,1", "2,5,0"],
        f"{root}/Daphnet_S06R02E0/S06R02E0.csv": [
            "timestamp,u,v,is_anomaly",
            "1970-01-01 00:04:40.000,1,2,0",
            "1970-01-01 00:04:40.015,3,4,0",
            "1970-01-01 00:04:40.031,5,6,0",
        ],
    }


@pytest.fixture(params=["wheel", "folder"])
def tiny_aeon(request, tmp_path):
    path = tmp_path / ("aeon-1.6.0-py3-none-any.whl" if request.param == "wheel" else "site")
    if request.param == "wheel":
        with zipfile.ZipFile(path, "w") as wheel:
            for member, lines in aeon_members().items():
                wheel.writestr(member, "\n".join(lines) + "\n")
        return path
    for member, lines in aeon_members().items():
        (path / member).parent.mkdir(parents=True, exist_ok=True)
        (path / member).write_text("\n".join(lines) + "\n")
    return path


def test_aeon_layout(tiny_aeon):
    kdd, ecg, daphnet = open_series(tiny_aeon)
    assert [s.name for s in (kdd, ecg, daphnet)] == [
        "KDD-TSAD_135",
        "ecg-diff-count-3",
        "Daphnet_S06R02E0",
    ]
    assert kdd.x[:, 0].tolist() == [10, 11, 12, 13, 14, 15] and kdd.train_end == 3
    assert kdd.labels.tolist() == [0, 0, 0, 0, 1, 0]
    assert ecg.x[:, 0].tolist() == [1, 2, 3, 4, 5] and ecg.train_end == 2
    assert ecg.labels.tolist() == [0, 0, 0, 1, 0]
    assert daphnet.x.shape == (3, 2) and daphnet.train_end == -1
    assert daphnet.period_s == pytest.approx(0.0155)
    assert [s.name for s in open_series(tiny_aeon, lambda s, n: n.startswith("ecg"))] == [ecg.name]


def test_a_wheel_without_the_recordings_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "aeon.whl", "w") as wheel:
        wheel.writestr("aeon/__init__.py", "")
    with pytest.raises(ValueError, match="KDD-TSAD_135.*found none"):
        next(read_aeon(tmp_path / "aeon.whl"))
    (tmp_path / "broken.whl").write_bytes(b"no zip")
    with pytest.raises(ValueError, match="expected an aeon wheel"):
        next(read_aeon(tmp_path / "broken.whl"))


def test_the_real_wheel():
    path = os.environ.get("SANDERLING_AEON_WHEEL")
    if not path:
        pytest.skip("SANDERLING_AEON_WHEEL names no aeon 1.6.0 wheel")
    kdd, ecg, daphnet = open_series(Path(path))
    assert kdd.x.shape == (7501, 1) and kdd.train_end == 1200
    assert np.flatnonzero(kdd.labels)[[0, -1]].tolist() == [4187, 4198]
    assert ecg.x.shape == (20000, 1) and ecg.train_end == 10000
    assert ecg.labels.sum() == 300 and not ecg.labels[:10000].any()
    assert daphnet.x.shape == (7040, 9) and daphnet.period_s == pytest.approx(1 / 64, rel=1e-3)


def test_real_recordings():
    root = os.environ.get("SANDERLING_DATA")
    if not root:
        pytest.skip("SANDERLING_DATA names no folder of recordings")
    nab = list(open_series(Path(root) / "eval" / "nab.npz"))
    assert len(nab) == 39 and sum(int(s.labels.sum()) for s in nab) == 15622
    assert sum(len(s.x) for s in nab) == 184136
    smd = next(open_series(Path(root) / "eval" / "smd.npz"))
    assert smd.x.shape[1] == 38 and 0 <= np.nanmin(smd.x) and np.nanmax(smd.x) <= 1.001


def test_data_of_nab_without_its_repository(tmp_path):
    (tmp_path / "realX").mkdir()
    rows = [f"2014-02-14 14:{minute:02d}:00,{minute}" for minute in range(0, 50, 5)]
    (tmp_path / "realX" / "one.csv").write_text("\n".join(["timestamp,value", *rows]))
    (tmp_path / "combined_windows.json").write_text(json.dumps({"realX/one.csv": []}))
    (series,) = open_series(tmp_path)
    assert (series.set_name, series.name, len(series.x)) == ("nab", "realX/one", 10)


def test_tsb_ad_names_in_any_form(tmp_path):
    for stem in ("001_Set_2_id_x_Facility_tr_2_1st_3", "057_SMD-A_id_12_Web_tr_2"):
        (tmp_path / f"{stem}.csv").write_text("a,Label\n1,0\n2,0\n3,0\n4,1\n")
    assert [(s.set_name, s.train_end) for s in open_series(tmp_path)] == [("Set_2", 2), ("SMD-A", 2)]


def test_the_archive_that_score_reads(tmp_path):
    x, labels = np.arange(6.0).reshape(3, 2), np.array([False, True, False])
    np.savez(tmp_path / "pump.npz", values=x, labels=labels, train_end=1, period_s=0.5)
    np.savez(tmp_path / "raw.npz", values=x)
    pump, raw = open_series(tmp_path)
    assert (pump.set_name, pump.name, pump.train_end, pump.period_s) == (tmp_path.name, "pump", 1, 0.5)
    assert pump.x.tolist() == x.tolist() and pump.labels.tolist() == [0, 1, 0] and raw.labels is None


def test_files_that_a_mac_hides_are_passed_over(tmp_path):
    (tmp_path / "._a.csv").write_bytes(b"\x00\x05\x16\x07")
    (tmp_path / "a.CSV").write_text("v,label\n1,0\n2,1\n")
    (series,) = open_series(tmp_path)
    assert series.name == "a"


def test_a_csv_without_labels_does_not_stop_its_folder(tmp_path):
    (tmp_path / "TSB-AD-U-Eva.csv").write_text("file_name\n001.csv\n")
    (tmp_path / "z.csv").write_text("t,a,is_anomaly\n1,1,no\n2,2,yes\n")
    lists, series = open_series(tmp_path)
    assert lists.name == "TSB-AD-U-Eva" and lists.labels is None
    assert series.labels.tolist() == [0, 1] and series.x.tolist() == [[1], [2]]  # t is time, as everywhere


@pytest.mark.parametrize("windows", ['{"g/a.csv": 5}', '{"g/a.csv": [["2014-02-14T00:00+00:00", "2014-02-14"]]}'])
def test_damaged_tables_of_nab(tmp_path, windows):
    (tmp_path / "g").mkdir()
    (tmp_path / "g" / "a.csv").write_text("timestamp,value\n2014-02-14 14:00:00,1\n")
    (tmp_path / "combined_windows.json").write_text(windows)
    with pytest.raises(ReadError, match="cannot be read"):
        next(open_series(tmp_path))


def test_a_split_that_is_no_number(tmp_path):
    np.savez(tmp_path / "x.npz", values=np.ones(9), labels=np.zeros(9), train_end=np.array([1, 2]))
    with pytest.raises(ReadError, match="cannot be read"):
        next(open_series(tmp_path / "x.npz"))
