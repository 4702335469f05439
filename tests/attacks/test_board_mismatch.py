"""A bundle for another board, machine or word size: refused before it is sent, and again on the device."""

from dataclasses import replace

import pytest
from sanderling.export.bundle import Manifest

from sanderling.deploy import facts
from sanderling.errors import DeployError
from tests.deploy.conftest import WATCH
from tests.runner.driver import assert_refused

PI4 = facts.Facts(
    machine="aarch64", bits=64, compatible=("raspberrypi,4-model-b",), model="Raspberry Pi 4", board="rpi4b",
    glibc="2.36", system="Debian 12", systemd="252", root=False, sudo=True, free_kib=1 << 20,
)  # fmt: skip
FOR_PI4 = Manifest("p", 1, "aarch64", "neon", ("rpi3b", "rpi4b"))


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"board": "rpi5"}, r"expected one of the bundle's boards \(rpi3b, rpi4b\), found rpi5"),
        ({"board": "", "model": "Toaster"}, "found unknown .Toaster."),
        ({"machine": "x86_64"}, "expected aarch64, found x86_64"),
        ({"bits": 32}, "expected a 64-bit system, found a 32-bit one .kernel aarch64."),
        ({"machine": "armv7l", "bits": 32}, "found a 32-bit one .kernel armv7l."),
        ({"sudo": False}, "expected root or a sudo that asks nothing"),
        ({"free_kib": 100}, "KiB free, found 100"),
    ],
)
def test_before_it_is_sent(changes, part) -> None:
    facts.check(PI4, FOR_PI4, 1 << 20, "pi")
    with pytest.raises(DeployError, match=part):
        facts.check(replace(PI4, **changes), FOR_PI4, 1 << 20, "pi")


def test_on_the_device(board, unharmed, tmp_path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "compatible").write_bytes(b"raspberrypi,4-model-b\0brcm,bcm2711\0")
    words = ["slot", "install", board.bundle(2), "--state", board.state, "--device-tree", tree]
    assert_refused(board.run(*words), "expected a bundle for this board (rpi4b), found one for x86_64")
    unharmed()
    assert board.run(*words[:2], board.bundle(3), *words[3:], "--force").returncode == 0


def test_deploying(remote, root, key, make_bundle) -> None:
    from sanderling.deploy.deploy import Device

    (root / "proc/device-tree/compatible").write_bytes(b"raspberrypi,5-model-b\0brcm,bcm2712\0")
    device = Device(remote, root=str(root))
    assert device.facts.board == "rpi5"
    with pytest.raises(DeployError, match=r"boards \(x86_64\), found rpi5"):
        device.deploy(make_bundle(1), key[1], watch_s=WATCH)
    assert not (root / "var/lib/sanderling").exists()
