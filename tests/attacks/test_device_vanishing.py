"""A device that goes away: said, tried again with growing pauses, and read on when it is back."""

import fcntl
import os
import pty
import signal
import struct
import termios
import tty
from pathlib import Path

from tests.helpers.iio_tree import make_tree, raw_counts, scans
from tests.helpers.live import Running, events_of, rows_text


def plug_in(port: Path) -> tuple[int, int]:
    """A new terminal behind the same name."""
    device, terminal = pty.openpty()
    tty.setraw(terminal)
    port.unlink(missing_ok=True)
    port.symlink_to(os.ttyname(terminal))
    return device, terminal


def pull_out(ends: tuple[int, int]) -> None:
    for end in ends:
        os.close(end)


def test_serial_port(program, pump, recording, tmp_path) -> None:
    port = tmp_path / "port"
    rows = rows_text(recording).splitlines(keepends=True)
    source = f"serial:{port},first=keep"
    running = program.start(pump, "--input", source, "--retry", 0.01, "--stall", 0, every_score=True)
    # Not there yet: a service may start before the bus has found its devices.
    assert "No such file" in running.wait_for("lost")["why"]
    for part, last in ((rows[:40], 39), (rows[40:80], 79)):
        ends = plug_in(port)
        assert running.wait_for("connected")["attempts"] >= 1
        os.write(ends[0], "".join(part).encode() + b"0.5,0")  # pulled out in the middle of a line
        wait_until_read(running, last, ends)
        pull_out(ends)
        assert running.wait_for("lost")["why"]
    lines = running.finish(number=signal.SIGTERM)
    assert lines[-1]["samples"] == 80 and lines[-1]["bad_lines"] == 2
    assert "found one cut by the end" in events_of(lines, "bad_line")[0]["why"]


def wait_until_read(running: Running, last: int, ends: tuple[int, int]) -> None:
    """Until sample `last` is scored (so what was written has arrived) and the terminal holds no more for its reader."""
    running.wait_for(lambda line: "score" in line and line.get("i", line.get("end")) == last)
    while struct.unpack("i", fcntl.ioctl(ends[1], termios.FIONREAD, b"\0" * 4))[0] > 0:
        pass


def test_a_port_that_is_no_terminal(native, pump, tmp_path) -> None:
    (tmp_path / "file").write_text("1,2\n")
    running = native.start(pump, "--input", f"serial:{tmp_path}/file", "--retry", 0.01)
    assert "Inappropriate ioctl" in running.wait_for("lost")["why"]
    assert running.finish(number=signal.SIGTERM)[-1]["samples"] == 0


def test_iio_polled(program, pump, tmp_path) -> None:
    folder = make_tree(tmp_path)
    running = program.start(
        pump, "--input", f"iio:fake-accel,root={tmp_path},rate=200", "--retry", 0.01, "--stall", 0, every_score=True
    )
    running.wait_for(lambda line: "score" in line)
    away = folder.with_name("gone")
    folder.rename(away)
    assert "No such file" in running.wait_for("lost")["why"] or running.lines[-1]["why"].startswith("no device")
    away.rename(folder)
    running.wait_for("connected")
    running.wait_for(lambda line: "score" in line)
    # A bus error of one channel is a missing value, not the end.
    (folder / "in_accel_x_raw").write_text("what\n")
    assert running.wait_for("missing")["channels"] == "accel_x"
    assert running.finish(number=signal.SIGTERM)[-1]["missing"] > 0


def test_iio_buffer(native, pump, recording, tmp_path) -> None:
    make_tree(tmp_path)
    counts = raw_counts(recording)
    source = f"iio:fake-accel,mode=buffer,root={tmp_path}"
    running = native.start(pump, "--input", source, "--retry", 0.01, "--stall", 0)
    for part in (counts[:48], counts[48:96]):
        with (tmp_path / "dev/iio:device0").open("wb") as device:
            device.write(scans(part) + b"\x01\x02\x03")  # gone in the middle of a scan
        assert running.wait_for("lost")["why"] == "the buffer ended"
    lines = running.finish(number=signal.SIGTERM)
    assert lines[-1]["samples"] == 96 and lines[-1]["bad_lines"] == 0


def test_trees_that_are_not_usable(native, pump, tmp_path) -> None:
    folder = make_tree(tmp_path)
    spoiled = {
        "scan_elements/in_accel_x_type": ("le:s12/16X2>>4", "no usable type and index of accel_x"),
        "scan_elements/in_accel_x_index": ("-", "no usable type and index of accel_x"),
    }
    for file, (text, part) in spoiled.items():
        before = (folder / file).read_text()
        (folder / file).write_text(text)
        running = native.start(pump, "--input", f"iio:fake-accel,mode=buffer,root={tmp_path}")
        assert part in running.wait_for("lost")["why"]
        running.finish(number=signal.SIGTERM)
        (folder / file).write_text(before)
    for source, part in {
        f"iio:other,root={tmp_path}": "no device other in",
        f"iio:fake-accel,root={tmp_path},channels=accel_z": "no channel accel_z in",
    }.items():
        running = native.start(pump, "--input", source)
        assert part in running.wait_for("lost")["why"]
        running.finish(number=signal.SIGTERM)


def test_hangup_signal_opens_it_again(program, pump, recording, tmp_path) -> None:
    port = tmp_path / "port"
    source = f"serial:{port},first=keep"
    running = program.start(pump, "--input", source, "--retry", 3000, "--stall", 0, every_score=True)
    running.wait_for("lost")
    ends = plug_in(port)
    running.process.send_signal(signal.SIGHUP)  # instead of most of an hour
    running.wait_for("connected")
    os.write(ends[0], rows_text(recording[:40]).encode())
    wait_until_read(running, 39, ends)
    pull_out(ends)
    running.wait_for("lost")
    assert running.finish(number=signal.SIGTERM)[-1]["samples"] == 40
