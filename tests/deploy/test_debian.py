"""Deploying to a whole Debian for arm64, with its own systemd, sshd and sudo, on an emulated Raspberry Pi 4B."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from sanderling.export import bundle
from sanderling.export.unit import STATE, unit_file
from sanderling.firmware_sim import image, scenario, watch

from sanderling.boards import load_board
from sanderling.deploy.deploy import Device
from sanderling.errors import DeployError
from tests.helpers import debian_board
from tests.helpers.debian_board import DebianBoard
from tests.programs import environment, is_debian

pytestmark = pytest.mark.slow
NAME = "pump"
WATCH = 4.0
SMALL_MIB = 32
SERVICE = "sanderling.service"


@pytest.fixture(scope="module")
def system() -> Path:
    if not os.environ.get("SANDERLING_ARM_SYSTEM") and not is_debian():
        pytest.skip("the emulated machine's system comes from Debian's packages")
    return Path(environment("SANDERLING_ARM_SYSTEM"))


@pytest.fixture(scope="module")
def board(system: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianBoard]:
    folder = tmp_path_factory.mktemp("debian")
    with (folder / "small.img").open("wb") as file:
        file.truncate(SMALL_MIB << 20)
    command = ["mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-L", "small", str(folder / "small.img")]
    subprocess.run(command, env={"PATH": image.PATH}, check=True)
    with debian_board.start(system, folder, folder / "small.img") as found:
        yield found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> scenario.Scenario:
    """A calibrated model and a recording with alarms."""
    runner = Path(environment("SANDERLING_RUNNER_ARM"))
    return scenario.make(tmp_path_factory.mktemp("scenario"), runner, model="tiny")


@pytest.fixture(scope="module")
def newer(made, key, tmp_path_factory) -> Callable[..., Path]:
    """newer(**parts) -> a bundle of a version above all before; parts by name replace the usual ones."""
    folder, versions = tmp_path_factory.mktemp("bundles"), count(1)

    def make(**parts: bytes) -> Path:
        usual = {
            bundle.MODEL: (made.bundle.parent / "pump.gguf").read_bytes(),
            bundle.RUNNER: Path(environment("SANDERLING_RUNNER_ARM")).read_bytes(),
            bundle.UNIT: unit_file(NAME).encode(),
        }
        given = {part.replace("__", "."): data for part, data in parts.items()}
        version = next(versions)
        path = folder / f"{version}.bundle"
        boards = [load_board(debian_board.BOARD)]
        bundle.create(path, usual | given, name=NAME, version=version, boards=boards, key=key[0])
        return path

    return make


@pytest.fixture
def device(board: DebianBoard) -> Iterator[Device]:
    with board.remote() as remote:
        yield Device(remote)


def version(path: Path) -> int:
    return int(path.stem)


def running(device: Device) -> int:
    found = device.status()
    assert (found["service"], found["unit"], found["board"]) == ("active", "as shipped", debian_board.BOARD)
    return found[f"{found['current']}_version"]


def properties(board: DebianBoard, *names: str) -> dict[str, str]:
    text = board.run(f"systemctl show {SERVICE} --property={','.join(names)}")
    return dict(line.split("=", 1) for line in text.splitlines())


def events(board: DebianBoard) -> list[dict]:
    """The detector's lines since its last start."""
    text = board.run(f"journalctl -u {SERVICE} -o cat --no-pager _PID=$(systemctl show -P MainPID {SERVICE})")
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def test_the_service_is_closed_off(board, device, key, newer) -> None:
    """Nobody writes to its pipe yet, and that is healthy."""
    path = newer()
    device.deploy(path, key[1], watch_s=WATCH)
    assert running(device) == version(path)
    shown = properties(board, "Type", "DynamicUser", "WatchdogUSec", "StatusText", "NRestarts", "MainPID")
    assert (shown["Type"], shown["DynamicUser"], shown["WatchdogUSec"]) == ("notify", "yes", "30s")
    assert re.match(r"(ok|stalled) \(/run/sanderling-pump/samples\)", shown["StatusText"])
    status = board.run(f"cat /proc/{shown['MainPID']}/status")
    facts = dict(re.findall(r"^(\w+):\t(\S+)", status, re.M))
    assert 61184 <= int(facts["Uid"]) <= 65519  # systemd's range of dynamic users
    assert (facts["NoNewPrivs"], facts["Seccomp"]) == ("1", "2") and int(facts["CapEff"], 16) == 0
    for unit in (SERVICE, f"--offline=true {STATE}/current/{SERVICE}"):
        said = board.run(f"systemd-analyze security --no-pager {unit}")
        exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
        assert exposure and float(exposure[1]) <= 2.0
    board.run(f"systemd-analyze verify {STATE}/current/{SERVICE}")


def test_its_scores_are_the_desktops(board, device, key, newer, made) -> None:
    board.run(f"mkdir -p /etc/sanderling; echo SANDERLING_OPTIONS=--scores > /etc/sanderling/{NAME}.env")
    device.deploy(newer(), key[1], watch_s=WATCH)
    device.remote.write("/run/samples.csv", file=made.recording)
    board.run(f"cat /run/samples.csv > /run/sanderling-{NAME}/samples")
    wanted = watch.desktop(made.bundle.parent / "pump.gguf", made.recording)
    watched = watch.Watched()
    board.run(f"rm /etc/sanderling/{NAME}.env")
    for _ in range(60):
        watched = watch.Watched()
        for line in events(board):
            watched.take(line)
        if len(watched.scores) == len(wanted.scores):
            break
    equal, alarms = watched.compare(wanted)
    assert equal and alarms == wanted.alarms and len(np.unique(wanted.scores)) > 100


