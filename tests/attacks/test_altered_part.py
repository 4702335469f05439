"""A bundle with a changed byte anywhere: refused, and the running version stays."""

import pytest
from sanderling.export import bundle

from sanderling.errors import BundleError
from tests.deploy.conftest import WATCH
from tests.runner.driver import assert_refused


def places(path) -> dict[str, int]:
    """A byte in the header, in the middle and in the padding of every member, and in the archive's end."""
    raw = path.read_bytes()
    found, at = {}, 0
    while raw[at] != 0:
        name, size = bundle._parse_header(raw[at : at + 512], "")
        found |= {f"{name} header": at + 130, f"{name} body": at + 512 + size // 2}
        end = at + 512 + -(-size // 512) * 512
        if size % 512:
            found[f"{name} padding"] = end - 1
        at = end
    return found | {"end": len(raw) - 1}


def test_every_part(board, unharmed) -> None:
    path = board.bundle(2)
    raw = path.read_bytes()
    for place, at in places(path).items():
        changed = bytearray(raw)
        changed[at] ^= 4
        path.write_bytes(changed)
        for words in (("bundle", "verify", path, "--key", board.key), ("bundle", "inspect", path)):
            done = board.run(*words)
            # Without a key nobody can tell that the signature is another one.
            assert done.returncode == 2 or (place == f"{bundle.SIGNATURE} body" and words[1] == "inspect"), place
        assert_refused(board.slot("install", path, "--force"), "expected")
        assert board.version() == 1, place
    path.unlink()
    unharmed()


def test_deploying_sends_nothing(device, key, make_bundle, root) -> None:
    device.deploy(make_bundle(1), key[1], watch_s=WATCH)
    path = make_bundle(2)
    raw = bytearray(path.read_bytes())
    raw[-5000] ^= 1
    path.write_bytes(raw)
    before = device.history()
    with pytest.raises(BundleError, match="altered bytes"):
        device.deploy(path, key[1], watch_s=WATCH)
    assert device.history() == before and device.status()["service"] == "active"


def test_altered_on_its_way(device, host, key, make_bundle) -> None:
    device.deploy(make_bundle(1), key[1], watch_s=WATCH)
    cat = host.bin / "cat"
    cat.write_text("#!/bin/sh\nexec tr m M\n")
    cat.chmod(0o755)
    try:
        with pytest.raises(Exception, match="expected"):
            device.deploy(make_bundle(2), key[1], watch_s=WATCH)
    finally:
        cat.unlink()
    found = device.status()
    assert (found["active"], found["a_version"], found["service"], found["trial"]) == ("a", 1, "active", "")
