"""Waiting costs nothing, and ends when it is asked to."""

import signal
import socket
import threading
from pathlib import Path

import pytest

from tests.helpers.live import PATIENCE, Program, rows_text, same, scores_in


def wakes(process: int) -> int:
    """How often its threads have gone to sleep so far."""
    total = 0
    for task in Path(f"/proc/{process}/task").iterdir():
        text = (task / "status").read_text()
        total += int(text.split("voluntary_ctxt_switches:")[1].split()[0])
    return total


@pytest.mark.parametrize("busy", ["bare", "everything"])
def test_no_samples_no_work(native: Program, pump, tmp_path, busy) -> None:
    """Counted, not timed: a loop that spins or polls wakes at least once a tick."""
    more = []
    if busy == "everything":
        more = ["--spool", tmp_path / "s", "--record", tmp_path / "r.csv"]
        more += ["--metrics", "0"] if native.is_watch else ["--metrics-file", tmp_path / "m", "--on-alarm", "cat"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE)
        running = native.start(pump, "--live", "--stall", 0, *more, NOTIFY_SOCKET=str(tmp_path / "notify"))
        while manager.recv(100) != b"STATUS=ok (-)":
            pass
        pause = threading.Event()
        pause.wait(0.3)  # it is about to sleep
        before = wakes(running.process.pid)
        pause.wait(1.0)
        # prometheus_client's server looks twice a second whether it is to end.
        assert wakes(running.process.pid) - before <= (4 if "--metrics" in more else 0)
    running.finish()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_with_a_summary(program: Program, pump, recording, tmp_path, number) -> None:
    """What was scored is told; an alarm that goes on is ended; the incomplete patch stays unscored."""
    running = program.start(pump, "--live", "--spool", tmp_path / "s", every_score=True)
    running.send(rows_text(recording[:132]))
    running.wait_for(lambda line: line.get("i", line.get("end")) == 127)
    lines = running.finish(number=number)
    assert lines[-1]["samples"] == 132 and len(scores_in(lines)) == 128
    assert lines[-2]["event"] == "alarm_off" and lines[-2]["end"] == 127
    assert lines[-1]["pending"] == lines[-2]["seq"]


def test_hangup_leaves_standard_input_alone(program: Program, pump, recording, scores) -> None:
    running = program.start(pump, "--live", every_score=True)
    rows = rows_text(recording).splitlines(keepends=True)
    running.send("".join(rows[:80]))
    running.wait_for(lambda line: "score" in line)
    running.process.send_signal(signal.SIGHUP)
    running.send("".join(rows[80:]))
    assert same(scores_in(running.finish()), scores)


def test_a_number_of_samples_ends_it(program: Program, pump, recording, scores) -> None:
    running = program.start(pump, "--live", "--samples", 100, every_score=True)
    running.send(rows_text(recording[:100]))
    assert running.process.wait(PATIENCE) == 0  # standard input is still open
    lines = running.finish()
    assert lines[-1]["samples"] == 100 and same(scores_in(lines)[:96], scores[:96])


def test_no_samples_at_all(program: Program, pump) -> None:
    lines = program.start(pump, "--live").finish()
    assert len(lines) == 1 and lines[0]["samples"] == lines[0]["alarms"] == 0
