"""Power lost between any two commands of a deployment: an old or a new version runs after the reboot, and the same
deployment done again goes through. Cuts within a command: firmware_sim/sweep.py."""

import shutil
from pathlib import Path

import pytest

from sanderling.deploy.deploy import Device
from sanderling.deploy.remote import Remote
from sanderling.deploy.service import CONFIRMED, TRIAL, UNIT
from sanderling.errors import DeployError
from tests.deploy.conftest import WATCH

STEPS = 13  # commands of a deployment, questions to systemd aside: mkdir, 3 copies, install, rm, unit, restart, status,
INSTALLED, CONFIRMED_AT, IN_PLACE = 5, 10, 11  # confirm, unit, 2 for the status


def cut(remote: Remote, after: int, monkeypatch) -> list[tuple[str, ...]]:
    """The power is lost after so many commands; returns those that were run."""
    ran: list[tuple[str, ...]] = []
    usual = remote.try_run

    def try_run(*command, **more):
        if len(ran) >= after:
            raise DeployError("the power is gone")
        if "show" not in command:
            ran.append(command)
        return usual(*command, **more)

    monkeypatch.setattr(remote, "try_run", try_run)
    return ran


def reboot(root: Path, device: Device) -> None:
    """What a boot does: /run is empty, and the confirmed unit, if there is one, is started."""
    device.service.stop()
    shutil.rmtree(f"{root}{TRIAL}", ignore_errors=True)
    if Path(f"{root}{CONFIRMED}/{UNIT}").exists():
        device.service.restart()


def version(device: Device) -> int:
    found = device.status()
    return found[f"{found['current']}_version"] if found["service"] == "active" else 0


CASES = [(before, after) for after in range(STEPS) for before in (0, 1)]  # the first version, or an update
QUICK = [(0, CONFIRMED_AT)]


@pytest.mark.parametrize(
    ("before", "after"), [*QUICK, *(pytest.param(*one, marks=pytest.mark.slow) for one in CASES if one not in QUICK)]
)
def test_power_is_lost_between_two_commands(before, after, device, root, key, make_bundle, monkeypatch) -> None:
    if before:
        device.deploy(make_bundle(before), key[1], watch_s=WATCH)
    new = make_bundle(before + 1)
    with monkeypatch.context() as patch:
        ran = cut(device.remote, after, patch)
        with pytest.raises(DeployError, match="the power is gone"):
            device.deploy(new, key[1], watch_s=WATCH)
        assert len(ran) == after
    reboot(root, device)
    if before or after >= IN_PLACE:
        assert version(device) in (before, before + 1)
    if INSTALLED <= after < CONFIRMED_AT:
        with pytest.raises(DeployError, match="expected no trial"):
            device.deploy(new, key[1], watch_s=WATCH)
        device.rollback(watch_s=WATCH)
        assert version(device) == before
    found = device.deploy(new, key[1], watch_s=WATCH)
    assert (version(device), found["unit"], found["service"]) == (before + 1, "as shipped", "active")


def test_a_deployment_has_so_many_commands(device, key, make_bundle, monkeypatch) -> None:
    ran = cut(device.remote, STEPS, monkeypatch)
    device.deploy(make_bundle(1), key[1], watch_s=WATCH)
    assert len(ran) == STEPS
    assert [n for n, words in enumerate(ran, 1) if "install" in words] == [INSTALLED]
    assert [n for n, words in enumerate(ran, 1) if "confirm" in words] == [CONFIRMED_AT]
