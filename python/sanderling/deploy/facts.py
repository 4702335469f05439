"""What a device is, asked by one POSIX script, and whether a bundle fits it."""

from __future__ import annotations

from dataclasses import dataclass

from sanderling.boards import load_boards
from sanderling.deploy.remote import Remote
from sanderling.errors import DeployError
from sanderling.export.bundle import Manifest
from sanderling.export.unit import STATE

X86 = {"x86_64", "amd64"}
# ELF's byte 4 is the class of the programs here: a 64-bit kernel may carry a 32-bit system.
SCRIPT = r"""
root=$1
echo "machine $(uname -m)"
echo "class $(dd if=/bin/sh bs=1 skip=4 count=1 2>/dev/null | od -An -tu1 | tr -d ' ')"
echo "uid $(id -u)"
echo "sudo $(sudo -n true 2>/dev/null && echo yes || echo no)"
echo "glibc $(getconf GNU_LIBC_VERSION 2>/dev/null)"
echo "system $(. "$root/etc/os-release" 2>/dev/null && echo "$PRETTY_NAME")"
echo "model $(tr -d '\0' < "$root/proc/device-tree/model" 2>/dev/null)"
tr '\0' '\n' < "$root/proc/device-tree/compatible" 2>/dev/null | sed 's/^/compatible /'
echo "systemd $(systemctl --version 2>/dev/null | head -n 1)"
place=$root@STATE@; while [ ! -d "$place" ]; do place=${place%/*}; done
echo "free_kib $(df -Pk "${place:-/}" | tail -n 1 | { read -r disk size used free more; echo "$free"; })"
""".replace("@STATE@", STATE)


@dataclass(frozen=True)
class Facts:
    """machine: uname's. bits: of its programs. compatible, model: the device tree's. board: profile's id or "". glibc,
    system, systemd: versions or "". root: whether we are it; sudo: whether it asks nothing. free_kib: for the state."""

    machine: str
    bits: int
    compatible: tuple[str, ...]
    model: str
    board: str
    glibc: str
    system: str
    systemd: str
    root: bool
    sudo: bool
    free_kib: int


def ask(remote: Remote, root: str = "") -> Facts:
    """Looks at the device. root: folder that stands for / there. Raises DeployError."""
    lines = remote.run("a POSIX shell", "sh", "-c", SCRIPT, "sh", root).splitlines()
    pairs = [line.partition(" ")[::2] for line in lines]
    found = {key: value.strip() for key, value in pairs if key != "compatible"}
    compatible = tuple(value for key, value in pairs if key == "compatible" and value)
    machine, free = found.get("machine", ""), found.get("free_kib", "")
    return Facts(
        machine=machine,
        bits=32 if found.get("class") == "1" else 64,
        compatible=compatible,
        model=found.get("model", ""),
        board=_board(machine, compatible),
        glibc=found.get("glibc", "").removeprefix("glibc "),
        system=found.get("system", ""),
        systemd=found.get("systemd", ""),
        root=found.get("uid") == "0",
        sudo=found.get("sudo") == "yes",
        free_kib=int(free) if free.isdecimal() else 0,
    )


def _board(machine: str, compatible: tuple[str, ...]) -> str:
    for text in compatible:  # the most specific first
        for board in load_boards().values():
            if text in board.compatible:
                return board.id
    return "x86_64" if machine in X86 else ""


def check(facts: Facts, manifest: Manifest, size: int, host: str, *, force: bool = False) -> None:
    """Raises DeployError when a bundle of `size` bytes cannot run there. force: on another board."""
    named = facts.board or f"unknown ({facts.model or facts.machine})"
    if facts.bits == 32:
        found = f"a 32-bit one (kernel {facts.machine})"
        raise DeployError(f"{host}: expected a 64-bit system, found {found}; flash a 64-bit one")
    if facts.machine != manifest.machine:
        raise DeployError(f"{host}: expected {manifest.machine}, found {facts.machine}; make a bundle for this device")
    if facts.board not in manifest.boards and not force:
        wanted = ", ".join(manifest.boards)
        raise DeployError(f"{host}: expected one of the bundle's boards ({wanted}), found {named}; or --force")
    if not facts.root and not facts.sudo:
        raise DeployError(f"{host}: expected root or a sudo that asks nothing, found neither; allow one for this user")
    # The bundle and its runner that are sent, its parts in the slot, and the runner again that will choose the slot.
    wanted_kib = 4 * size // 1024 + 1024
    if facts.free_kib < wanted_kib:
        raise DeployError(f"{host}: expected {wanted_kib} KiB free, found {facts.free_kib}; make room there")
