"""systemd's protocol: ready after the model is open, alive while nothing comes in, stopping at the end."""

import os
import socket
import subprocess

import pytest


@pytest.fixture
def manager(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(30)
        yield listener


def environment(manager: socket.socket, **more: str) -> dict[str, str]:
    return os.environ | {"NOTIFY_SOCKET": manager.getsockname(), **more}


def test_a_waiting_runner_says_that_it_lives(manager, program, model) -> None:
    command = [program, "--scores", str(model)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment(manager, WATCHDOG_USEC="20000")
    ) as running:
        assert running.stdin is not None
        assert manager.recv(100) == b"READY=1"
        # Nothing has been written to it: these come from waiting.
        assert [manager.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
        running.stdin.write(b"a\n1\n2\n")
        running.stdin.close()
        assert running.wait(30) == 0
    said = b""
    while said != b"STOPPING=1":
        said = manager.recv(100)
        assert said in {b"WATCHDOG=1", b"STOPPING=1"}


def test_a_model_that_does_not_open_is_never_ready(manager, program, tmp_path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF")
    command = [program, str(broken)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, env=environment(manager))
    assert done.returncode == 2
    assert manager.recv(100) == b"STOPPING=1"


@pytest.mark.parametrize("name", ["", "x", "@", "/nowhere/notify", "@nobody listens", "/" + "x" * 200])
def test_a_manager_that_is_not_there_is_no_error(name, program, model) -> None:
    done = subprocess.run(
        [program, "--scores", str(model)],
        input=b"a\n1\n",
        capture_output=True,
        env=os.environ | {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1000000"},
    )
    assert done.returncode == 0, done.stderr


def test_a_watchdog_for_another_process_is_not_ours(manager, program, model) -> None:
    extra = environment(manager, WATCHDOG_USEC="1000", WATCHDOG_PID="1")
    done = subprocess.run([program, str(model)], input=b"a\n1\n", capture_output=True, env=extra)
    assert done.returncode == 0
    assert [manager.recv(100), manager.recv(100)] == [b"READY=1", b"STOPPING=1"]
