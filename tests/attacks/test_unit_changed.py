"""Somebody edited the service's unit on the device: it is told, and the next version brings its own."""

import pytest

from sanderling.errors import DeployError
from tests.deploy.conftest import WATCH

UNIT = "usr/local/lib/systemd/system/sanderling.service"


def test_it_is_told_and_put_right(device, root, key, make_bundle) -> None:
    device.deploy(make_bundle(1), key[1], watch_s=WATCH)
    shipped = (root / UNIT).read_text()
    (root / UNIT).write_text(shipped.replace("DynamicUser=yes", "User=root"))
    assert device.status()["unit"] == "changed"
    assert device.deploy(make_bundle(2), key[1], watch_s=WATCH)["unit"] == "as shipped"
    assert (root / UNIT).read_text() == shipped
    (root / UNIT).unlink()
    assert device.status()["unit"] == "missing"


def test_a_unit_that_does_not_start_is_gone_again(device, root, key, make_bundle) -> None:
    device.deploy(make_bundle(1), key[1], watch_s=WATCH)
    unit = (root / UNIT).read_bytes()
    bad = unit.replace(b"slot next", b"slot fly")
    with pytest.raises(DeployError, match=r"rolled back to slot a, which is healthy"):
        device.deploy(make_bundle(2, sanderling__service=bad), key[1], watch_s=WATCH)
    assert (root / UNIT).read_bytes() == unit
    found = device.status()
    assert (found["service"], found["unit"], found["current"]) == ("active", "as shipped", "a")
