"""Finished series on disk: continued, dropped under another key, whole after damage."""

import json

import pytest

from sanderling.evaluate.partial import PartialResults, collect

KEY = {"sha256": "ab", "mode": "cold", "paths": ["x"]}
NAN = float("nan")


def rows(name, value=0.5):
    return {"model": {"set": "s", "name": name, "vus_pr": value, "delay": NAN}}


def stored(path, key=KEY):
    return PartialResults(path, key)


def test_rows_come_back_bit_for_bit(tmp_path):
    path = tmp_path / "out.json.partial.jsonl"
    assert stored(path).load() == ({}, False)
    first = stored(path)
    first.load()
    first.add("s", "a", rows("a", 0.1 + 0.2))
    first.add("s", "b/é", rows("b/é"))
    found, dropped = stored(path).load()
    assert not dropped and list(found) == [("s", "a"), ("s", "b/é")]
    assert found["s", "a"]["model"]["vus_pr"] == 0.1 + 0.2
    assert found["s", "a"]["model"]["delay"] != found["s", "a"]["model"]["delay"]  # NaN stays NaN
    first.remove()
    assert not path.exists()


@pytest.mark.parametrize("change", [{"sha256": "cd"}, {"mode": "calibrated"}, {"paths": ["x", "y"]}])
def test_another_key_starts_anew(tmp_path, change):
    path = tmp_path / "p"
    first = stored(path)
    first.load()
    first.add("s", "a", rows("a"))
    assert stored(path, {**KEY, **change}).load() == ({}, True)
    assert stored(path).load() == ({}, True)  # the file is the other's now


def test_a_torn_line_is_dropped_and_the_next_is_whole(tmp_path):
    path = tmp_path / "p"
    first = stored(path)
    first.load()
    first.add("s", "a", rows("a"))
    first.add("s", "b", rows("b"))
    path.write_bytes(path.read_bytes()[:-20])
    again = stored(path)
    assert list(again.load()[0]) == [("s", "a")]
    again.add("s", "c", rows("c"))
    assert list(stored(path).load()[0]) == [("s", "a"), ("s", "c")]


@pytest.mark.parametrize("text", ["garbage", "[1]\n", '{"key": 3}\n', "{}\n" + json.dumps({"key": KEY}) + "\n"])
def test_a_strange_file_is_replaced(tmp_path, text):
    path = tmp_path / "p"
    path.write_text(text)
    assert stored(path).load()[0] == {}
    first = stored(path)
    first.load()
    first.add("s", "a", rows("a"))
    assert list(stored(path).load()[0]) == [("s", "a")]


def test_collect_asks_only_for_what_is_missing(tmp_path):
    path, asked, said, after = tmp_path / "p", [], [], []

    def each(series, finished):
        # Out of order, as workers end.
        for name in reversed(names):
            asked.append(name)
            finished(0, rows(name))

    chosen = {"s": ["a", "b", "c"]}
    first = stored(path)
    first.load()
    first.add("s", "b", rows("b", 0.25))
    names = ["a", "c"]
    got = collect([], chosen, each, stored(path), after=lambda _, done: after.append(done), notice=said.append)
    assert asked == ["c", "a"] and [row["model"]["name"] for row in got] == ["a", "b", "c"]
    assert got[1]["model"]["vus_pr"] == 0.25 and after == [2, 3]
    assert len(said) == 1 and "1 of 3 series are done" in said[0]
    names = ["a", "b", "c"]
    asked.clear()
    got = collect([], chosen, each, stored(path), usable=lambda *key: False)
    assert asked == ["c", "b", "a"] and got[1]["model"]["vus_pr"] == 0.5
