"""Lines that are no samples: counted and named, never fatal; the good ones score as if those were not there."""

import random

import numpy as np
import pytest

from sanderling import Detector
from sanderling.live.reader import LiveReader
from sanderling.runtime.csv_reader import ColumnChoice
from tests.helpers.live import events_of, rows_text, same, scores_in
from tests.helpers.live_fixtures import make_signal

GARBAGE = {
    b"1,5;2,5\n": "found 3",  # decimal commas
    b"\x00\x00,\x00\n": "a NUL byte",
    b"\xff\xfe1,2\n": "UTF-8",
    b"1\n": "found 1",
    b"1,2,3\n": "found 3",
    b"1," + b"2" * 1_000_000 + b"x\n": "expected a number in column '1'",
    b"9" * ((1 << 20) + 1) + b"\n": "expected lines of at most 1048576 bytes",
    b"1," * 3000 + b"\n": "expected at most 1024 columns",
    b'"1,2\n': "closing quote",
    b"0x10,1\n": "found '0x10'",
    b"1_000,1\n": "found '1_000'",
    b"{\"a\": 1}\n": "found 1",
    b"a,b\n": "found 'a'",
    b"1.2.3,4\n": "found '1.2.3'",
    "٣,4\n".encode(): "expected a number",
}


def test_hostile_lines(program, pump, recording, scores) -> None:
    rows = rows_text(recording).encode().splitlines(keepends=True)
    mixed = []
    for i, garbage in enumerate(GARBAGE):
        mixed += [*rows[12 * i : 12 * i + 12], garbage]
    mixed += rows[12 * len(GARBAGE) :]
    running = program.start(pump, "--live", every_score=True)
    running.send(b"".join(mixed))
    lines = running.finish()
    assert same(scores_in(lines), scores)
    assert lines[-1]["bad_lines"] == len(GARBAGE) == sum(1 for _ in GARBAGE)
    told = events_of(lines, "bad_line")
    assert told and [e["lines"] for e in told] == sorted(e["lines"] for e in told)
    assert len(told) <= 5  # the 1st, 2nd, 4th, 8th ...


def python_s(text: bytes, channels: int = 2) -> LiveReader:
    """What the reader of `watch` makes of a text."""
    reader = LiveReader(ColumnChoice(), channels)
    reader.feed(text)
    return reader


@pytest.mark.parametrize(("garbage", "part"), GARBAGE.items(), ids=range(len(GARBAGE)))
def test_each_is_named_and_both_say_the_same(pump, runner, garbage, part) -> None:
    text = b"1,2\n" * 8 + garbage
    running = runner.start(pump, "--live")
    running.send(text)
    (said,) = events_of(running.finish(), "bad_line")
    assert part in said["why"] and said["why"].startswith("row 9: ")
    reader = python_s(text)
    assert (said["lines"], said["why"]) == (reader.rejected, reader.reason)


BEGINNINGS = {
    "boot messages": (b"Booting v1.2\n\nready\n*** 3 sensors ***\n", 3),
    "a header after noise": (b"@@@@\nflow,pressure\n", 1),
    "a wrong number of channels": (b"1,2,3\n4\n", 2),
    "names and numbers": (b"flow,2\n", 1),
    "the header twice": (b"flow,pressure\nflow,pressure\n", 0),
    "a header in the middle of its life": (b"pressure\n", 1),
    "the wrong separator": (b"1;2;3\n", 1),
}


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_what_comes_before_the_first_sample(pump, runner, recording, scores, beginning) -> None:
    text, bad = BEGINNINGS[beginning]
    running = runner.start(pump, "--live", every_score=True)
    running.send(text + rows_text(recording).encode())
    lines = running.finish()
    assert same(scores_in(lines), scores) and lines[-1]["bad_lines"] == bad
    reader = python_s(text + rows_text(recording).encode())
    assert (reader.rejected, reader.parser.rows) == (bad, len(recording))


def test_a_device_that_starts_again_sends_its_header_again(pump, runner_and_watch, recording, scores) -> None:
    rows = rows_text(recording).splitlines(keepends=True)
    for program in runner_and_watch:
        running = program.start(pump, "--live", every_score=True)
        running.send("".join(["a,b\n", *rows[:90], "a,b\n", *rows[90:]]))
        lines = running.finish()
        assert same(scores_in(lines), scores) and lines[-1]["bad_lines"] == 0


def test_random_bytes_never_end_it(pump, runner_and_watch) -> None:
    noise = random.Random(5).randbytes(40_000)
    good = rows_text(make_signal(64)).encode()
    counts = []
    for program in runner_and_watch:
        running = program.start(pump, "--live")
        running.send(noise + b"\n" + good)
        last = running.finish()[-1]
        counts.append((last["samples"], last["bad_lines"]))
        assert last["samples"] >= 64
    assert counts[0] == counts[1]


def test_time_that_jumps(pump, runner_and_watch, recording, scores) -> None:
    """A clock at 1970 that is set, then set back: said, and every sample counts."""
    times = [float(i) for i in range(100)] + [1.7e9 + i for i in range(50)] + [1.6e9 + i for i in range(53)]
    text = "time,a,b\n" + "".join(f"{t},{row}\n" for t, row in zip(times, rows_text(recording).split(), strict=True))
    for program in runner_and_watch:
        running = program.start(pump, "--live", every_score=True)
        running.send(text)
        lines = running.finish()
        assert same(scores_in(lines), scores)
        gap, back = events_of(lines, "gap")[0], events_of(lines, "clock_back")[0]
        assert (gap["sample"], gap["seconds"]) == (100, 1.7e9 - 99)
        assert (back["sample"], back["seconds"]) == (150, 1e8 + 49)


def test_without_a_calibration_the_first_rows_decide(model_path, runner_and_watch) -> None:
    x = make_signal(560)
    want = Detector.load(model_path).decision_function(x)
    for program in runner_and_watch:
        running = program.start(model_path, "--live", every_score=True)
        running.send(b"hello\n" + rows_text(x).encode() + b"1,2,3\n")
        lines = running.finish()
        assert np.array_equal(scores_in(lines), want) and lines[-1]["bad_lines"] == 2
