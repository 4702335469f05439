"""A bundle by another key: refused by every verb, on the desk and on the device."""

import subprocess
import sys

import pytest
from sanderling.export import minisign

from sanderling.errors import DeployError, SignatureError
from tests.deploy.conftest import WATCH
from tests.runner.driver import assert_refused

UNKNOWN = "expected a key that this device trusts"


@pytest.fixture
def stranger(tmp_path):
    """Another pair: its secret key and its public key's file."""
    secret = minisign.generate()
    minisign.write_public(tmp_path / "stranger.pub", secret.public)
    return secret, tmp_path / "stranger.pub"


def test_the_runner(board, unharmed, stranger) -> None:
    secret, public = stranger
    path = board.bundle(2, secret=secret)
    assert_refused(board.run("bundle", "verify", path, "--key", board.key), "expected a signature by key")
    assert_refused(board.slot("install", path), "expected a signature by key")
    assert_refused(board.slot("install", path, "--force"), "expected a signature by key")
    # The right signature with a key that this device doesn't know is no better.
    assert_refused(board.slot("install", path, "--key", public), UNKNOWN)
    assert_refused(board.slot("install", path, "--key", public, "--confirmed"), UNKNOWN)
    unharmed()


def test_another_key_under_the_same_name(board, unharmed, tmp_path) -> None:
    forged = minisign.SecretKey(board.secret.key_id, minisign.generate().key)
    path = board.bundle(2, secret=forged)
    assert_refused(board.run("bundle", "verify", path, "--key", board.key), "found altered ones")
    assert_refused(board.slot("install", path), "found altered ones")
    minisign.write_public(tmp_path / "forged.pub", forged.public)
    assert_refused(board.slot("install", path, "--key", tmp_path / "forged.pub"), UNKNOWN)
    unharmed()


HEAD = "untrusted comment: x\n"


@pytest.mark.parametrize("text", ["", HEAD, HEAD + "RWQ=\n", "\0" * 200, "x" * 20000])
def test_what_is_no_key(board, unharmed, text, tmp_path) -> None:
    (tmp_path / "bad.pub").write_text(text)
    for words in (("bundle", "verify", board.bundle(2)), ("slot", "install", board.bundle(2), "--state", board.state)):
        assert_refused(board.run(*words, "--key", tmp_path / "bad.pub"), "expected")
    unharmed()


@pytest.mark.parametrize("verb", ["verify", "unpack"])
def test_the_desk(board, stranger, verb, tmp_path) -> None:
    words = [sys.executable, "-m", "sanderling", "bundle", verb, board.bundle(2), "--key", stranger[1]]
    more = ["-o", tmp_path / "out"] if verb == "unpack" else []
    done = subprocess.run([*map(str, words), *map(str, more)], capture_output=True, text=True)
    assert done.returncode == 2 and "expected a signature by key" in done.stderr
    assert not (tmp_path / "out").exists()


def test_deploying(device, key, make_bundle, stranger) -> None:
    device.deploy(make_bundle(1), key[1], watch_s=WATCH)
    before = device.history()
    with pytest.raises(SignatureError, match="expected a signature by key"):
        device.deploy(make_bundle(2, secret=stranger[0]), key[1], watch_s=WATCH)
    assert device.history() == before
    with pytest.raises(DeployError, match=UNKNOWN):
        device.deploy(make_bundle(2, secret=stranger[0]), stranger[1], watch_s=WATCH)
    found = device.status()
    assert (found["active"], found["a_version"], found["service"], found["trial"]) == ("a", 1, "active", "")
