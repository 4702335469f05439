"""Unpacks a Python for aarch64 with the TFLite runtimes, for the user-mode emulator. Nothing is installed.

usage: arm_python.py FOLDER

FOLDER gets root/ (Debian's arm64 packages, and what a Cortex-A72 says about itself: the runtimes ask /proc and /sys,
and crash on the answers of an x86 host), and a folder of packages for each of RUNTIMES.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import arm_root
import debian_arm

VERSION = "3.11"  # the last one that tflite-runtime has wheels for
NUMPY = "numpy==1.26.4"  # tflite-runtime was built for NumPy 1
RUNTIMES = {"ai_edge_litert": "ai-edge-litert==2.3.0", "tflite_runtime": "tflite-runtime==2.14.0"}
CORES = 2
CPU = """processor\t: {core}
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

"""
CACHES = ((1, "32K"), (1, "48K"), (2, "1024K"))  # level, size


def possible() -> bool:
    """Whether the packages can be had here."""
    return bool(debian_arm.mirror())


def write_machine(root: Path) -> None:
    """What Linux says on a board of two Cortex-A72."""
    everyone, system = f"0-{CORES - 1}", root / "sys" / "devices" / "system" / "cpu"
    files = {root / "proc" / "cpuinfo": "".join(CPU.format(core=core) for core in range(CORES))}
    files |= {system / name: everyone for name in ("present", "possible", "online")} | {system / "kernel_max": "255"}
    for core in range(CORES):
        here = system / f"cpu{core}"
        values = {"physical_package_id": "0", "core_id": str(core)}
        values |= dict.fromkeys(("cluster_cpus_list", "core_siblings_list"), everyone)
        files |= {here / "topology" / name: value for name, value in values.items()}
        for i, (level, size) in enumerate(CACHES):
            values = {"level": str(level), "size": size, "shared_cpu_list": str(core) if level == 1 else everyone}
            files |= {here / "cache" / f"index{i}" / name: value for name, value in values.items()}
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")


def unpack_wheels(folder: Path) -> None:
    """Each runtime with its numpy, in a folder of its own."""
    pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--no-compile"]
    for name, package in RUNTIMES.items():
        command = [*pip, *arm_root.pip_platform(VERSION), "--target", str(folder / name), NUMPY, package]
        subprocess.run(command, check=True)


def main(folder: Path) -> None:
    """See above."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if not arm_root.unpack(VERSION, folder / "root"):
        sys.exit(f"expected Debian's arm64 packages of Python {VERSION}, found none; see apt's output above")
    write_machine(folder / "root")
    unpack_wheels(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
