"""A sensor that stops: a clear event, signs of life to systemd that say so, and the detector goes on afterwards."""

import socket

from tests.helpers.live import PATIENCE, rows_text, same, scores_in


def test_it_is_said_and_goes_on(program, pump, recording, scores) -> None:
    text = rows_text(recording).splitlines(keepends=True)
    running = program.start(pump, "--live", "--stall", 0.05, every_score=True)
    for part, samples in ((text[:100], 0), (text[100:], 100)):
        assert running.wait_for("stall")["samples"] == samples
        running.send("".join(part))
        resumed = running.wait_for("resumed")
        assert resumed["sample"] == samples and resumed["seconds"] >= 0.05
    lines = running.finish()
    assert same(scores_in(lines), scores)


def test_systemd_hears_that_it_lives_and_why_it_is_silent(native, pump, tmp_path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE)
        running = native.start(
            pump, "--live", "--stall", 0.2, NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="40000"
        )
        said = [manager.recv(200)]
        assert said[0] == b"READY=1"
        while said[-1] != b"STATUS=stalled (-)":
            said.append(manager.recv(200))
        assert b"WATCHDOG=1" in said and b"STATUS=ok (-)" in said
        assert [manager.recv(200) for _ in range(3)] == [b"WATCHDOG=1"] * 3
        running.finish()


def test_nothing_is_said_where_nobody_asked(native, pump, recording) -> None:
    running = native.start(pump, "--live", "--stall", 0)
    running.send(rows_text(recording))
    assert not [line for line in running.finish() if line.get("event") == "stall"]
