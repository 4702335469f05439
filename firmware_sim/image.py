"""The appliance image: a card's boot and data partition, made without rights, byte for byte reproducible.

    sector 0        partition table (MBR)
    1 MiB           boot partition, FAT32: the Raspberry's files, kernel, initramfs, settings; the board only reads it
    97 MiB          data partition, ext4: slots a and b, filled by the first start from the factory's bundle

Kernel, firmware and init are one copy, replaced by flashing; runner and model are the two slots, replaced by
`sanderling deploy` or by hand (docs/slots.md). The tools that write the file systems are mkfs.fat, mcopy and mke2fs.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sanderling.export import bundle, minisign
from sanderling.firmware_sim import initramfs, raspberry
from sanderling.firmware_sim.packages import Packages

from sanderling.errors import BundleError, DependencyError, StorageError

MIB = 1 << 20
SECTOR = 512
BOOT_START, BOOT_MIB = MIB, 96
DATA_START = BOOT_START + BOOT_MIB * MIB
SIZE_MIB = 256  # a power of two: emulated SD cards have no other sizes
FAT32_LBA, LINUX = 0x0C, 0x83
TOOLS = {"mkfs.fat": "dosfstools", "mcopy": "mtools", "mke2fs": "e2fsprogs"}
FEATURES = "has_journal,ext_attr,dir_index,filetype,extent,sparse_super,large_file,huge_file,extra_isize,metadata_csum"
EPOCH = "1577836800"  # 2020-01-01: the time of every file
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
DESCRIPTION = "image.txt"


@dataclass(frozen=True)
class Settings:
    """What /boot/sanderling.txt says. input: serial, iio or stdin. device: auto, a tty's or an IIO device's name."""

    input: str = "serial"
    device: str = "auto"
    baud: int = 115200
    options: str = ""

    def text(self) -> str:
        """The file. Raises BundleError for values that are no single line."""
        values = {name: str(value) for name, value in vars(self).items()}
        wrong = [name for name, value in values.items() if any(ord(c) < 32 for c in value)]
        if wrong or self.input not in {"serial", "iio", "stdin"}:
            found = values[wrong[0]] if wrong else self.input
            raise BundleError(f"expected one line each and an input of serial, iio or stdin, found {found!r}")
        return raspberry.SETTINGS.format(**values)


@dataclass(frozen=True)
class Image:
    """A finished image. id: 32 hex digits, of everything that went in. sha256: of the file."""

    path: Path
    id: str
    sha256: str
    name: str
    version: int
    boards: tuple[str, ...]


def build(path: Path, packages: Packages, source: Path, key: Path, settings: Settings | None = None) -> Image:
    """Makes an image. The same arguments and tools give the same bytes.

    Args:
        path: the image; written beside and renamed.
        packages: of `packages.load`.
        source: the bundle that the board starts with; for at least one of `raspberry.BOARDS`.
        key: the public key that signed it, and that the board will trust.
        settings: of the boot partition; None: the defaults.

    Raises:
        BundleError, SignatureError: the bundle, the key, or the settings.
        DependencyError: a tool is missing; its package is named.
        StorageError: a tool failed.
    """
    for tool, package in TOOLS.items():
        if not shutil.which(tool, path=PATH):
            raise DependencyError(f"expected {tool}, found none; install the package {package}")
    found = bundle.verify(source, minisign.read_public(key))
    boards = tuple(name for name in found.manifest.boards if name in raspberry.BOARDS)
    if not boards:
        wanted, have = ", ".join(raspberry.BOARDS), ", ".join(found.manifest.boards)
        raise BundleError(f"{source}: expected a bundle for {wanted}, found {have}; for others: sanderling deploy")
    text = (settings or Settings()).text()
    raw, public = source.read_bytes(), key.read_bytes()
    identity = _identity(packages, raw, public, text)
    home = path.resolve().parent
    if not home.is_dir():
        raise StorageError(f"{path}: expected a folder for the image, found none; make {home}")
    with tempfile.TemporaryDirectory(dir=home, prefix=".flash-") as scratch:
        folder = Path(scratch)
        data = _data_partition(folder / "data.img", identity)
        extra = {
            "etc/factory.bundle": raw,
            "etc/keys/factory.pub": public,
            "etc/data.img.gz": gzip.compress(data.read_bytes(), 6, mtime=0),
        }
        files = _boot_files(packages, extra, identity, text, found.manifest)
        if wrong := raspberry.check(files):
            raise StorageError(wrong[0])
        boot = _boot_partition(folder / "boot.img", files, folder / "files", identity)
        whole = folder / "image"
        _assemble(whole, boot, data, identity)
        digest = _sha256(whole)
        whole.replace(path)
    return Image(path, identity, digest, found.manifest.name, found.manifest.version, boards)


def _identity(packages: Packages, *parts: bytes | str) -> str:
    digest = hashlib.sha256()
    for part in [*(data for _, data in sorted(packages.files.items())), initramfs.init_script(), *parts]:
        raw = part.encode() if isinstance(part, str) else part
        digest.update(len(raw).to_bytes(8, "little") + raw)
    return digest.hexdigest()[:32]


def _boot_files(
    packages: Packages, extra: Mapping[str, bytes], identity: str, settings: str, manifest: bundle.Manifest
) -> dict[str, bytes]:
    versions = "".join(f"{name} {version}\n" for name, version in sorted(packages.versions.items()))
    head = f"image {identity}\nbundle {manifest.name} {manifest.version}\n"
    head += f"Raspberry boot chain: {raspberry.NEVER_BOOTED}\n"
    files = {
        "config.txt": raspberry.CONFIG.encode(),
        "cmdline.txt": raspberry.CMDLINE.encode(),
        "sanderling.txt": settings.encode(),
        DESCRIPTION: (head + versions).encode(),
        raspberry.KERNEL: packages.files["vmlinuz"],
        raspberry.INITRAMFS: initramfs.build(packages, extra),
    }
    files |= packages.folder("firmware") | packages.folder("dtb")
    return files | {f"licences/{name}.txt": data for name, data in packages.folder("licences").items()}


def run(*command: str, **environment: str) -> None:
    own = {"PATH": PATH, "TZ": "UTC", "LC_ALL": "C", "SOURCE_DATE_EPOCH": EPOCH, "MTOOLSRC": os.devnull, **environment}
    done = subprocess.run(command, env=own, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        last = ((done.stderr or done.stdout).strip() or "no message").splitlines()[-1]
        raise StorageError(f"{command[0]}: expected it to succeed, found: {last}; check the folder and its space")


def _boot_partition(path: Path, files: Mapping[str, bytes], folder: Path, identity: str) -> Path:
    for name, data in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    for target in [*sorted(folder.rglob("*"))]:
        os.utime(target, (int(EPOCH), int(EPOCH)))
    with path.open("wb") as file:
        file.truncate(BOOT_MIB * MIB)
    run("mkfs.fat", "--invariant", "-F", "32", "-s", "1", "-i", identity[:8], "-n", "SANDERLING", str(path))
    run("mcopy", "-s", "-m", "-i", str(path), *map(str, sorted(folder.iterdir())), "::/")
    return path


def _data_partition(path: Path, identity: str) -> Path:
    size = SIZE_MIB * MIB - DATA_START
    with path.open("wb") as file:
        file.truncate(size)
    format_data(path, 0, size, identity)
    return path


def format_data(path: Path, start: int, size: int, identity: str) -> None:
    """An empty file system for the data partition, at byte `start` of a file or device. Raises StorageError."""
    uuid = "-".join(identity[a:b] for a, b in ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32)))
    options = f"lazy_itable_init=0,lazy_journal_init=0,nodiscard,hash_seed={uuid},root_owner=0:0,offset={start}"
    form = ["-t", "ext4", "-O", f"none,{FEATURES}", "-b", "4096", "-I", "256", "-N", "2048", "-m", "0", "-J", "size=4"]
    command = ["mke2fs", "-q", "-F", *form, "-U", uuid, "-L", "sanderling", "-E", options, str(path), f"{size >> 10}k"]
    run(*command, E2FSPROGS_FAKE_TIME=EPOCH, MKE2FS_CONFIG=os.devnull)


def _assemble(path: Path, boot: Path, data: Path, identity: str) -> None:
    with path.open("wb") as file:
        file.truncate(SIZE_MIB * MIB)
        file.write(partition_table(SIZE_MIB * MIB, identity))
        for source, at in ((boot, BOOT_START), (data, DATA_START)):
            _copy_sparse(source, file, at)


def partition_table(size: int, identity: str) -> bytes:
    """The master boot record of a card whose data partition ends at byte `size`; its signature is the identity's first
    8 digits."""
    rows = b""
    for kind, start, end in ((FAT32_LBA, BOOT_START, DATA_START), (LINUX, DATA_START, size)):
        unused = b"\xfe\xff\xff"  # cylinders, heads, sectors: beyond what they can say
        rows += struct.pack("<B3sB3sII", 0, unused, kind, unused, start // SECTOR, (end - start) // SECTOR)
    return bytes(440) + bytes.fromhex(identity[:8]) + bytes(2) + rows.ljust(64, b"\0") + b"\x55\xaa"


def _copy_sparse(source: Path, file: BinaryIO, at: int) -> None:
    with source.open("rb") as read:
        for i, block in enumerate(iter(lambda: read.read(MIB), b"")):
            if block.strip(b"\0"):
                file.seek(at + i * MIB)
                file.write(block)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(MIB), b""):
            digest.update(block)
    return digest.hexdigest()


def boot_file(path: Path, name: str) -> bytes:
    """A file of an image's boot partition. Raises StorageError when there is none."""
    command = ["mcopy", "-n", "-i", f"{path}@@{BOOT_START}", f"::/{name}", "-"]
    done = subprocess.run(command, capture_output=True, env={"PATH": PATH, "MTOOLSRC": os.devnull})
    if done.returncode or not done.stdout:
        raise StorageError(f"{path}: expected {name} on an image's boot partition, found none; flash it again")
    return done.stdout


