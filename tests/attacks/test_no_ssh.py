"""No way to the device: one line that says why, and exit status 2."""

import socket
import subprocess
import sys

import pytest

from sanderling.deploy.remote import Remote
from sanderling.errors import DependencyError, DeployError


def sanderling(*words: object, **options) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sanderling", "deploy", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def test_nobody_listens() -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        done = sanderling("root@127.0.0.1", "status", "--port", one.getsockname()[1])
    assert done.returncode == 2 and "Connection refused" in done.stderr and done.stderr.count("\n") == 1


def test_another_key_of_ssh(host, tmp_path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True)
    options = [str(tmp_path / "other") if "user" in word else word for word in host.options]
    with Remote(host.host, options) as remote, pytest.raises(DeployError, match="Permission denied"):
        remote.try_run("true")


def test_no_such_host() -> None:
    done = sanderling("root@nowhere.invalid", "status")
    assert done.returncode == 2 and "check host, key and network" in done.stderr


def test_no_ssh_here(monkeypatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DependencyError, match="openssh-client"):
        Remote("root@board")


@pytest.mark.parametrize("name", ["", "-oProxyCommand=touch x"])
def test_a_host_that_is_an_option(name) -> None:
    with pytest.raises(DeployError, match="expected user@host"):
        Remote(name)


def test_words_are_words(host) -> None:
    with host.remote() as remote:
        word = 'a b\'; exit 3; $(exit 4) `exit 5` \\ "x" *'
        assert remote.try_run("printf", "%s", word).stdout == word


def test_what_the_command_line_refuses(tmp_path) -> None:
    assert "expected --key PUBLIC_KEY with a bundle" in sanderling("root@board", tmp_path / "x.bundle").stderr
    done = sanderling("root@board", tmp_path / "x.bundle", "--key", tmp_path / "k")
    assert done.returncode == 2 and "found no such file" in done.stderr
    assert "seconds from 0 to 3600" in sanderling("root@board", "status", "--watch", 0).stderr
