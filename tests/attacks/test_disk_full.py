"""No room, at any point of the way: one line, and the running version stays.

A limit on the size of files stands for the full disk (EFBIG instead of ENOSPC): it needs no rights.
"""

import resource
import signal

import pytest

from sanderling.errors import DeployError
from tests.deploy.conftest import WATCH
from tests.runner.driver import assert_refused


def limited(size: int):
    """For subprocess: no file grows beyond so many bytes, and that is an error and no signal."""

    def prepare() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return {"preexec_fn": prepare, "restore_signals": False}


@pytest.mark.parametrize("room", [0, 1, 100, 5000, 100_000, 1_000_000])
def test_installing(board, unharmed, room) -> None:
    assert_refused(board.slot("install", board.bundle(2), **limited(room)), "File too large")
    # What was written of it takes no room either.
    assert list((board.state / "slots" / "b").glob("*")) == []
    unharmed()


@pytest.mark.parametrize("verb", ["confirm", "rollback"])
def test_the_other_verbs(board, verb) -> None:
    board.install(2)
    board.good("next")
    assert_refused(board.slot(verb, **limited(0)), "File too large")
    assert board.good("status")["trial"] == "b"
    assert board.good(verb)["active"] in "ab"


def test_starting(board) -> None:
    board.install(2)
    done = board.slot("next", **limited(0))
    assert done.returncode == 0 and done.stdout.endswith(b"slots/a\n")  # its starts could not be counted
    assert board.good("next") == {"next": "b"}


def test_deploying(device, host, key, make_bundle) -> None:
    device.deploy(make_bundle(1), key[1], watch_s=WATCH)
    cat = host.bin / "cat"
    cat.write_text('#!/bin/sh\nhead -c 1000\necho "cat: No space left on device" >&2\nexit 1\n')
    cat.chmod(0o755)
    try:
        with pytest.raises(DeployError, match="expected to write .*incoming/bundle, found: cat: No space left"):
            device.deploy(make_bundle(2), key[1], watch_s=WATCH)
    finally:
        cat.unlink()
    found = device.status()
    assert (found["active"], found["service"], found["trial"]) == ("a", "active", "")
    device.deploy(make_bundle(2), key[1], watch_s=WATCH)