def test_a_bad_version_goes_back(board, device, key, newer) -> None:
    good = newer()
    device.deploy(good, key[1], watch_s=WATCH)
    unit = unit_file(NAME).replace("${SANDERLING_INPUT}", "/nowhere").encode()
    with pytest.raises(DeployError, match=r"input is lost: /nowhere: No such file.*rolled back .* which is healthy"):
        device.deploy(newer(sanderling__service=unit), key[1], watch_s=WATCH)
    assert running(device) == version(good)
    # Systemd itself cannot start this one.
    unit = unit_file(NAME).replace("Type=notify", "Type=notify\nExecStartPre=/bin/false").encode()
    with pytest.raises(DeployError, match=r"expected the new version to be healthy.*rolled back .* which is healthy"):
        device.deploy(newer(sanderling__service=unit), key[1], watch_s=WATCH)
    assert running(device) == version(good)
    with pytest.raises(DeployError, match="whose trial failed"):
        device.rollback(watch_s=WATCH)
    better = newer()
    device.deploy(better, key[1], watch_s=WATCH)
    assert device.rollback(watch_s=WATCH)["service"] == "active"
    assert running(device) == version(good)
    assert [event["event"] for event in device.history()][-2:] == ["confirm", "rollback"]


def test_a_detector_that_hangs_is_started_again(board, device, key, newer) -> None:
    device.deploy(newer(), key[1], watch_s=WATCH)
    place = f"/run/systemd/system/{SERVICE}.d"
    board.run(f"mkdir -p {place}; printf \"[Service]\\nWatchdogSec=2\\nTimeoutAbortSec=2\\n\" > {place}/soon.conf")
    board.run(f"systemctl daemon-reload; systemctl restart {SERVICE}")
    first = properties(board, "MainPID")["MainPID"]
    board.run(f"kill -STOP {first}")
    for _ in range(60):
        shown = properties(board, "MainPID", "NRestarts", "ActiveState")
        if shown["NRestarts"] == "1" and shown["ActiveState"] == "active":
            break
    assert shown["NRestarts"] == "1" and shown["MainPID"] not in {"0", first}
    assert "Watchdog timeout" in board.run(f"journalctl -u {SERVICE} -o cat --no-pager")
    board.run(f"rm -r {place}; systemctl daemon-reload; systemctl restart {SERVICE}")


def test_the_clock_says_1970(board, device, key, newer) -> None:
    now = board.run("date +%s").strip()
    board.run("date -s @86400")
    try:
        path = newer()
        device.deploy(path, key[1], watch_s=WATCH)
        assert running(device) == version(path)
        assert board.run("date +%Y").strip() == "1970"
    finally:
        board.run(f"date -s @{now}")


def test_power_is_lost(board, device, key, newer, monkeypatch) -> None:
    """In the middle of a trial, just after a first confirmation: the trial's unit is gone, its starts are counted."""

    class PowerCut(Exception):
        pass

    def cut(*_: object) -> None:
        board.reboot()
        raise PowerCut

    good = newer()
    board.run(f"systemctl disable {SERVICE}; sync")  # as before a first deployment
    device.deploy(good, key[1], watch_s=WATCH)
    monkeypatch.setattr(device.service, "watch", cut)
    with pytest.raises(PowerCut):
        device.deploy(newer(), key[1], watch_s=WATCH)
    with board.remote() as remote:
        again = Device(remote)
        found = again.status()
        assert found[f"{found['active']}_version"] == version(good)
        assert (found["service"], found["trial"], found["starts_left"]) == ("active", found["current"], 1)
        board.run(f"test ! -e /run/systemd/system/{SERVICE}")
        again.rollback(watch_s=WATCH)
        assert running(again) == version(good)


def test_the_disk_is_full(board, device, key, newer) -> None:
    """A small file system: refused before anything is sent; in the middle of an installation; at a start."""
    board.run(f"systemctl stop {SERVICE}; mkdir -p {STATE}; mount -L small {STATE}")
    try:
        good = newer()
        device.deploy(good, key[1], watch_s=WATCH)
        better = newer()
        for target, file in (("b", better), ("k", key[1])):
            device.remote.write(f"/run/{target}", file=file)
        free = int(board.run(f"df -Pk {STATE} | tail -n 1").split()[3])
        board.run(f"head -c {free - 1024}K /dev/zero > {STATE}/fill")
        with pytest.raises(DeployError, match=r"expected \d+ KiB free, found \d{3,4}; make room there"):
            Device(device.remote).deploy(better, key[1], watch_s=WATCH)
        done = board.ssh(f"{STATE}/bin/sanderling-run slot install /run/b --state {STATE} --key /run/k")
        assert done.returncode == 2 and done.stderr.count("\n") == 1 and "No space left on device" in done.stderr
        assert running(device) == version(good)
        board.ssh(f"cat /dev/zero >> {STATE}/fill")
        assert int(board.run(f"df -Pk {STATE} | tail -n 1").split()[3]) < 4  # too little for any file
        board.run(f"systemctl restart {SERVICE}")
        assert device.service.watch(WATCH).good and running(device) == version(good)
        board.run(f"rm {STATE}/fill")
        device.deploy(better, key[1], watch_s=WATCH)
        assert running(device) == version(better)
    finally:
        board.ssh(f"systemctl stop {SERVICE}; umount {STATE}")
