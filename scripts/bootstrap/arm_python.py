"""Unpacks a Python for aarch64 with the TFLite runtimes, for the user-mode emulator. Nothing is installed.

usage: arm_python.py FOLDER

FOLDER gets root/ (Debian's arm64 packages, and what a Cortex-A72 says about itself: the runtimes ask /proc and /sys,
and crash on the answers of an x86 host), and a folder of packages for each of RUNTIMES.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

DEBIAN, VERSION = "12", "3.11"  # its Python, the last one that tflite-runtime has wheels for
PACKAGES = (
    f"python{VERSION}-minimal",
    f"libpython{VERSION}-minimal",
    f"libpython{VERSION}-stdlib",
    "libc6",
    "libgcc-s1",
    "libstdc++6",
    "zlib1g",
    "libexpat1",
    "libffi8",
    "libssl3",
    "libbz2-1.0",
    "liblzma5",
)
GLIBC = ("2_17", "2_27", "2_28", "2_34")  # manylinux platforms that Debian 12 runs
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


def release(key: str = "ID") -> str:
    """What /etc/os-release says of this system; empty where it says nothing."""
    try:
        return platform.freedesktop_os_release().get(key, "")
    except OSError:
        return ""


def possible() -> bool:
    """Whether this is the Debian that the packages come from."""
    return (release(), release("VERSION_ID")) == ("debian", DEBIAN) and shutil.which("apt-get") is not None


def run(*command: str, cwd: Path | None = None) -> None:
    """Shows and runs a command; its failure ends this program."""
    print("$", " ".join(command), flush=True)
    subprocess.run(command, cwd=cwd, check=True)


def unpack_packages(folder: Path) -> None:
    """Debian's packages into folder/root, by an apt that has its own state and needs no rights."""
    apt, root = folder / "apt", folder / "root"
    for name in ("lists/partial", "cache/archives/partial", "debs"):
        (apt / name).mkdir(parents=True, exist_ok=True)
    options = {
        "APT::Architecture": "arm64",
        "APT::Architectures::": "arm64",
        "APT::Sandbox::User": "",
        "Dir::State": str(apt),
        "Dir::State::lists": str(apt / "lists"),
        "Dir::State::status": os.devnull,
        "Dir::Cache": str(apt / "cache"),
    }
    command = ["apt-get", "-q", *(word for key, value in options.items() for word in ("-o", f"{key}={value}"))]
    run(*command, "update")
    run(*command, "download", *PACKAGES, cwd=apt / "debs")
    for package in sorted((apt / "debs").glob("*.deb")):
        run("dpkg", "-x", str(package), str(root))
    shutil.rmtree(apt)


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
    platforms = [word for version in GLIBC for word in ("--platform", f"manylinux_{version}_aarch64")]
    platforms += ["--platform", "manylinux2014_aarch64", "--python-version", VERSION, "--only-binary=:all:"]
    pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--no-compile"]
    for name, package in RUNTIMES.items():
        run(*pip, *platforms, "--target", str(folder / name), NUMPY, package)


def main(folder: Path) -> None:
    """See above."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    unpack_packages(folder)
    write_machine(folder / "root")
    unpack_wheels(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
