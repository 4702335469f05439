"""The report's text, Markdown and JSON."""

import json

import numpy as np
import pytest

from sanderling.errors import StorageError
from sanderling.evaluate.report import COLUMNS, markdown, plain, table, write_json
from sanderling.evaluate.run import MEANS, summarise


def result(scale=1.0):
    rows = []
    for set_name, values in (("nab", (0.2, 0.6)), ("ucr_anomaly", (0.4,))):
        for i, value in enumerate(values):
            metrics = dict.fromkeys(MEANS, value * scale)
            rows.append({"set": set_name, "name": str(i), "has_anomaly": True, **metrics})
    rows[2]["ucr_top1"] = rows[0]["point_adjusted_f1"] = rows[1]["point_adjusted_f1"] = float("nan")
    return summarise(rows)


@pytest.fixture
def report():
    return {**result(), "model": "m", "sha256": "ab" * 32, "mode": "cold", "baselines": {"random": result(0.5)}}


def test_text(report):
    lines = table(report).splitlines()
    assert lines[0].split()[:3] == ["set", "n", "VUS-PR"] and len({len(line) for line in lines[:3]}) == 1
    assert lines[1].split()[:2] == ["nab", "2"] and "0.400 [0.20, 0.60]" in lines[1]
    assert lines[2].split()[2] == "0.400" and "-" in lines[2].split()
    assert lines[3] == "mean VUS-PR over 2 sets: 0.400 [0.30, 0.50]"
    assert lines[4] == "random: 0.200  (nab 0.200  ucr_anomaly 0.200)"


def test_point_adjusted_never_stands_alone(report):
    first, second = table(report).splitlines()[1:3]
    assert first.endswith("  -") and second.endswith("0.400 (0.400)")


def test_markdown_tables_are_whole(report):
    text = markdown(report)
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("|")]
    first, second = rows[:4], rows[4:]
    assert {len(row) for row in first} == {len(COLUMNS) + 3} and {len(row) for row in second} == {4}
    assert [row[0].strip() for row in second] == ["", "---", "m", "random"]
    assert second[2][1].strip() == "0.400 [0.20, 0.60]" and second[3][3].strip() == "0.200 [0.15, 0.25]"
    assert "ab" * 32 in text and text.endswith("|\n")
    del report["baselines"]
    assert "baselines" not in markdown(report)


def test_json_holds_the_contract(report, tmp_path):
    path = tmp_path / "out.json"
    write_json(report, path)
    back = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert {"sets", "mean_vus_pr", "model", "sha256"} <= back.keys()
    assert {"vus_pr", "vus_roc", "auc_pr", "event_f1", "n"} <= back["sets"]["nab"].keys()
    assert back["sets"]["ucr_anomaly"]["ucr_top1"] is None
    assert back["sets"]["ucr_anomaly"]["intervals"]["vus_pr"] == [None, None]
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.json"]
    with pytest.raises(StorageError):
        write_json(report, tmp_path / "absent" / "out.json")


def test_plain_values():
    given = {"a": [np.nan, 1.0, {"b": float("inf")}], "c": "x", "d": 3}
    assert plain(given) == {"a": [None, 1.0, {"b": None}], "c": "x", "d": 3}
