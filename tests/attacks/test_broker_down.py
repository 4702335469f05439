"""A broker away, stopped, restarted or silent, and a program killed in between: every alarm arrives, in order."""

import json
import signal

import pytest

from tests.helpers.live import Broker, Listener, Program, events_of, rows_text
from tests.helpers.live_fixtures import separate_alarms

ALARMS = separate_alarms(7)


def start(watch: Program, pump, broker: Broker, folder, *arguments: object):
    return watch.start(
        pump, "--live", "--spool", folder / "s", "--publish", broker.url("plant/pump"), "--retry", 0.02, "--stall", 0,
        *arguments,
    )  # fmt: skip


def numbers(lines: list[dict]) -> list[int]:
    return [line["seq"] for line in lines if "seq" in line]


def test_stopped_and_started_again(watch, pump, broker, tmp_path) -> None:
    listener = Listener(broker, "plant/#")
    running = start(watch, pump, broker, tmp_path)
    broker.wait_for("New client connected", 2)
    rows = rows_text(ALARMS).splitlines(keepends=True)
    running.send("".join(rows[:300]))
    first = running.wait_for("alarm_off")["seq"]
    assert [record["seq"] for record in listener.alarms(first)] == list(range(1, first + 1))
    broker.stop()
    assert running.wait_for("undelivered")["why"]
    running.send("".join(rows[300:]))
    last = running.wait_for(lambda line: line.get("event") == "alarm_off" and line["start"] > 1200)["seq"]
    broker.start()
    assert [record["seq"] for record in listener.alarms(last)][-1] == last
    lines = running.finish()
    assert lines[-1]["pending"] == 0 and lines[-1]["dropped"] == 0
    listener.close()


def test_away_from_the_start(watch, pump, tmp_path) -> None:
    broker = Broker(tmp_path / "broker")
    running = start(watch, pump, broker, tmp_path)
    running.wait_for("undelivered")
    running.send(rows_text(ALARMS))
    last = running.wait_for(lambda line: line.get("event") == "alarm_off" and line["start"] > 1200)["seq"]
    broker.start()
    try:
        listener = Listener(broker, "plant/#")
        # What came while nobody listened is the broker's business; the program's is that nothing waits any more.
        assert running.finish()[-1]["pending"] == 0
        listener.close()
    finally:
        broker.stop()
    assert last > 10


@pytest.mark.parametrize("alarms", [1, 5])
def test_killed_in_the_middle_of_publishing(watch, pump, broker, tmp_path, alarms) -> None:
    listener = Listener(broker, "plant/+/alarm")
    running = start(watch, pump, broker, tmp_path)
    broker.wait_for("New client connected", 2)
    assert broker.process is not None
    said = []
    running.send(rows_text(ALARMS[:120]))
    running.wait_for("alarm_on")
    broker.process.send_signal(signal.SIGSTOP)  # from here on nothing is acknowledged
    running.send(rows_text(ALARMS[120:]))
    while len(said) < alarms:
        said.append(running.wait_for("alarm_off"))
    lines = running.kill()
    broker.process.send_signal(signal.SIGCONT)
    again = start(watch, pump, broker, tmp_path)
    before = numbers(lines)[-1]
    again.send(rows_text(ALARMS))
    last = again.wait_for(lambda line: line.get("event") == "alarm_off" and line["start"] > 1200)["seq"]
    records = listener.alarms(last)
    assert [record["seq"] for record in records] == list(range(1, last + 1)) and last > before
    assert {record["spool"] for record in records} == {lines[-1]["spool"]} if "spool" in lines[-1] else True
    assert again.finish()[-1]["pending"] == 0
    listener.close()


@pytest.mark.parametrize("alarms", [1, 4])
def test_the_runner_s_command_fails_and_the_runner_is_killed(pump, tmp_path, alarms) -> None:
    """The command's first runs fail; the program is killed while they go on; all arrive, in order, at least once."""
    got, gate = tmp_path / "got", tmp_path / "gate"
    command = f"test -e {gate} && cat >> {got}"
    runner = Program("runner")
    options = ("--live", "--spool", tmp_path / "s", "--on-alarm", command, "--retry", 0.01, "--stall", 0)
    running = runner.start(pump, *options)
    running.send(rows_text(ALARMS))
    assert running.wait_for("undelivered")["why"] == "exit status 1"
    while len(events_of(running.lines, "alarm_off")) < alarms:
        running.wait_for("alarm_off")
    gate.touch()
    before = numbers(running.kill())[-1]
    again = runner.start(pump, *options)
    again.send(rows_text(ALARMS))
    lines = again.finish()
    assert lines[-1]["pending"] == 0 and numbers(lines)[0] == before + 1
    arrived = [json.loads(line)["seq"] for line in got.read_text().splitlines()]
    assert arrived == sorted(arrived) and sorted(set(arrived)) == list(range(1, numbers(lines)[-1] + 1))
