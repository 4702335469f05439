"""SMD's layout and that of SMAP and MSL, written by the tests."""

import numpy as np
import pytest

from sanderling.errors import ReadError
from sanderling.evaluate.datasets import open_series
from sanderling.evaluate.folders import read_smd, read_telemanom


@pytest.fixture
def smd(tmp_path):
    root = tmp_path / "ServerMachineDataset"
    rng = np.random.default_rng(0)
    tables = {}
    for i, machine in enumerate(("machine-1-1", "machine-2-3")):
        train, test = rng.random((5 + i, 3)).round(6), rng.random((4, 3)).round(6)
        for part, table in (("train", train), ("test", test), ("test_label", np.array([[0], [1], [1], [0]]))):
            (root / part).mkdir(parents=True, exist_ok=True)
            form = "%d" if part == "test_label" else "%.6f"
            np.savetxt(root / part / f"{machine}.txt", table, fmt=form, delimiter=",")
        tables[machine] = np.concatenate([train, test]).astype(np.float32)
    (root / "interpretation_label").mkdir()
    (root / "interpretation_label" / "machine-1-1.txt").write_text("1-2:1,3\n")
    return root, tables


def test_smd(smd):
    root, tables = smd
    first, second = open_series(root)
    assert (first.set_name, first.name, first.train_end, first.period_s) == ("smd", "machine-1-1", 5, 60.0)
    assert first.labels.tolist() == [0] * 5 + [0, 1, 1, 0] and first.labels.dtype == np.uint8
    np.testing.assert_array_equal(first.x, tables["machine-1-1"])
    assert second.train_end == 6 and first.x.dtype == np.float32
    assert [s.name for s in open_series(root, lambda _, name: name == "machine-2-3")] == ["machine-2-3"]
    assert [s.name for s in open_series(root.parent)] == ["machine-1-1", "machine-2-3"]


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("test_label", "0\n1\n0\n", "expected 4 rows of one label"),
        ("test_label", "0\n2\n0\n0\n", "0 or 1"),
        ("test_label", "0,1\n0,1\n0,1\n0,1\n", "one label"),
        ("train", "1,2\n", "expected 2 columns"),
        ("train", "1,x,3\n", "rows of numbers"),
        ("train", "1,2,3\n1,2\n", "rows of numbers"),
    ],
)
def test_bad_smd_files(smd, file, text, message):
    root, _ = smd
    (root / file / "machine-1-1.txt").write_text(text)
    with pytest.raises(ValueError, match=message):
        list(read_smd(root))


def test_a_machine_without_its_training_part(smd):
    root, _ = smd
    (root / "train" / "machine-1-1.txt").unlink()
    with pytest.raises(ValueError, match="machine-1-1"):
        list(read_smd(root))


TABLE = """chan_id,spacecraft,anomaly_sequences,class,num_values
P-1,SMAP,"[[1, 2], [4, 4]]",[contextual],6
P-2,SMAP,"[[0, 0]]",[point],5
P-2,SMAP,"[[3, 4]]",[point],5
M-6,MSL,"[[2, 3]]",[point],5
T-9,MSL,"[[2, 3]]",[point],5
"""


@pytest.fixture
def telemanom(tmp_path):
    rng = np.random.default_rng(1)
    for part in ("train", "test"):
        (tmp_path / "data" / part).mkdir(parents=True)
        for name, channels in (("P-1", 3), ("P-2", 2), ("M-6", 4)):
            rows = 6 if part == "test" and name == "P-1" else 5
            np.save(tmp_path / "data" / part / f"{name}.npy", rng.random((rows, channels)))
    (tmp_path / "labeled_anomalies.csv").write_text(TABLE)
    return tmp_path


@pytest.mark.parametrize("beside", ["above", "inside"])
def test_smap_and_msl(telemanom, beside):
    if beside == "inside":
        (telemanom / "labeled_anomalies.csv").rename(telemanom / "data" / "labeled_anomalies.csv")
    m6, p1, p2 = open_series(telemanom)
    assert [(s.set_name, s.name) for s in (m6, p1, p2)] == [("msl", "M-6"), ("smap", "P-1"), ("smap", "P-2")]
    assert p1.train_end == 5 and p1.x.shape == (11, 3) and p1.x.dtype == np.float32 and p1.period_s == 60
    assert p1.labels.tolist() == [0] * 5 + [0, 1, 1, 0, 1, 0]
    assert p2.labels.tolist() == [0] * 5 + [1, 0, 0, 1, 1]  # two rows of the table, united
    np.testing.assert_array_equal(p1.x[5:], np.load(telemanom / "data" / "test" / "P-1.npy").astype(np.float32))
    assert [s.name for s in open_series(telemanom / "data", lambda set_name, _: set_name == "msl")] == ["M-6"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TABLE.replace("[4, 4]", "[4, 6]"), "within 6 samples"),
        (TABLE.replace("[[0, 0]]", "[[3, 1]]"), "within 5 samples"),
        (TABLE.replace('"[[2, 3]]"', "__import__('os')"), "expected spans"),
        (TABLE.replace('"[[2, 3]]"', "[2]"), "expected spans"),
        (TABLE.replace("spacecraft", "craft"), "found none for spacecraft"),
    ],
)
def test_bad_tables(telemanom, text, message):
    (telemanom / "labeled_anomalies.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        list(read_telemanom(telemanom / "data"))


def test_bad_arrays(telemanom):
    file = telemanom / "data" / "train" / "P-1.npy"
    np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="without pickles"):
        list(read_telemanom(telemanom / "data"))
    np.save(file, np.ones(5))
    with pytest.raises(ValueError, match=r"\(time, channels\)"):
        list(read_telemanom(telemanom / "data"))
    np.save(file, np.ones((5, 7)))
    with pytest.raises(ValueError, match="expected 7 columns"):
        list(read_telemanom(telemanom / "data"))
    with pytest.raises(ValueError, match="no such layout"):
        list(read_telemanom(telemanom))


def test_sets_joined_in_arrays(tmp_path):
    np.save(tmp_path / "MSL_train.npy", np.ones((4, 2)))
    np.save(tmp_path / "MSL_test.npy", np.zeros((3, 2)))
    np.save(tmp_path / "MSL_test_label.npy", np.array([[False], [True], [False]]))
    (series,) = open_series(tmp_path)
    assert (series.set_name, series.name, series.train_end) == ("msl", "msl", 4)
    assert series.labels.tolist() == [0, 0, 0, 0, 0, 1, 0] and series.x.shape == (7, 2)
    np.save(tmp_path / "MSL_test_label.npy", np.array([0, 1]))
    with pytest.raises(ReadError, match="expected 3 labels"):
        next(open_series(tmp_path))
