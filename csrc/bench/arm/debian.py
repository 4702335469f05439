"""Debian's packages for arm64, unpacked into a folder and not installed: a kernel to boot, a Python for the peers.

usage: debian.py kernel FOLDER     afterwards FOLDER/boot/vmlinuz-* is there, or the reason why not is printed
       debian.py sodium FOLDER     afterwards FOLDER/usr has libsodium.a and its headers, or the reason is printed

apt keeps lists of its own in the folder, because this machine's know its own architecture alone; nothing needs root.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

KERNEL = "linux-image-cloud-arm64"  # the small one; an emulated machine has no other devices
SODIUM = "libsodium-dev"


def apt(folder: Path, *arguments: str, tool: str = "apt-get") -> subprocess.CompletedProcess[str]:
    """Runs apt for arm64 with the folder's own lists, and as if no package were installed."""
    status = folder / "status"
    for part in ("lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    status.touch()
    places = {"Dir::State": folder, "Dir::State::Lists": folder / "lists", "Dir::Cache": folder / "cache"}
    places |= {"Dir::State::status": status, "APT::Architecture": "arm64", "APT::Architectures": "arm64"}
    own = [f"-o{key}={value}" for key, value in places.items()]
    return subprocess.run([tool, *own, *arguments], cwd=folder, stdout=subprocess.PIPE, text=True)


def unpack(packages: list[Path], folder: Path) -> None:
    for package in packages:
        subprocess.run(["dpkg-deb", "-x", str(package), str(folder)], check=True)
        package.unlink()


def forbidden() -> str:
    """Why apt may not be used here; an empty string if it may."""
    if os.environ.get("SANDERLING_NO_APT"):
        return "SANDERLING_NO_APT is set"
    return "" if shutil.which("apt-get") and shutil.which("dpkg-deb") else "this is no Debian"


def fetch_kernel(folder: Path) -> str:
    """Downloads and unpacks the newest kernel; returns why it could not, or an empty string."""
    if reason := forbidden():
        return reason
    apt(folder, "update")
    image = re.search(r"Depends: (linux-image-\S+)", apt(folder, "depends", KERNEL, tool="apt-cache").stdout)
    if not image:
        return f"apt knows no {KERNEL}"
    if apt(folder, "download", image[1]).returncode:
        return f"the download of {image[1]} failed"
    unpack(list(folder.glob("linux-image-*.deb")), folder)
    return "" if list(folder.glob("boot/vmlinuz-*")) else f"{image[1]} has no boot/vmlinuz-*"


def fetch_sodium(folder: Path) -> str:
    """Downloads and unpacks the static libsodium that the runner is linked with; returns why it could not, or ''."""
    if reason := forbidden():
        return reason
    apt(folder, "update")
    if apt(folder, "download", SODIUM).returncode:
        return f"the download of {SODIUM} failed"
    unpack(list(folder.glob(f"{SODIUM}_*.deb")), folder)
    return "" if list(folder.glob("usr/lib/*/libsodium.a")) else f"{SODIUM} has no libsodium.a"


def fetch_root(folder: Path, *packages: str) -> str:
    """Downloads packages and all that they depend on, and unpacks them into FOLDER/root; returns why not, or ''."""
    if reason := forbidden():
        return reason
    apt(folder, "update")
    if apt(folder, "install", "--download-only", "--no-install-recommends", "-y", *packages).returncode:
        return f"the download of {', '.join(packages)} failed"
    unpack(sorted((folder / "cache" / "archives").glob("*.deb")), folder / "root")
    return ""


if __name__ == "__main__":
    fetch, what, skipped = {
        "kernel": (fetch_kernel, "Linux for arm64", "the instruction counts"),
        "sodium": (fetch_sodium, "libsodium for arm64", "the ARM runner's verbs bundle and slot"),
    }[sys.argv[1]]
    place = Path(sys.argv[2]).resolve()
    place.mkdir(parents=True, exist_ok=True)
    found = fetch(place)
    print(f"missing {what} ({found}); skipped: {skipped}" if found else "found")
