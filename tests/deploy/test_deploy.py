"""Deploying over a real sshd to a folder that stands for a device, its services started for real by a stand-in."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from sanderling.export.unit import STATE

from sanderling.deploy.deploy import Device
from sanderling.errors import DeployError
from tests.deploy.conftest import WATCH

UNIT = "usr/local/lib/systemd/system/sanderling.service"
TRIAL = "run/systemd/system/sanderling.service"


def running(root: Path, device: Device) -> str:
    """The version that the service runs, by the slot that its process was started from."""
    assert device.service.shown()["ActiveState"] == "active"
    found = json.loads(
        subprocess.run(
            [f"{root}{STATE}/bin/sanderling-run", "slot", "status", "--state", f"{root}{STATE}"],
            capture_output=True,
            check=True,
        ).stdout
    )
    return f"{found['current']} {found[found['current'] + '_version']}"


def test_three_versions_and_one_back(device, root, key, make_bundle) -> None:
    found = device.deploy(make_bundle(1), key[1], watch_s=WATCH)
    assert (found["active"], found["a_version"], found["service"], found["unit"]) == ("a", 1, "active", "as shipped")
    assert (root / UNIT).is_file() and not (root / TRIAL).exists()
    device.deploy(make_bundle(2), key[1], watch_s=WATCH)
    assert running(root, device) == "b 2"
    found = device.deploy(make_bundle(3), key[1], watch_s=WATCH)
    assert (found["active"], found["trial"], found["a_version"], found["b_version"]) == ("a", "", 3, 2)
    assert device.rollback(watch_s=WATCH)["active"] == "b"
    assert running(root, device) == "b 2"
    events = [event["event"] for event in device.history()]
    assert events == ["install", "start", "confirm"] * 3 + ["rollback"]
    assert [event["seq"] for event in device.history()] == list(range(1, 11))
    assert not (root / STATE[1:] / "incoming").exists()


def test_the_active_bundle_again_is_no_event(device, root, key, make_bundle) -> None:
    path = make_bundle(1)
    device.deploy(path, key[1], watch_s=WATCH)
    before = device.history()
    assert device.deploy(path, key[1], watch_s=WATCH)["active"] == "a"
    assert device.history() == before


def test_a_version_that_does_not_become_healthy_goes_back(device, root, key, make_bundle) -> None:
    device.deploy(make_bundle(1), key[1], watch_s=WATCH)
    # It passes its selftest and never gets samples: the unit names an input that isn't there.
    unit = (root / UNIT).read_text().replace("${SANDERLING_INPUT}", "/nowhere")
    with pytest.raises(DeployError, match=r"input is lost: /nowhere: No such file.*back to slot a, which is healthy"):
        device.deploy(make_bundle(2, sanderling__service=unit.encode()), key[1], watch_s=WATCH)
    assert running(root, device) == "a 1"
    found = device.status()
    assert (found["unit"], found["trial"], found["trial_ended"]) == ("as shipped", "b", True)
    assert not (root / TRIAL).exists()
    with pytest.raises(DeployError, match="whose trial failed"):
        device.rollback(watch_s=WATCH)
    device.deploy(make_bundle(3), key[1], watch_s=WATCH)
    assert running(root, device) == "b 3"


def test_a_version_that_ends_goes_back(device, root, key, make_bundle) -> None:
    device.deploy(make_bundle(1), key[1], watch_s=WATCH)
    (root / "ends.csv").write_text("a\n1\n2\n")
    unit = (root / UNIT).read_text().replace("${SANDERLING_INPUT}", f"{root}/ends.csv")
    with pytest.raises(DeployError, match=r"to be healthy, found: it (was restarted|is).*rolled back to slot a"):
        device.deploy(make_bundle(2, sanderling__service=unit.encode()), key[1], watch_s=WATCH)
    assert running(root, device) == "a 1"


def test_a_first_version_that_is_not_healthy_leaves_nothing_running(device, root, key, make_bundle) -> None:
    (root / "etc/sanderling/pump.env").write_text("SANDERLING_INPUT=/nowhere\n")
    with pytest.raises(DeployError, match="there is no version before it: the service is stopped"):
        device.deploy(make_bundle(1), key[1], watch_s=WATCH)
    assert device.service.shown()["ActiveState"] == "inactive"
    assert not (root / UNIT).exists()


def test_the_input_is_set(device, root, key, make_bundle) -> None:
    (root / "etc/sanderling/pump.env").unlink()
    device.deploy(make_bundle(1), key[1], watch_s=WATCH, input_path=f"{root}/samples")
    assert (root / "etc/sanderling/pump.env").read_text() == f"SANDERLING_INPUT={root}/samples\n"
    assert running(root, device) == "a 1"


def test_a_pipe_that_nobody_writes_to_is_healthy(device, root, key, make_bundle, tmp_path) -> None:
    os.mkfifo(tmp_path / "idle")
    device.deploy(make_bundle(1), key[1], watch_s=WATCH, input_path=str(tmp_path / "idle"))
    assert running(root, device) == "a 1"
    # It goes on where a writer comes and leaves: a restart would have come with the end of the first.
    for _ in range(2):
        (tmp_path / "idle").write_text("a\n" + "1\n" * 64)
    assert device.service.watch(WATCH).good and device.service.shown()["NRestarts"] == "0"


def test_an_input_that_is_wrong_is_taken_back(device, root, key, make_bundle) -> None:
    env = root / "etc/sanderling/pump.env"
    env.write_text(f"SANDERLING_OPTIONS=--scores\nSANDERLING_INPUT={root}/samples\n")
    before = env.read_text()
    device.deploy(make_bundle(1), key[1], watch_s=WATCH)
    with pytest.raises(DeployError, match="found: .*/nothing.*rolled back to slot a, which is healthy"):
        device.deploy(make_bundle(2), key[1], watch_s=WATCH, input_path="/nothing")
    assert env.read_text() == before and running(root, device) == "a 1"


def test_without_a_service(device, root, key, make_bundle) -> None:
    found = device.deploy(make_bundle(1), key[1], with_service=False)
    assert (found["active"], found["trial"], found["service"]) == ("a", "", "inactive")


def test_nothing_is_installed_yet(device) -> None:
    for ask in (device.status, device.rollback, device.history):
        with pytest.raises(DeployError, match="no version in .*; deploy a bundle"):
            ask()


@pytest.mark.slow
def test_a_key_that_a_bundle_brings_signs_the_next(device, root, key, make_bundle, tmp_path) -> None:
    from sanderling.export import minisign

    new = minisign.generate()
    minisign.write_public(tmp_path / "new.pub", new.public)
    device.deploy(make_bundle(1), key[1], watch_s=WATCH)
    with pytest.raises(DeployError, match="expected a key that this device trusts"):
        device.deploy(make_bundle(2, secret=new), tmp_path / "new.pub", watch_s=WATCH)
    device.deploy(make_bundle(2, new__pub=(tmp_path / "new.pub").read_bytes()), key[1], watch_s=WATCH)
    device.deploy(make_bundle(3, secret=new), tmp_path / "new.pub", watch_s=WATCH)
    assert running(root, device) == "a 3"