def identity_of(path: Path) -> str:
    """The id of a finished image. Raises StorageError when there is none."""
    words = boot_file(path, DESCRIPTION).decode(errors="replace").split()
    if len(words) < 2 or words[0] != "image" or not re.fullmatch("[0-9a-f]{32}", words[1]):
        raise StorageError(f"{path}: expected an image's id in {DESCRIPTION}, found none; flash it again")
    return words[1]


def check(path: Path) -> list[str]:
    """What is wrong with an image: its size, its table, its boot chain. Raises StorageError when it cannot be read."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            table = file.read(SECTOR)
    except OSError as error:
        raise StorageError(f"{path}: expected an image, found: {error.strerror}; check the path") from error
    if size != SIZE_MIB * MIB:
        return [f"{path}: expected {SIZE_MIB * MIB} bytes, found {size}; the image is cut, copy it again"]
    if table[510:] != b"\x55\xaa" or struct.unpack("<I", table[454:458])[0] != BOOT_START // SECTOR:
        return [f"{path}: expected an image's partition table, found another; make it again"]
    names = {name for chain in raspberry.CHAIN.values() for name in chain}
    names |= {raspberry.KERNEL, raspberry.INITRAMFS, "config.txt", "cmdline.txt", "sanderling.txt", DESCRIPTION}
    files = {}
    for name in sorted(names):
        try:
            files[name] = boot_file(path, name)
        except StorageError as error:
            return [str(error)]
    return raspberry.check(files)
