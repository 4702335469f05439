"""The recorded run is whole, agrees, and is what the README shows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sanderling.bench import bars, report

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "csrc" / "bench" / "record"


@pytest.fixture(scope="module")
def record() -> dict:
    return json.loads((RECORD / "bench.json").read_text())


def test_it_is_a_full_run_whose_answers_agree(record):
    assert record["complete"] and not record["quick"] and record["rounds"] >= 40
    assert [row for row in record["rows"] if not row["checked"]] == []
    assert {row["engine"] for row in record["rows"]} >= {
        "native",
        "onnxruntime",
        "openvino",
        "litert",
        "executorch",
        "torch",
    }


def test_the_readme_shows_it(record):
    lines = (ROOT / "README.md").read_text().splitlines()
    assert [line for line in report.short_table(record) if line not in lines] == []


def test_the_bars_are_those_of_its_rows(record):
    assert [bar.to_dict() for bar in bars.bars(record)] == record["bars"]


def test_the_tables_are_written_from_it(record):
    assert report.markdown(record) == (RECORD / "bench.md").read_text()
