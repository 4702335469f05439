"""Fetches Debian's Linux kernel for arm64 into a folder, without installing it.

usage: arm_kernel.py FOLDER     afterwards FOLDER/boot/vmlinuz-* is there, or the reason why not is printed

apt keeps lists of its own there, because this machine's know its own architecture alone.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import system

PACKAGE = "linux-image-cloud-arm64"  # the small one; an emulated machine has no other devices


def fetch(folder: Path) -> str:
    """Downloads and unpacks the newest kernel; returns why it could not, or an empty string."""
    if system.apt_prefix() is None or not shutil.which("dpkg-deb"):
        return "apt-get may not be called here"
    for part in ("lists/partial", "cache/archives/partial", "boot"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    places = {"Dir::State::Lists": folder / "lists", "Dir::Cache": folder / "cache"}
    own = [f"-o{key}={path}" for key, path in places.items()]
    own += ["-oAPT::Architecture=arm64", "-oAPT::Architectures=arm64"]
    subprocess.run(["apt-get", *own, "update"], check=False)
    depends = subprocess.run(["apt-cache", *own, "depends", PACKAGE], capture_output=True, text=True).stdout
    image = re.search(r"Depends: (linux-image-\S+)", depends)
    if not image:
        return f"apt knows no {PACKAGE}"
    if subprocess.run(["apt-get", *own, "download", image[1]], cwd=folder).returncode:
        return f"the download of {image[1]} failed"
    for package in folder.glob("linux-image-*.deb"):
        subprocess.run(["dpkg-deb", "-x", str(package), str(folder)], check=True)
        package.unlink()
    return "" if list(folder.glob("boot/vmlinuz-*")) else f"{image[1]} has no boot/vmlinuz-*"


if __name__ == "__main__":
    reason = fetch(Path(sys.argv[1]).resolve())
    print(f"missing Linux for arm64 ({reason}); skipped: {system.QEMU_SYSTEM.skipped}" if reason else "found")
