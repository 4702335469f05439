"""Commands on a device, by the system's ssh."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from sanderling.errors import DependencyError, DeployError

LOST = 255  # ssh's own exit status: no connection, or no longer one
OPTIONS = {
    "BatchMode": "yes",
    "ConnectTimeout": "10",
    "ServerAliveInterval": "5",
    "ServerAliveCountMax": "3",
    "ControlMaster": "auto",
    "ControlPersist": "60",
}


WRITE = """
umask 022
cat > "$1.new" && chmod "$2" "$1.new" && sync "$1.new" && mv -f "$1.new" "$1" && sync "${1%/*}" && exit 0
rm -f "$1.new"
exit 1
"""


class Remote:
    """A device; a context manager that closes the connection.

    host: what ssh takes, user@host or a name of its configuration. options: more arguments of ssh, such as
    ["-p", "2222", "-i", "key"]. The connection is opened by the first command and shared by the others.
    """

    def __init__(self, host: str, options: Sequence[str] = ()) -> None:
        if not shutil.which("ssh"):
            raise DependencyError("expected the program ssh, found none; install the package openssh-client")
        if not host or host.startswith("-"):
            raise DeployError(f"expected user@host, found {host!r}; name the device as ssh does")
        self.host = host
        self.prefix: list[str] = []  # before every command that needs rights: sudo, or nothing
        self._folder = tempfile.mkdtemp(prefix="sl-")
        fixed = [f"-o{key}={value}" for key, value in OPTIONS.items()] + [f"-oControlPath={self._folder}/c"]
        self._ssh = ["ssh", *fixed, *options]

    def __enter__(self) -> Remote:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        subprocess.run([*self._ssh, "-O", "exit", self.host], capture_output=True, check=False)
        shutil.rmtree(self._folder, ignore_errors=True)

    def try_run(self, *command: str, file: Path | None = None, data: bytes = b"") -> subprocess.CompletedProcess[str]:
        """Runs a command there, words as they are, without a shell's meaning; its standard input is `file` or `data`.

        Raises DeployError when the connection cannot be made or is lost; a command that fails is no error.
        """
        line = [*self._ssh, self.host, "--", shlex.join([*self.prefix, *command])]
        if file is not None:
            with file.open("rb") as content:
                done = subprocess.run(line, stdin=content, capture_output=True, check=False)
        else:
            done = subprocess.run(line, input=data, capture_output=True, check=False)
        texts = [text.decode("utf-8", "replace") for text in (done.stdout, done.stderr)]
        if done.returncode == LOST:
            why = texts[1].strip().splitlines()[-1:] or ["the connection ended"]
            raise DeployError(f"{self.host}: expected a connection, found: {why[0]}; check host, key and network")
        return subprocess.CompletedProcess(line, done.returncode, *texts)

    def run(self, what: str, *command: str, file: Path | None = None, data: bytes = b"") -> str:
        """The standard output of a command that must go well. Raises DeployError; what: for its message."""
        done = self.try_run(*command, file=file, data=data)
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}").splitlines()[-1]
            raise DeployError(f"{self.host}: expected {what}, found: {said.removeprefix('sanderling-run: ')}")
        return done.stdout

    def write(self, path: str, *, file: Path | None = None, data: bytes = b"", mode: str = "644") -> None:
        """A file there: beside, synced, renamed, so that a cut leaves the old or the new one. Raises DeployError."""
        self.run(f"to write {path}", "sh", "-c", WRITE, "sh", path, mode, file=file, data=data)
