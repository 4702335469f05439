"""`sanderling-run guard`: a program lives while it says so; only then the hardware is told that the board does."""

import signal
import subprocess
import sys

import pytest

ALIVE = """
import os, socket, time
port = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
for word in (b"READY=1", *[b"WATCHDOG=1"] * 12):
    port.sendto(word, "\\0" + os.environ["NOTIFY_SOCKET"][1:])
    time.sleep(0.25)
print("limit", os.environ["WATCHDOG_USEC"])
"""


@pytest.fixture
def guard(program):
    def run(*arguments, **options):
        command = [program, "guard", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)

    return run


@pytest.mark.parametrize("status", [0, 3, 137])
def test_the_programs_exit_status(status, guard):
    assert guard("--", "sh", "-c", f"exit {status}").returncode == status
    if status == 137:
        assert guard("--", "sh", "-c", "kill -9 $$").returncode == status


def test_a_silent_program_is_ended(guard):
    done = guard("--limit", 1, "--", "sleep", 30)
    assert done.returncode == 1
    assert "expected a sign of life within 1 s, found none" in done.stderr


def test_a_program_that_lives_is_left_alone(guard, tmp_path):
    hardware = tmp_path / "watchdog"
    hardware.touch()
    done = guard("--limit", 1, "--watchdog", hardware, "--", sys.executable, "-c", ALIVE)
    assert (done.returncode, done.stdout) == (0, "limit 1000000\n")
    assert len(hardware.read_bytes()) >= 3


def test_the_hardware_hears_nothing_once_the_program_is_ended(guard, tmp_path):
    hardware = tmp_path / "watchdog"
    hardware.touch()
    assert guard("--limit", 1, "--watchdog", hardware, "--", "sleep", 30).returncode == 1
    assert len(hardware.read_bytes()) <= 3


def test_a_detector_says_that_it_lives(guard, program, model, tmp_path):
    command = f"(echo x; sleep 3; seq 600) | {program} --live {model}"
    done = guard("--limit", 1, "--", "sh", "-c", command)
    assert done.returncode == 0 and '"samples": 600' in done.stdout


def test_being_asked_to_end_is_passed_on(program):
    child = "trap 'echo asked; exit 5' TERM; echo started; while :; do sleep 0.1; done"
    process = subprocess.Popen([program, "guard", "--", "sh", "-c", child], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "started\n"
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=30)[0] == "asked\n" and process.returncode == 5


def test_nothing_outlives_the_guard(program):
    child = "echo started; exec sleep 60"
    process = subprocess.Popen([program, "guard", "--", "sh", "-c", child], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "started\n"
    process.kill()
    assert process.communicate(timeout=30)[0] == ""  # the pipe's other end closes when the program is gone


@pytest.mark.parametrize(
    "arguments",
    [[], ["--"], ["sleep"], ["--limit", "0", "--", "true"], ["--limit", "x", "--", "true"], ["-x", "1", "--", "true"]],
)
def test_what_is_no_command(arguments, guard):
    done = guard(*arguments)
    assert done.returncode == 2 and "guard: expected [--watchdog DEVICE]" in done.stderr


def test_a_program_that_is_not_there(guard):
    done = guard("--", "no-such-program")
    assert done.returncode == 127 and "expected to start no-such-program" in done.stderr
