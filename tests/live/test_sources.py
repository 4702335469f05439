"""One recording by every way in: Detector's scores, byte for byte, from the runner, an emulated board and `watch`."""

import os
import pty
import signal
import sys
import threading
import tty
from pathlib import Path

import numpy as np
import pytest

import sanderling
from sanderling import Detector
from sanderling.cli.main import main
from sanderling.errors import DependencyError, InputError
from sanderling.live.source import make_source
from tests.helpers.iio_tree import make_tree, raw_counts, scans, set_value, values
from tests.helpers.live import Program, events_of, rows_text, same, scores_in


def test_standard_input(program: Program, pump: Path, recording, scores, tmp_path: Path) -> None:
    kept = tmp_path / "kept.csv"
    running = program.start(pump, "--live", "--record", kept, every_score=True)
    running.send(rows_text(recording, names='"a ""b""",c'))
    lines = running.finish()
    assert same(scores_in(lines), scores)
    assert lines[-1]["samples"] == len(recording) and lines[-1]["bad_lines"] == 0
    # What was recorded is the recording.
    table = sanderling.read(kept)
    assert table.channels == ('a "b"', "c") and same(table.values, recording)


def test_alarms_are_the_same_events(native: Program, pump: Path, recording, tmp_path: Path) -> None:
    running = native.start(pump, "--live", "--spool", tmp_path / "spool")
    running.send(rows_text(recording, names="flow,pressure"))
    lines = running.finish()
    on, off = (events_of(lines, name) for name in ("alarm_on", "alarm_off"))
    alarms = Detector.load(pump).explain(recording).alarms()
    assert alarms and len(on) == len(off) == len(alarms) == lines[-1]["alarms"]
    for first, last, alarm in zip(on, off, alarms, strict=True):
        assert (first["start"], last["start"], last["end"]) == (alarm.start, alarm.start, alarm.end)
        assert np.float32(last["peak"]) == np.float32(alarm.score) and last["seq"] == first["seq"] + 1
        assert last["channel"] == ("flow", "pressure")[alarm.channel] and first["spool"] == last["spool"]
    assert lines[-1]["pending"] == 2 * len(alarms) and lines[-1]["dropped"] == 0


