"""`sanderling watch`: lines while rows come, and the scores of the batch."""

import json
import subprocess
import sys

import numpy as np

from sanderling import Detector
from tests.cli.conftest import csv_text, pump_signal

FAULT = 120


def events_of(done) -> list[dict]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line, parse_constant=lambda word: 1 / 0) for line in done.stdout.splitlines()]


def test_every_patch_has_the_batch_score(sanderling, pump_path) -> None:
    x = pump_signal(203, FAULT)
    events = events_of(sanderling("watch", "-m", pump_path, "--all", text=csv_text(x)))
    explained = Detector.load(pump_path).explain(x)
    assert [e["start"] for e in events] == list(range(0, 203, 8)) and events[-1]["end"] == 202
    for event in events:
        assert np.float32(event["score"]) == explained.scores[event["start"]] == explained.scores[event["end"]]
        assert event["alarm"] == bool(explained.labels[event["start"]])
        assert (event["t_start"], event["t_end"]) == (event["start"] / 2, event["end"] / 2)
        if event["alarm"]:
            top = explained.top_channel[event["start"]]
            assert event["channel"] == ("flow", "pressure")[top]


def test_a_file(sanderling, pump_path, tmp_path) -> None:
    text = csv_text(pump_signal(203, FAULT))
    (tmp_path / "x.csv").write_text(text)
    from_file = events_of(sanderling("watch", "-m", pump_path, "--input", "x.csv"))
    assert from_file and from_file == events_of(sanderling("watch", "-m", pump_path, text=text))
    done = sanderling("watch", "-m", pump_path, "--input", "none.csv")
    assert done.returncode == 2 and "expected a readable file" in done.stderr and done.stderr.count("\n") == 1


def test_only_alarms_unless_asked(sanderling, pump_path) -> None:
    events = events_of(sanderling("watch", "-m", pump_path, text=csv_text(pump_signal(203, FAULT))))
    assert events and all(event["alarm"] and event["score"] > event["threshold"] for event in events)
    assert any(event["channel"] == "pressure" and event["start"] >= FAULT - 8 for event in events)


def test_cold_patches_score_zero_and_missing_ones_null(sanderling, model_path, pump_path) -> None:
    rows = "".join("\n" for _ in range(3)) + "a\n" + "1\n" * 16
    events = events_of(sanderling("watch", "-m", model_path, "--all", text=rows))
    assert [e["score"] for e in events] == [0, 0] and events[0]["threshold"] is None and "t_start" not in events[0]
    x = np.full((100, 2), np.nan, np.float32)
    assert events_of(sanderling("watch", "-m", pump_path, "--all", text=csv_text(x)))[-1]["score"] is None


def test_lines_come_while_rows_come(pump_path) -> None:
    """A line is written when its patch is complete, not when the input ends."""
    command = [sys.executable, "-m", "sanderling", "watch", "--all", "-m", str(pump_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        lines = csv_text(pump_signal(8)).splitlines(keepends=True)
        process.stdin.writelines(lines)
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["end"] == 7
        process.stdin.close()
        assert process.stdout.read() == ""


def test_a_reader_that_leaves_is_no_error(pump_path) -> None:
    command = [sys.executable, "-m", "sanderling", "watch", "--all", "-m", str(pump_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        process.stdout.close()
        try:
            process.stdin.write(csv_text(pump_signal(4000)).encode())
            process.stdin.close()
        except BrokenPipeError:
            pass
        assert process.stderr.read() == b"" and process.wait() == 0


def test_rows_before_a_bad_one_are_scored(sanderling, pump_path) -> None:
    text = csv_text(pump_signal(16)) + "8,oops,1\n"
    done = sanderling("watch", "-m", pump_path, "--all", text=text)
    assert done.returncode == 2 and len(done.stdout.splitlines()) == 2
    assert "row 18: expected a number in column 'flow', found 'oops'" in done.stderr and done.stderr.count("\n") == 1


def test_no_rows(sanderling, pump_path) -> None:
    for text in ("", "time,flow,pressure\n"):
        done = sanderling("watch", "-m", pump_path, text=text)
        assert done.returncode == 2 and done.stderr.count("\n") == 1


def test_wrong_channels_and_falling_times(sanderling, pump_path) -> None:
    assert "expected 2 channel(s)" in sanderling("watch", "-m", pump_path, text="1,2,3\n").stderr
    assert "row 3" in sanderling("watch", "-m", pump_path, text="t,a,b\n1,1,1\n0,1,1\n").stderr
