"""An sshd, bundles of several versions, and a device for every test."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sanderling.export import bundle, minisign
from sanderling.export.unit import unit_file

from sanderling.boards import load_board
from sanderling.deploy.deploy import Device
from sanderling.deploy.remote import Remote
from tests.helpers.device import Host, make_root, serve, sshd
from tests.programs import environment

pytest.importorskip("nacl", reason="PyNaCl is not installed; pip install 'sanderling[sign]'")
NAME = "pump"
WATCH = 0.3  # seconds that count as healthy here


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    if sshd() is None:
        pytest.skip("sshd is not installed; `make test` installs openssh-server")
    with serve(tmp_path_factory.mktemp("sshd") / "s") as found:
        yield found


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> tuple[minisign.SecretKey, Path]:
    """A secret key, and its public key's file."""
    secret, path = minisign.generate(), tmp_path_factory.mktemp("key") / "pump.pub"
    minisign.write_public(path, secret.public)
    return secret, path


@pytest.fixture(scope="session")
def make_bundle(key, model_path, tmp_path_factory) -> Callable[..., Path]:
    """make_bundle(version, board="x86_64", name="pump", **parts) -> its file; parts by name replace the usual ones."""
    runner = Path(environment("SANDERLING_RUNNER")).read_bytes()
    folder = tmp_path_factory.mktemp("bundles")

    def make(version: int, board: str = "x86_64", name: str = NAME, secret=key[0], **parts: bytes) -> Path:
        usual = {
            bundle.MODEL: model_path.read_bytes(),
            bundle.RUNNER: runner,
            bundle.UNIT: unit_file(name).encode(),
        }
        given = {part.replace("__", "."): data for part, data in parts.items()}
        path = folder / f"{name}-{version}-{len(list(folder.iterdir()))}.bundle"
        bundle.create(path, usual | given, name=name, version=version, boards=[load_board(board)], key=secret)
        return path

    return make


@pytest.fixture
def root(host: Host, tmp_path: Path) -> Iterator[Path]:
    """A device's /, with a pipe that a sensor holds open and never writes to."""
    folder = make_root(tmp_path / "r", host)
    (folder / "samples").parent.mkdir(exist_ok=True)
    os.mkfifo(folder / "samples")
    sensor = os.open(folder / "samples", os.O_RDWR)
    (folder / "etc" / "sanderling").mkdir()
    (folder / "etc" / "sanderling" / f"{NAME}.env").write_text(f"SANDERLING_INPUT={folder}/samples\n")
    yield folder
    subprocess.run([host.bin / "systemctl", "stop", "sanderling.service"], check=True)
    os.close(sensor)


@pytest.fixture
def remote(host: Host) -> Iterator[Remote]:
    with host.remote() as found:
        yield found


@pytest.fixture
def device(remote: Remote, root: Path) -> Device:
    return Device(remote, root=str(root))