def test_a_file_and_a_pipe(native: Program, pump: Path, recording, scores, tmp_path: Path) -> None:
    text = rows_text(recording)
    file, pipe = tmp_path / "x.csv", tmp_path / "pipe"
    file.write_text(text.rstrip("\n"))  # a file's last line needs no end
    assert same(scores_in(native.start(pump, "--live", "--input", file, every_score=True).finish()), scores)
    os.mkfifo(pipe)
    running = native.start(pump, "--live", "--input", pipe, "--samples", len(recording), every_score=True)
    half = text.index("\n", len(text) // 2) + 1
    for part in (text[:half], text[half:]):  # two writers, one after the other: no end in between
        pipe.write_text(part)
    lines = running.finish()
    assert same(scores_in(lines), scores) and not events_of(lines, "lost")


def test_serial_port(program: Program, pump: Path, recording, scores, tmp_path: Path) -> None:
    device, terminal = pty.openpty()
    tty.setraw(terminal)
    port = tmp_path / "port"
    port.symlink_to(os.ttyname(terminal))
    source = f"serial:{port},baud=57600"
    running = program.start(pump, "--input", source, "--samples", len(recording), "--stall", 0, every_score=True)
    # The first line is the rest of one: it would be a number, a wrong one.
    text = b"5,1.25\r\n" + rows_text(recording).replace("\n", "\r\n").encode()
    feed(device, text)
    lines = running.finish()
    os.close(device)
    os.close(terminal)
    assert same(scores_in(lines), scores) and lines[-1]["bad_lines"] == 0


def feed(file: int, data: bytes) -> None:
    """Writes from another thread: a terminal holds 4 KiB."""

    def write() -> None:
        left = data
        while left:
            left = left[os.write(file, left[:512]) :]

    threading.Thread(target=write, daemon=True).start()


def test_iio_buffer(program: Program, pump: Path, recording, tmp_path: Path) -> None:
    folder = make_tree(tmp_path)
    counts = raw_counts(recording)
    source = f"iio:fake-accel,mode=buffer,root={tmp_path},trigger=clock,length=64,rate=50"
    running = program.start(pump, "--input", source, "--samples", len(counts), "--stall", 0, every_score=True)
    with (tmp_path / "dev/iio:device0").open("wb") as device:  # opened when the program has opened its end
        assert (folder / "buffer/enable").read_text() == "1" and (folder / "buffer/length").read_text() == "64"
        assert (folder / "trigger/current_trigger").read_text() == "clock"
        assert (folder / "sampling_frequency").read_text() == "50"
        device.write(scans(counts))
        device.flush()
        lines = running.finish()
    assert same(scores_in(lines), Detector.load(pump).decision_function(values(counts)))
    assert (folder / "buffer/enable").read_text() == "0"  # as it was


def test_iio_channels_in_the_order_asked_for(native: Program, model_path: Path, tmp_path: Path) -> None:
    make_tree(tmp_path)
    kept = tmp_path / "kept.csv"
    for channels, row in {"accel_y+accel_x": [-0.5, 1.25], "accel_y": [-0.5]}.items():
        source = f"iio:iio:device0,root={tmp_path},channels={channels}"
        native.start(model_path, "--input", source, "--samples", 16, "--record", kept).finish()
        table = sanderling.read(kept)
        assert table.channels == tuple(channels.split("+")) and (table.values == np.float32(row)).all()


def test_iio_polled(program: Program, pump: Path, tmp_path: Path) -> None:
    folder = make_tree(tmp_path)
    kept = tmp_path / "kept.csv"
    source = f"iio:fake-accel,root={tmp_path},rate=500"
    running = program.start(pump, "--input", source, "--record", kept, "--stall", 0, every_score=True)
    for x, y in ((3, -4), (-7, 11), (400, 2000)):
        for name, value in (("x", x), ("y", y)):
            set_value(folder, f"in_accel_{name}_raw", f"{value}\n")
        wanted = f"{(x + 2) * 0.25:g},{y * 0.125:g}"
        running.wait_for(lambda line: "score" in line)
        while wanted not in kept.read_text().replace(".0,", ",").replace(".0\n", "\n"):
            running.wait_for(lambda line: "score" in line)
    lines = running.finish(number=signal.SIGTERM)
    recorded = sanderling.read(kept)
    assert recorded.channels == ("accel_x", "accel_y") and recorded.samples == lines[-1]["samples"]
    got = scores_in(lines)
    assert len(got) >= 8 and same(got, Detector.load(pump).decision_function(recorded.values)[: len(got)])


def test_mqtt(watch: Program, pump: Path, recording, scores, broker) -> None:
    paho = pytest.importorskip("paho.mqtt.client")
    source = broker.url("plant/+/samples")
    running = watch.start(pump, "--input", source, "--samples", len(recording), "--stall", 0, every_score=True)
    broker.wait_for("Received SUBSCRIBE")
    sender = paho.Client(paho.CallbackAPIVersion.VERSION2)
    sender.max_inflight_messages_set(1)
    sender.connect("127.0.0.1", broker.port)
    sender.loop_start()
    rows = rows_text(recording).splitlines()
    for at in range(0, len(rows), 3):  # some messages with several rows, with and without a line end
        sender.publish("plant/pump/samples", "\n".join(rows[at : at + 3]) + "\n" * (at % 2), qos=1).wait_for_publish(60)
    sender.disconnect()
    sender.loop_stop()
    lines = running.finish()
    assert same(scores_in(lines), scores) and lines[-1]["bad_lines"] == 0


def test_the_runner_names_the_way_for_mqtt(pump: Path) -> None:
    running = Program("runner").start(pump, "--input", "mqtt://broker/x")
    assert running.process.wait(60) == 2 and "mosquitto_sub -t TOPIC | sanderling-run --live" in running.stderr()


WRONG = {
    "serial:": "expected a device after the colon",
    "serial:x,speed=9600": "expected settings key=value with a key of baud,first, found 'speed=9600'",
    "serial:x,baud=9601": "expected one of the usual rates",
    "serial:x,baud=fast": "expected baud=NUMBER above 0, found 'fast'",
    "serial:x,first=maybe": "expected first=drop or first=keep, found 'maybe'",
    "iio:x,mode=fast": "expected mode=poll or mode=buffer, found 'fast'",
    "iio:x,rate=0": "expected rate=NUMBER above 0, found '0'",
    "iio:x,rate": "expected settings key=value",
}


@pytest.mark.parametrize(("source", "part"), WRONG.items(), ids=WRONG)
def test_wrong_sources(runner: Program, pump: Path, source: str, part: str) -> None:
    running = runner.start(pump, "--input", source)
    assert running.process.wait(60) == 2
    assert part in running.stderr() and running.stderr().count("\n") == 1
    with pytest.raises(InputError) as raised:
        make_source(source)
    assert running.stderr() == f"sanderling-run: {raised.value}\n"


@pytest.mark.parametrize("url", ["mqtt://", "mqtt://host", "mqtt://host:port/x", "mqtts:///x", "mqtt://a:secret@/"])
def test_wrong_brokers(url: str) -> None:
    with pytest.raises(InputError, match=r"expected mqtt://\[user@\]host\[:port\]/topic") as raised:
        make_source(url)
    assert "secret" not in str(raised.value)


def test_a_password_is_not_said(watch, pump) -> None:
    running = watch.start(pump, "--input", "mqtt://user:secret@127.0.0.1:9/x")
    lost = running.wait_for("lost")
    assert lost["source"] == "mqtt://user:...@127.0.0.1:9/x" and "secret" not in lost["why"]
    running.finish(number=signal.SIGTERM)


def test_a_missing_package_names_its_extra(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(DependencyError, match=r"pip install 'sanderling\[live\]'"):
        make_source("mqtt://broker/x")


MISTAKES = {
    "--samples 5": "expected --live",
    "--live --samples 0": "--samples",
    "--live --spool-bytes 5": "--spool-bytes",
    "--live --stall -1": "--stall",
    "--live --retry 0": "--retry",
}


@pytest.mark.parametrize(("arguments", "part"), MISTAKES.items(), ids=MISTAKES)
def test_wrong_options(runner: Program, pump: Path, arguments: str, part: str, capsys) -> None:
    running = runner.start(pump, *arguments.split())
    assert running.process.wait(60) == 2 and part in running.stderr() and running.stderr().count("\n") == 1
    try:
        assert main(["watch", "-m", str(pump), *arguments.split()]) == 2
    except SystemExit as refused:
        assert refused.code == 2
    assert part in capsys.readouterr().err
