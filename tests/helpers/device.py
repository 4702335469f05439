"""A device for the tests of deploying: a folder as its /, behind a real sshd on this machine."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sanderling.deploy.remote import Remote

SYSTEMCTL = Path(__file__).with_name("fake_systemctl.py")
CONFIG = """
ListenAddress 127.0.0.1:{port}
HostKey {folder}/host
PidFile none
AuthorizedKeysFile {folder}/user.pub
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PermitRootLogin yes
SetEnv PATH={folder}/bin:{path}
"""


def sshd() -> str | None:
    """The program; it insists on an absolute path, and may be outside PATH."""
    return shutil.which("sshd") or shutil.which("/usr/sbin/sshd")


@dataclass(frozen=True)
class Host:
    """An sshd. host, options: for Remote. bin: first on the PATH of what runs there. process: its own."""

    host: str
    options: tuple[str, ...]
    bin: Path
    process: subprocess.Popen[bytes]

    def remote(self) -> Remote:
        return Remote(self.host, self.options)


def write_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[Host]:
    """An sshd for this user with a throw-away key, until the block ends."""
    program, port = sshd(), free_port()
    assert program
    programs = folder / "bin"
    programs.mkdir(parents=True)
    write_program(programs / "sudo", '#!/bin/sh\nshift\nexec "$@"\n')
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    (folder / "config").write_text(CONFIG.format(folder=folder, port=port, path=os.environ["PATH"]))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # its privilege separation wants the folder
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "-D", "-e", "-f", str(folder / "config")], stderr=log)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.05)
        options = {"StrictHostKeyChecking": "no", "UserKnownHostsFile": os.devnull, "LogLevel": "ERROR"}
        words = ["-F", os.devnull, "-p", str(port), "-i", str(folder / "user"), "-oIdentitiesOnly=yes"]
        words += [f"-o{key}={value}" for key, value in options.items()]
        yield Host(f"{getpass.getuser()}@127.0.0.1", tuple(words), programs, process)
    finally:
        process.terminate()
        process.wait()


def make_root(root: Path, host: Host, *, compatible: str = "", systemd: bool = True) -> Path:
    """A folder that looks like a device's /: its system's name, its device tree, a systemd."""
    for name in ("etc", "proc/device-tree", "run", "var/lib"):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "etc" / "os-release").write_text('PRETTY_NAME="Test OS 1"\n')
    if compatible:
        (root / "proc" / "device-tree" / "compatible").write_bytes(compatible.encode() + b"\0")
    for name in ("systemctl", "journalctl"):
        (host.bin / name).unlink(missing_ok=True)
        quick = 'case "$1" in daemon-reload | reset-failed | enable) exit 0 ;; esac'
        line = f'#!/bin/sh\n{quick}\nexec {sys.executable} -ISE {SYSTEMCTL} {root} {name} "$@"\n'
        write_program(host.bin / name, line if systemd else "#!/bin/sh\nexit 127\n")
    return root
