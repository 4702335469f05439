"""Debian's packages and an image made of them, once for all tests; a stand-in where contents do not matter."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from sanderling.firmware_sim import image, packages, scenario

from tests.programs import environment, is_debian

pytest.importorskip("nacl", reason="PyNaCl is not installed; pip install 'sanderling[sign]'")


@pytest.fixture(scope="session")
def cache() -> Path:
    if not os.environ.get("SANDERLING_PACKAGES") and not is_debian():
        pytest.skip("the kernel and firmware of an image come from Debian; what fetches them comes from Debian 12")
    return Path(environment("SANDERLING_PACKAGES"))


@pytest.fixture(scope="session")
def debian(cache) -> packages.Packages:
    return packages.load(cache)


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> scenario.Scenario:
    """A bundle with the real runner, its key and a recording."""
    return scenario.make(tmp_path_factory.mktemp("scenario"), Path(environment("SANDERLING_RUNNER_ARM")), model="tiny")


@pytest.fixture(scope="session")
def card(tmp_path_factory, debian, made) -> image.Image:
    """The image of `made`."""
    return image.build(tmp_path_factory.mktemp("image") / "card.img", debian, made.bundle, made.key)


@pytest.fixture(scope="session")
def stand_in() -> packages.Packages:
    """Small files where an image wants large ones; their heads are right: the check of the boot chain passes."""
    kernel = bytearray(1024)
    kernel[16:24], kernel[56:60] = struct.pack("<Q", len(kernel)), b"ARM\x64"
    tree = b"\xd0\r\xfe\xed" + struct.pack(">I", 64) + bytes(56)
    files = {"vmlinuz": bytes(kernel), "bin/busybox": b"busybox", "bin/e2fsck": b"e2fsck", "modules/00-a.ko": b"module"}
    files |= {f"dtb/{name}.dtb": tree for name in packages.DEVICE_TREES}
    files |= {f"firmware/{name}": b"\x7fELF firmware" for name in packages.FIRMWARE}
    return packages.Packages(files, {"linux-image": "6.1"})
