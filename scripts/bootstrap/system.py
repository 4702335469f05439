"""What the operating system must provide: a table of tools, how each is recognised, and its apt package.

Packages are installed only when a tool is missing and only when that is allowed: as root or with a
sudo that asks nothing, and without SANDERLING_NO_APT in the environment.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Tool:
    """One thing the machine must have.

    packages are alternatives, the first one that apt knows is taken; skipped says what cannot run
    without the tool, and an empty string that nothing can.
    """

    name: str
    found: Callable[[], bool]
    packages: tuple[str, ...]
    skipped: str = ""


def which(*names: str) -> str | None:
    """Path of the first of the programs that exists, or None."""
    return next((path for path in map(shutil.which, names) if path), None)


def qemu() -> str | None:
    """The user-mode emulator for aarch64; either build runs our static programs."""
    return which("qemu-aarch64-static", "qemu-aarch64")


def _venv_works() -> bool:
    # Debian splits ensurepip off into python3-venv; venv itself imports without it.
    command = [sys.executable, "-c", "import venv, ensurepip"]
    return subprocess.run(command, capture_output=True).returncode == 0


def _has_header() -> bool:
    return Path(sysconfig.get_paths()["include"], "Python.h").exists()


COMPILER = Tool("g++", lambda: which("g++", "c++", "clang++") is not None, ("g++",))
VENV = Tool("python3-venv", _venv_works, ("python3-venv",))
HEADERS = Tool("Python.h", _has_header, ("python3-dev",))
CROSS = Tool(
    "aarch64-linux-gnu-g++",
    lambda: which("aarch64-linux-gnu-g++") is not None,
    ("g++-aarch64-linux-gnu",),
    "the aarch64 build and every emulated ARM run",
)
QEMU = Tool(
    "qemu-aarch64-static",
    lambda: qemu() is not None,
    ("qemu-user-static", "qemu-user"),
    "every emulated ARM run",
)
SODIUM = Tool(
    "sodium.h",
    lambda: any(Path("/usr").glob("include/**/sodium.h")),
    ("libsodium-dev",),
    "the verbs bundle and slot of this machine's runner",
)
SSHD = Tool("sshd", lambda: which("sshd", "/usr/sbin/sshd") is not None, ("openssh-server",), "the tests of deploy")
SSH = Tool("ssh", lambda: which("ssh") is not None, ("openssh-client",), "the tests of deploy")
STRACE = Tool("strace", lambda: which("strace") is not None, ("strace",), "the power-cut sweeps")
SYSTEMD = Tool(
    "systemd-analyze",
    lambda: which("systemd-analyze") is not None,
    ("systemd",),
    "the check of how far the service is closed off",
)
NPM = Tool(
    "npm",
    lambda: which("npm") is not None and which("node", "nodejs") is not None,
    ("npm",),
    "the test of ONNX files on JetPack 4's onnxruntime",
)
MCA = Tool(
    "llvm-mca",
    lambda: which("llvm-mca", *(f"llvm-mca-{version}" for version in range(22, 13, -1))) is not None,
    ("llvm",),
    "the model figures of the ARM kernels' inner loops",
)
MKE2FS = Tool("mke2fs", lambda: which("mke2fs", "/usr/sbin/mke2fs") is not None, ("e2fsprogs",), "images of boards")
MTOOLS = Tool("mcopy", lambda: which("mcopy") is not None, ("mtools",), "images of boards")
MKFS = Tool("mkfs.fat", lambda: which("mkfs.fat", "/usr/sbin/mkfs.fat") is not None, ("dosfstools",), "board images")
FDTPUT = Tool("fdtput", lambda: which("fdtput") is not None, ("device-tree-compiler",), "the emulated Raspberry Pi 4B")
QEMU_SYSTEM = Tool(
    "qemu-system-aarch64",
    lambda: which("qemu-system-aarch64") is not None,
    ("qemu-system-arm",),
    "the emulated boards and their instruction counts",
)
MOSQUITTO = Tool(
    "mosquitto",
    lambda: which("mosquitto") is not None or Path("/usr/sbin/mosquitto").exists(),
    ("mosquitto",),
    "the tests of MQTT against a real broker",
)
MOSQUITTO_PUB = Tool(
    "mosquitto_pub",
    lambda: which("mosquitto_pub") is not None and which("mosquitto_sub") is not None,
    ("mosquitto-clients",),
    "the tests of the runner with MQTT",
)
OPENSSL = Tool("openssl", lambda: which("openssl") is not None, ("openssl",), "the tests of MQTT over TLS")
MINISIGN = Tool("minisign", lambda: which("minisign") is not None, ("minisign",), "the tests of signatures against it")
TOOLS = (COMPILER, VENV, HEADERS, CROSS, QEMU, SODIUM)
# What a target wants beyond them.
DEPLOY = (SSHD, SSH, STRACE, SYSTEMD)
FLASH = (MKE2FS, MTOOLS, MKFS, FDTPUT, QEMU_SYSTEM)
MQTT = (MOSQUITTO, MOSQUITTO_PUB, OPENSSL)
MORE = dict.fromkeys(("test", "test-all"), (MCA, NPM, MINISIGN, *MQTT, *DEPLOY, *FLASH))


def apt_prefix() -> list[str] | None:
    """How to call apt-get here, or None when it must not be called."""
    if os.environ.get("SANDERLING_NO_APT") or not shutil.which("apt-get"):
        return None
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo and subprocess.run([sudo, "-n", "true"], capture_output=True).returncode == 0:
        return [sudo, "-n"]
    return None


def missing(tools: tuple[Tool, ...] = (*TOOLS, *MORE["test-all"])) -> list[Tool]:
    """The tools of the table that this machine lacks."""
    return [tool for tool in tools if not tool.found()]


def _known_to_apt(package: str) -> bool:
    command = ["apt-cache", "show", package]
    return subprocess.run(command, capture_output=True).returncode == 0


def install_missing(tools: tuple[Tool, ...]) -> int:
    """Installs what is missing, prints what stays missing; returns 1 if nothing can go on, else 0."""
    lacking = missing(tools)
    prefix = apt_prefix()
    if lacking and prefix is not None:
        print("missing:", ", ".join(tool.name for tool in lacking), flush=True)
        apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
        subprocess.run([*apt, "update"], check=False)
        for tool in lacking:
            package = next(filter(_known_to_apt, tool.packages), tool.packages[0])
            options = ["install", "-y", "--no-install-recommends"]
            subprocess.run([*apt, *options, package], check=False)
        lacking = missing(tools)
    for tool in lacking:
        what = f"skipped: {tool.skipped}" if tool.skipped else "nothing can run without it"
        print(f"missing {tool.name}; {what}; as root run: apt-get install {tool.packages[0]}")
    if not lacking:
        print("found:", ", ".join(tool.name for tool in tools))
    return int(any(not tool.skipped for tool in lacking))


if __name__ == "__main__":
    target = sys.argv[1] if len(sys.argv) > 1 else ""
    sys.exit(install_missing((*TOOLS, *MORE.get(target, ()))))
