"""A root file system for aarch64 with a Python, unpacked from Debian's packages, for the user-mode emulator.

usage: arm_root.py FOLDER VERSION...

In FOLDER/<version> the folder `root` gets the system, `wheels` the wheels of pip and numpy that its Python takes, of
one Python onnxruntime's too.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import debian_arm
from stage import BUILD, ROOT

LISTS = BUILD / "arm-debian"
# What a Python and numpy's wheels load.
SHARED = ("libc6", "libgcc-s1", "libstdc++6", "zlib1g", "libexpat1", "libffi8", "libbz2-1.0", "liblzma5")
# Python -> the release of Debian that has it, and what it needs beyond SHARED there.
PYTHONS = {
    "3.11": ("bookworm", ("libssl3",)),
    "3.13": ("trixie", ("libssl3t64",)),
    "3.14": ("forky", ("libssl3t64", "libzstd1")),
}
# Newer ones are ended by a segmentation fault in the user-mode emulator (QEMU 7.2) while they are loaded.
RUNTIME, RUNTIME_PYTHON = "onnxruntime==1.20.1", "3.11"
GLIBC = ("2_17", "2_27", "2_28", "2_34")  # manylinux platforms that all of these releases run


def release(version: str) -> debian_arm.Release:
    """The release of Debian that has this Python."""
    name, _ = PYTHONS[version]
    return debian_arm.Release(name, LISTS / name)


def unpack(version: str, root: Path) -> bool:
    """The system with its Python into `root`; whether it could be had."""
    names = [f"python{version}-minimal", f"libpython{version}-minimal", f"libpython{version}-stdlib"]
    if not release(version).unpack(root, *names, *SHARED, *PYTHONS[version][1]):
        return False
    # Debian links the loader's folder so since release 12.
    if not (root / "lib").exists():
        (root / "lib").symlink_to("usr/lib")
    return True


def pip_platform(version: str) -> list[str]:
    """pip's options that choose wheels of that Python on aarch64."""
    platforms = ["manylinux2014_aarch64", *(f"manylinux_{glibc}_aarch64" for glibc in GLIBC)]
    chosen = [word for name in platforms for word in ("--platform", name)]
    return [*chosen, "--python-version", version, "--only-binary=:all:"]


def main(folder: Path, versions: list[str]) -> None:
    """See above; a Python that Debian's mirror does not have is named."""
    for version in versions:
        here = folder / version
        shutil.rmtree(here, ignore_errors=True)
        if not unpack(version, here / "root"):
            print(f"no root file system with Python {version}: this machine's apt does not reach Debian's packages")
            shutil.rmtree(here, ignore_errors=True)
            continue
        pip = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps"]
        target = ["-d", str(here / "wheels"), "-c", str(ROOT / "constraints.txt")]
        subprocess.run([*pip, *pip_platform(version), *target, "numpy", "pip"], check=True)
        if version == RUNTIME_PYTHON:
            subprocess.run([*pip, *pip_platform(version), *target[:2], RUNTIME], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2:])
