"""Debian's arm64 packages, downloaded and unpacked into a folder: nothing is installed and nothing needs rights.

apt keeps lists of its own, one folder a release, because this machine's know its own architecture and release alone.
The mirror is this machine's.
"""

from __future__ import annotations

import functools
import os
import platform
import shutil
import subprocess
from pathlib import Path


def _output(*command: str) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout


@functools.cache
def mirror() -> str:
    """Address of this machine's Debian mirror; "" where it is no Debian or apt must not be used."""
    if os.environ.get("SANDERLING_NO_APT") or not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return ""
    try:
        debian = platform.freedesktop_os_release().get("ID") == "debian"
    except OSError:
        return ""
    if not debian:
        return ""
    fields = "$(ORIGIN) $(LABEL) $(COMPONENT) $(REPO_URI)"
    for line in _output("apt-get", "indextargets", "--format", fields, "Created-By: Packages").splitlines():
        if line.startswith("Debian Debian main "):
            return line.split()[-1]
    return ""


class Release:
    """One release of Debian for arm64, by an apt that has its own state in `folder`."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        self._updated = False

    def _apt(self, *arguments: str, cwd: Path) -> int:
        places = {"Dir::State": "", "Dir::State::Lists": "lists", "Dir::Cache": "cache", "Dir::State::status": "status"}
        places["Dir::Etc::SourceList"] = "sources.list"
        options = {key: str(self.folder / name) for key, name in places.items()}
        options |= {"Dir::Etc::SourceParts": os.devnull, "APT::Sandbox::User": ""}
        options |= {"APT::Architecture": "arm64", "APT::Architectures": "arm64"}
        return subprocess.run(
            ["apt-get", "-q", *(f"-o{key}={value}" for key, value in options.items()), *arguments], cwd=cwd
        ).returncode

    def _update(self) -> bool:
        for name in ("lists/partial", "cache/archives/partial"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").touch()
        (self.folder / "sources.list").write_text(f"deb {mirror()} {self.name} main\n")
        return self._apt("update", cwd=self.folder) == 0

    def _ready(self) -> bool:
        self._updated = bool(mirror()) and (self._updated or self._update())
        return self._updated

    def unpack(self, root: Path, *packages: str) -> bool:
        """The packages, without what they depend on, into `root`; whether all of them could be had."""
        debs = self.folder / "debs"
        shutil.rmtree(debs, ignore_errors=True)
        debs.mkdir(parents=True)
        if not self._ready() or self._apt("download", *packages, cwd=debs):
            return False
        root.mkdir(parents=True, exist_ok=True)
        for package in sorted(debs.glob("*.deb")):
            subprocess.run(["dpkg-deb", "-x", str(package), str(root)], check=True)
        shutil.rmtree(debs)
        return True

    def unpack_closure(self, root: Path, *packages: str) -> bool:
        """The packages with all that they depend on into `root`, whose links to folders stay; whether they could be
        had."""
        options = ("install", "-y", "--no-install-recommends", "--download-only")
        if not self._ready() or self._apt(*options, *packages, cwd=self.folder):
            return False
        for package in sorted((self.folder / "cache" / "archives").glob("*.deb")):
            read = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE)
            subprocess.run(["tar", "-xp", "--keep-directory-symlink", "-C", str(root)], stdin=read.stdout, check=True)
            if read.wait():
                return False
        self._apt("clean", cwd=self.folder)
        return True
