"""An old version, signed and whole: refused unless forced."""

import pytest

from sanderling.errors import DeployError
from tests.deploy.conftest import WATCH
from tests.runner.driver import assert_refused


def test_the_runner(board) -> None:
    board.update(3)
    for version in (1, 2, 3):
        refused = board.slot("install", board.bundle(version, model__gguf=board.model.read_bytes() + b""))
        if version < 3:
            assert_refused(refused, f"expected a version above 3, which is active, found {version}")
    other = board.bundle(3, sanderling__service=b"[Unit]\n# another\n")
    assert_refused(board.slot("install", other), "expected a version above 3, which is active, found 3")
    assert board.version() == 3
    assert board.good("install", board.bundle(2), "--force")["version"] == 2


def test_another_name(board, unharmed) -> None:
    assert_refused(board.slot("install", board.bundle(2, name="fan")), "expected a bundle named 'p' as the one here")
    unharmed()


def test_deploying(device, key, make_bundle) -> None:
    device.deploy(make_bundle(5), key[1], watch_s=WATCH)
    with pytest.raises(DeployError, match="expected a version above 5, which is active, found 4"):
        device.deploy(make_bundle(4), key[1], watch_s=WATCH)
    assert device.history()[-1]["event"] == "refused"
    assert device.status()["a_version"] == 5
    assert device.deploy(make_bundle(4), key[1], watch_s=WATCH, force=True)["b_version"] == 4
