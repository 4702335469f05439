"""The connection ends in the middle: an error here, and there the old version runs on or comes back."""

import sys

import pytest

from sanderling.errors import DeployError
from tests.deploy.conftest import WATCH
from tests.helpers.device import write_program

# Ends the sshd process that serves this connection.
VANISH = f"""#!{sys.executable} -ISE
import os, signal
def parent(pid):
    return int(open(f"/proc/{{pid}}/stat").read().rpartition(")")[2].split()[1])
pid = os.getpid()
while not open(f"/proc/{{pid}}/comm").read().startswith("sshd"):
    pid = parent(pid)
os.kill(pid, signal.SIGKILL)
"""


def test_while_it_is_copied(device, host, key, make_bundle, root) -> None:
    device.deploy(make_bundle(1), key[1], watch_s=WATCH)
    write_program(host.bin / "cat", VANISH)
    try:
        with pytest.raises(DeployError, match="expected a connection, found"):
            device.deploy(make_bundle(2), key[1], watch_s=WATCH)
    finally:
        (host.bin / "cat").unlink()
    found = device.status()
    assert (found["active"], found["service"], found["trial"]) == ("a", "active", "")
    device.deploy(make_bundle(2), key[1], watch_s=WATCH)
    assert not (root / "var/lib/sanderling/incoming").exists()


def test_while_it_is_watched(device, host, key, make_bundle, root) -> None:
    device.deploy(make_bundle(1), key[1], watch_s=WATCH)
    usual = (host.bin / "systemctl").read_text()
    write_program(host.bin / "gone", VANISH)
    write_program(host.bin / "systemctl", usual.replace("case ", 'case "$1" in show) exec gone;; esac; case ', 1))
    try:
        with pytest.raises(DeployError, match="expected a connection, found"):
            device.deploy(make_bundle(2), key[1], watch_s=WATCH)
    finally:
        write_program(host.bin / "systemctl", usual)
    assert device.status()["trial"] == "b"
    # Nobody comes to confirm it: at the latest after the starts that it has left, the old version is back.
    for _ in range(3):
        device.service.restart()
    found = device.status()
    assert (found["active"], found["current"], found["trial_ended"]) == ("a", "a", True)
    assert device.history()[-1]["event"] == "failed"
