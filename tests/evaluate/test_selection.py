"""The committed lists, official lists of files, and samples of them."""

import os
from pathlib import Path

import numpy as np
import pytest

from sanderling.evaluate.selection import both, chosen_series, listed, load_list, names_of, only, sampled, without
from tests.evaluate.packed import pack


def test_committed_lists():
    tuning, six = load_list("tuning"), load_list("six_sets")
    assert {key: len(names) for key, names in tuning.items()} == {
        "ucr_anomaly": 24,
        "nab": 8,
        "smap": 11,
    }
    assert sum(map(len, six.values())) == 161
    for names in (*tuning.values(), *six.values()):
        assert len(set(names)) == len(names)
    assert only("tuning")("nab", tuning["nab"][0]) and not only("tuning")("smd", "x")
    assert not without("tuning")("nab", tuning["nab"][0]) and without("tuning")("smd", "x")
    with pytest.raises(ValueError, match="expected a list named"):
        load_list("other")


def test_tuning_list_is_every_fifth_by_sorted_name():
    root = os.environ.get("SANDERLING_DATA")
    if not root:
        pytest.skip("SANDERLING_DATA names no folder of recordings")
    for set_name, chosen in load_list("tuning").items():
        names = names_of([Path(root) / "eval" / f"{set_name}.npz"])[set_name]
        assert chosen == sorted(names)[::5]


def test_sample_is_spread_and_chosen_series_follow(tmp_path):
    rows = [(f"n{i}", np.full((8, 1), i), ("f32",), 1.0, np.eye(8)[i], 2, 1.0) for i in range(7)]
    pack(tmp_path / "x.npz", rows)
    names = names_of([tmp_path])
    assert names == {"x": [f"n{i}" for i in range(7)]}
    chosen = sampled(names, 3)
    assert chosen == {"x": ["n0", "n2", "n4"]}
    got = list(chosen_series([tmp_path], chosen))
    assert [s.name for s in got] == ["n0", "n2", "n4"] and [s.x[0, 0] for s in got] == [0, 2, 4]
    assert sampled(names, None) == sampled(names, 99) == names
    with pytest.raises(ValueError, match="at least 1"):
        sampled(names, 0)


def test_adapted_sample_follows_from_the_other_lists():
    six, tuning, sample = (load_list(name) for name in ("six_sets", "tuning", "adapted_sample"))
    assert sample.keys() == six.keys()
    for set_name, names in six.items():
        others = sorted(set(names) - set(tuning.get(set_name, ())))
        pool = others if len(others) >= 6 else sorted(names)
        count = min(6, len(pool))
        assert sample[set_name] == [pool[i * len(pool) // count] for i in range(count)]
    assert sum(map(len, sample.values())) == 34  # six of each, and the four that SMD has


def test_the_evaluation_recordings_hold_the_lists():
    root = os.environ.get("SANDERLING_DATA")
    if not root:
        pytest.skip("SANDERLING_DATA names no folder of recordings")
    sample = load_list("adapted_sample")
    files = [Path(root) / "eval" / f"{set_name}.npz" for set_name in sample]
    found = names_of(files, only("adapted_sample"))
    assert {key: sorted(names) for key, names in found.items()} == {k: sorted(v) for k, v in sample.items()}


def test_lists_combine():
    tuning = load_list("tuning")["nab"]
    keep = both([only("six_sets"), without("tuning")])
    assert not keep("nab", tuning[1]) and keep("nab", "realTraffic/TravelTime_451") and not keep("nab", "absent")
    assert both([])("any", "thing")


def test_official_lists_name_files(tmp_path):
    for stem in ("001_NAB_id_1_Facility", "002_CATSv2_id_2_Sensor", "003_NAB_id_3_Web"):
        name = f"{stem}_tr_2_1st_3"
        (tmp_path / f"{name}.csv").write_text("Data,Label\n1,0\n2,0\n3,0\n4,1\n")
    official = tmp_path.parent / "TSB-AD-U-Eva.csv"
    official.write_text("file_name\n002_CATSv2_id_2_Sensor_tr_2_1st_3.csv\n003_NAB_id_3_Web_tr_2_1st_3.csv\n900_X.csv\n")
    keep, names = listed(official)
    assert names_of([tmp_path], keep) == {"CATSv2": [names[0]], "NAB": [names[1]]}
    assert names[2] == "900_X"


@pytest.mark.parametrize("text", ["name\nx.csv\n", ""])
def test_other_csv_files_are_no_lists(tmp_path, text):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(ValueError, match="column file_name"):
        listed(tmp_path / "list.csv")
    with pytest.raises(ValueError, match="expected a list of files"):
        listed(tmp_path / "absent.csv")


def test_a_series_given_twice_is_refused(tmp_path):
    pack(tmp_path / "x.npz", [("a", np.ones((8, 1)), ("f32",), 1.0, np.eye(8)[1], 2, 1.0)])
    with pytest.raises(ValueError, match="found x/a twice"):
        names_of([tmp_path, tmp_path / "x.npz"])
