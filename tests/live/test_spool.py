"""The spool: what is in it after a power cut anywhere, in order and once; one format for the runner and `watch`."""

import json
import os
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sanderling.errors import StorageError
from sanderling.live.spool import Spool
from tests.helpers.live import events_of, rows_text


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """The cuts here are made by hand; whether the disk obeys is not what is tested."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("fsync", "fdatasync"):
            patch.setattr(os, name, lambda file: None)
        yield


def fill(folder: Path, count: int, max_bytes: int = 1 << 20) -> Spool:
    spool = Spool(folder, max_bytes)
    for i in range(count):
        assert spool.append({"n": i})["seq"] == i + 1
    return spool


def drain(spool: Spool) -> list[int]:
    numbers = []
    while (record := spool.oldest()) is not None:
        assert json.loads(record[1])["seq"] == record[0]
        numbers.append(record[0])
        spool.acknowledge(record[0])
    return numbers


def segment(folder: Path) -> Path:
    (path,) = folder.glob("*.jsonl")
    return path


def test_order_and_memory(tmp_path) -> None:
    spool = fill(tmp_path / "s", 5)
    assert spool.pending == 5 and spool.oldest() == spool.oldest()
    spool.acknowledge(2)
    spool.close()
    again = Spool(tmp_path / "s")
    assert again.id == spool.id and again.pending == 3 and drain(again) == [3, 4, 5]
    assert again.append({})["seq"] == 6
    again.close()
    # Nothing left to be delivered: the numbers go on all the same.
    segment(tmp_path / "s").unlink()
    (tmp_path / "s/delivered").write_text("6\n")
    assert Spool(tmp_path / "s").append({})["seq"] == 7


def test_a_power_cut_at_every_byte(tmp_path) -> None:
    fill(tmp_path / "whole", 3).close()
    text = segment(tmp_path / "whole").read_bytes()
    ends = [i + 1 for i, byte in enumerate(text) if byte == 10]
    for cut in range(len(text) + 1):
        folder = tmp_path / "cut"
        shutil.copytree(tmp_path / "whole", folder)
        segment(folder).write_bytes(text[:cut])
        spool = Spool(folder)
        kept = sum(end <= cut for end in ends)
        assert spool.pending == kept and spool.damaged == (cut not in (0, *ends))
        assert spool.append({"n": "next"})["seq"] == kept + 1
        assert drain(spool) == list(range(1, kept + 2))
        spool.close()
        shutil.rmtree(folder)


def test_blocks_that_never_reached_the_disk(tmp_path) -> None:
    """A cut may leave a file as long as it was to be, with zeros; in the middle a bad block."""
    fill(tmp_path / "s", 4).close()
    path = segment(tmp_path / "s")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"\0" * len(lines[1]) + b"\n" + lines[2] + b"\0" * 300)
    spool = Spool(tmp_path / "s")
    assert spool.damaged == 2
    spool.append({})
    assert drain(spool) == [1, 3, 4]


def test_only_one_process_has_it(tmp_path) -> None:
    spool = fill(tmp_path / "s", 1)
    with pytest.raises(StorageError, match="expected a spool that no other process uses"):
        Spool(tmp_path / "s")
    spool.close()
    with pytest.raises(StorageError, match="expected a folder to keep alarms in"):
        Spool(tmp_path / "no" / "s")


def test_spoiled_notes_cost_nothing(tmp_path) -> None:
    spool = fill(tmp_path / "s", 3)
    spool.acknowledge(2)
    spool.close()
    for spoiled in (b"", b"\0\0\0\0", b"x\n"):
        (tmp_path / "s/delivered").write_bytes(spoiled)
        again = Spool(tmp_path / "s")
        assert again.pending == 3  # delivered twice rather than never
        again.close()
    (tmp_path / "s/id").write_bytes(b"")
    assert len(Spool(tmp_path / "s").id) == 16


@settings(deadline=None, max_examples=30)
@given(st.lists(st.one_of(st.just("append"), st.just("deliver"), st.just("reopen"))))
def test_any_order_of_things(tmp_path_factory, steps) -> None:
    folder = tmp_path_factory.mktemp("spool") / "s"
    spool, waiting, last = Spool(folder), [], 0
    for step in steps:
        if step == "append":
            last = spool.append({})["seq"]
            waiting.append(last)
        elif step == "deliver" and waiting:
            record = spool.oldest()
            assert record is not None and record[0] == waiting.pop(0)
            spool.acknowledge(record[0])
        elif step == "reopen":
            spool.close()
            spool = Spool(folder)
        assert spool.pending == len(waiting)
    assert drain(spool) == waiting
    spool.close()


def test_the_runner_reads_ours_and_we_read_the_runner_s(pump, runner_and_watch, recording, tmp_path) -> None:
    runner, watch = runner_and_watch
    numbers = []
    for program in (runner, watch, runner):
        running = program.start(pump, "--live", "--spool", tmp_path / "s")
        running.send(rows_text(recording))
        lines = running.finish()
        numbers += [e["seq"] for e in lines if "seq" in e]
        assert lines[-1]["pending"] == len(numbers)
        assert not events_of(lines, "spool") or events_of(lines, "spool")[0]["damaged"] == 0
    assert numbers == list(range(1, len(numbers) + 1))
    for line in segment(tmp_path / "s").read_bytes().splitlines():
        assert int(line[:8], 16) == zlib.crc32(line[9:]) and json.loads(line[9:])["at"].endswith("Z")
    assert drain(Spool(tmp_path / "s")) == numbers


def test_the_runner_repairs_a_cut_at_every_byte(pump, runner_and_watch, recording, tmp_path) -> None:
    runner, _ = runner_and_watch
    fill(tmp_path / "whole", 2).close()
    text = segment(tmp_path / "whole").read_bytes()
    ends = [i + 1 for i, byte in enumerate(text) if byte == 10]
    for cut in {0, 1, ends[0] - 1, ends[0], ends[0] + 1, ends[0] + 9, len(text) - 1, len(text)}:
        folder = tmp_path / f"cut{cut}"
        shutil.copytree(tmp_path / "whole", folder)
        segment(folder).write_bytes(text[:cut])
        kept = sum(end <= cut for end in ends)
        lines = runner.start(pump, "--live", "--spool", folder).finish()
        told = events_of(lines, "spool")
        torn = cut not in (0, *ends)
        assert (told[0]["pending"], told[0]["damaged"]) == (kept, torn) if kept or torn else not told
        assert segment(folder).stat().st_size == max(end for end in (0, *ends) if end <= cut)
