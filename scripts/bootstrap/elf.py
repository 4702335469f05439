"""Reads the shared objects of a wheel and says what they need of a system (ELF gABI; GNU symbol versioning).

usage: elf.py WHEEL...     what stands against each wheel on an old system, one line a problem
"""

from __future__ import annotations

import re
import struct
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

AARCH64 = 183
# Newest symbol versions that a system of the tag manylinux_2_28 has (AlmaLinux 8: glibc 2.28, GCC 8).
FLOOR = {"GLIBC": (2, 28), "GLIBCXX": (3, 4, 25), "CXXABI": (1, 3, 11), "GCC": (8,)}
LIBRARIES = {"libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "ld-linux-aarch64.so.1"}
LIBRARIES |= {"libstdc++.so.6", "libgcc_s.so.1"}
SHT_DYNAMIC, SHT_VERNEED = 6, 0x6FFFFFFE
DT_NEEDED, DT_RPATH, DT_RUNPATH = 1, 15, 29


@dataclass(frozen=True)
class Needs:
    """machine: e_machine. libraries: DT_NEEDED. versions: symbol versions. paths: DT_RPATH and DT_RUNPATH."""

    machine: int
    libraries: tuple[str, ...]
    versions: tuple[str, ...]
    paths: tuple[str, ...]


def needs(data: bytes) -> Needs:
    """What a 64-bit little-endian ELF file needs. Raises ValueError for any other file."""
    if data[:6] != b"\x7fELF\x02\x01":
        raise ValueError("expected a 64-bit little-endian ELF file, found another")
    try:
        return _needs(data)
    except (struct.error, IndexError, ValueError) as error:
        raise ValueError(f"expected a whole ELF file, found one that is cut or broken: {error}") from error


def _needs(data: bytes) -> Needs:
    (machine,) = struct.unpack_from("<H", data, 18)
    (at,) = struct.unpack_from("<Q", data, 40)
    size, count = struct.unpack_from("<HH", data, 58)
    sections = [struct.unpack_from("<IIQQQQIIQQ", data, at + i * size) for i in range(count)]

    def text(section: tuple[int, ...], offset: int) -> str:
        start = sections[section[6]][4] + offset  # sh_link names the table of strings
        return data[start : data.index(b"\0", start)].decode("ascii")

    tags: dict[int, list[str]] = {DT_NEEDED: [], DT_RPATH: [], DT_RUNPATH: []}
    versions: set[str] = set()
    for section in sections:
        kind, start, length = section[1], section[4], section[5]
        if kind == SHT_DYNAMIC:
            for tag, value in struct.iter_unpack("<QQ", data[start : start + length]):
                if tag in tags:
                    tags[tag].append(text(section, value))
        elif kind == SHT_VERNEED:
            for _ in range(section[7]):  # sh_info counts the files
                _, names, _, first, following = struct.unpack_from("<HHIII", data, start)
                name = start + first
                for _ in range(names):
                    _, _, _, offset, after = struct.unpack_from("<IHHII", data, name)
                    versions.add(text(section, offset))
                    name += after
                start += following
    return Needs(machine, tuple(tags[DT_NEEDED]), tuple(sorted(versions)), (*tags[DT_RPATH], *tags[DT_RUNPATH]))


def objects(wheel: Path) -> dict[str, Needs]:
    """The shared objects of a wheel by name. Raises ValueError for one that cannot be read."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if re.search(r"\.so(\.|$)", name)]
        return {name: needs(archive.read(name)) for name in names}


def too_new(version: str) -> bool:
    """Whether a symbol version is above FLOOR, or of a family that is not there."""
    family, _, number = version.partition("_")
    if family not in FLOOR or not re.fullmatch(r"[0-9.]+", number):
        return True
    return tuple(map(int, number.split("."))) > FLOOR[family]


def problems(wheel: Path) -> list[str]:
    """What keeps the wheel from loading on an aarch64 system of that age, or lets it load what it should not."""
    found = objects(wheel)
    lines = [] if found else ["expected a shared object, found none"]
    for name, one in found.items():
        if one.machine != AARCH64:
            lines.append(f"{name}: expected machine {AARCH64} (aarch64), found {one.machine}")
        lines += [f"{name}: the version {version} is too new" for version in one.versions if too_new(version)]
        lines += [f"{name}: loads {library}" for library in one.libraries if library not in LIBRARIES]
        lines += [f"{name}: looks for libraries in {path}" for path in one.paths]
    return lines


def summary(wheel: Path) -> str:
    """What the wheel's objects need, in a line."""
    found = objects(wheel).values()
    versions = sorted({version for one in found for version in one.versions})
    libraries = sorted({library for one in found for library in one.libraries})
    return f"needs {', '.join(versions)} of {', '.join(libraries)}"


if __name__ == "__main__":
    found = [f"{path}: {line}" for path in sys.argv[1:] for line in problems(Path(path))]
    print("\n".join(found) or "nothing stands against them")
    sys.exit(int(bool(found)))
