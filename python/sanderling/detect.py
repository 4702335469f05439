"""Which board this is, and why we think so.

Read are the device tree (`/proc/device-tree`), the kernel's HWCAP (`/proc/self/auxv`), `/etc/nv_tegra_release`,
`/etc/os-release` and `/proc/meminfo`; nothing is run and nothing leaves the machine.
"""

from __future__ import annotations

import os
import platform
import re
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

from sanderling.boards import Board, load_boards

AT_NULL, AT_HWCAP = 0, 16
# Bits of AT_HWCAP on aarch64 (Linux, arch/arm64/include/uapi/asm/hwcap.h).
HWCAP_BITS = {"asimd": 1, "asimdhp": 10, "asimddp": 20}
X86 = {"x86_64", "amd64"}


@dataclass(frozen=True)
class Detection:
    """What was found.

    board: profile's id, or None. reasons: one sentence a fact that led there, or stands in the way. machine: uname's.
    bits: of this process: 32 on a 32-bit system whatever its kernel is. model, compatible: the device tree's. features:
    of the processor, by HWCAP. isa: tier that the features allow. system, jetpack, glibc, python: versions, "" where
    unknown. cores: that this process may use. ram_mib: total.
    """

    board: str | None
    reasons: tuple[str, ...]
    machine: str
    bits: int
    model: str
    compatible: tuple[str, ...]
    features: tuple[str, ...]
    isa: str
    system: str
    jetpack: str
    glibc: str
    python: str
    cores: int
    ram_mib: int


def detect(root: Path = Path("/"), *, machine: str = "", bits: int = 0) -> Detection:
    """Looks at the machine.

    Args:
        root: folder that stands for `/` (another root file system, or a test's).
        machine, bits: instead of this process's uname machine and pointer size in bits.
    """
    machine = machine or platform.machine()
    bits = bits or struct.calcsize("P") * 8
    tree = root / "proc" / "device-tree"
    compatible = tuple(_texts(tree / "compatible"))
    model = next(iter(_texts(tree / "model")), "")
    features = _features(root / "proc" / "self" / "auxv") if machine == "aarch64" else ()
    jetpack = _jetpack(root / "etc" / "nv_tegra_release")
    board, reasons = _match(machine, compatible, model)
    isa = _isa(machine, bits, features)
    reasons += _objections(board, machine, bits, features, isa)
    if jetpack:
        reasons.append(f"/etc/nv_tegra_release says JetPack {jetpack}")
    return Detection(
        board=board.id if board else None,
        reasons=tuple(reasons),
        machine=machine,
        bits=bits,
        model=model,
        compatible=compatible,
        features=features,
        isa=isa,
        system=_system(root / "etc" / "os-release"),
        jetpack=jetpack,
        glibc=platform.libc_ver()[1] if platform.libc_ver()[0] == "glibc" else "",
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        cores=len(os.sched_getaffinity(0)),
        ram_mib=_ram_mib(root / "proc" / "meminfo"),
    )


def _match(machine: str, compatible: tuple[str, ...], model: str) -> tuple[Board | None, list[str]]:
    """The profile whose device tree strings are this machine's, and the reasons."""
    boards = load_boards()
    for text in compatible:  # most specific first
        for board in boards.values():
            if text in board.compatible:
                return board, [f"the device tree is compatible with '{text}', which is {board.name}'s alone"]
    if machine.lower() in X86:
        return boards["x86_64"], [f"uname says {machine}"]
    if compatible:
        named = f" ('{model}')" if model else ""
        return None, [f"the device tree says '{compatible[0]}'{named}, which is no profile's; add boards/<id>.toml"]
    return None, [f"uname says {machine} and there is no device tree: no profile fits"]


def _isa(machine: str, bits: int, features: tuple[str, ...]) -> str:
    """The best tier of the runner; a desktop's is what the core itself finds."""
    if bits == 32:
        return ""
    if machine == "aarch64":
        return "neon_dotprod" if "asimddp" in features else "neon"
    if machine.lower() not in X86:
        return "reference"
    try:
        from sanderling.runtime.isa import isa_names

        return isa_names()[0]
    except ImportError:
        return "reference"


def _objections(board: Board | None, machine: str, bits: int, features: tuple[str, ...], isa: str) -> list[str]:
    found = []
    if bits == 32:
        kernel = "under a 64-bit kernel " if machine in {"aarch64", *X86} else ""
        found.append(f"this is a 32-bit system {kernel}(uname: {machine}): Sanderling needs a 64-bit one; flash it")
    elif machine == "aarch64" and not features:
        found.append("HWCAP could not be read: neon is assumed")
    elif machine == "aarch64":
        has = "has" if "asimddp" in features else "lacks"
        found.append(f"HWCAP {has} asimddp (dot product): tier {isa}")
    if board and bits == 64 and machine == "aarch64" and board.isa != isa:
        found.append(f"the profile expects {board.isa} and this kernel offers {isa}: {isa} runs")
    return found


def _texts(path: Path) -> list[str]:
    """NUL-separated texts of a device tree property; none where it is missing."""
    try:
        raw = path.read_bytes()[:65536]
    except OSError:
        return []
    return [part.decode("utf-8", "replace").strip() for part in raw.split(b"\0") if part.strip()]


def _features(auxv: Path) -> tuple[str, ...]:
    """Names of the HWCAP bits that are set; none where the vector cannot be read."""
    try:
        raw = auxv.read_bytes()
    except OSError:
        return ()
    for kind, value in struct.iter_unpack("<QQ", raw[: len(raw) // 16 * 16]):
        if kind == AT_HWCAP:
            return tuple(name for name, bit in HWCAP_BITS.items() if value >> bit & 1)
        if kind == AT_NULL:
            break
    return ()


def _jetpack(path: Path) -> str:
    """JetPack's major version from L4T's release line; "" on other systems."""
    try:
        found = re.search(r"R(\d+)", path.read_text(errors="replace")[:4096])
    except OSError:
        return ""
    # L4T 32 is JetPack 4, 34 and 35 are 5, 36 is 6.
    return {32: "4", 34: "5", 35: "5", 36: "6"}.get(int(found.group(1)), "") if found else ""


def _system(path: Path) -> str:
    try:
        found = re.search(r'^PRETTY_NAME="?([^"\n]*)', path.read_text(errors="replace")[:65536], re.MULTILINE)
    except OSError:
        return ""
    return found.group(1) if found else ""


def _ram_mib(path: Path) -> int:
    try:
        found = re.search(r"^MemTotal:\s+(\d+) kB", path.read_text(errors="replace")[:65536], re.MULTILINE)
    except OSError:
        return 0
    return int(found.group(1)) // 1024 if found else 0
