"""Bundles: one signed file with everything that a board needs, checked without installing anything.

A bundle is a POSIX ustar archive; the same parts give the same bytes (owner 0, time 0, fixed order):

    manifest            text, see Manifest
    manifest.minisig    minisign signature of manifest
    <parts>             model.gguf, sanderling-run, sanderling.service, ... each with its SHA-256 in the manifest

Only the manifest is signed; a part is trusted because the manifest has its hash and size. Nothing of a part is used
before both are checked. `tar xf` and `minisign -Vm manifest` and `sha256sum` take a bundle apart as well.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sanderling.export import minisign

from sanderling.boards import Board
from sanderling.errors import BundleError, SignatureError
from sanderling.files import write_file

MAGIC = "sanderling-bundle 1"
MANIFEST, SIGNATURE = "manifest", "manifest.minisig"
MODEL, RUNNER, UNIT = "model.gguf", "sanderling-run", "sanderling.service"
BLOCK = 512
MAX_PARTS, MAX_PART, MAX_MANIFEST = 32, 256 << 20, 65536
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
EXECUTABLE, DATA = 0o755, 0o644
ELF_MACHINES = {183: "aarch64", 62: "x86_64"}


@dataclass(frozen=True)
class Part:
    """A file of a bundle: its name, SHA-256 as hex, bytes and mode (0o644 or 0o755)."""

    name: str
    sha256: str
    size: int
    mode: int


@dataclass(frozen=True)
class Manifest:
    """What the signature covers, one `key value` a line:

        sanderling-bundle 1
        name pump
        version 3
        machine aarch64
        isa neon
        boards rpi3b rpi4b
        part <sha256> <size> <mode> <name>        a line each

    version: a whole number that grows with every release; a board refuses a smaller one. machine: uname's. isa: the
    tier of the weakest board. boards: profiles' ids.
    """

    name: str
    version: int
    machine: str
    isa: str
    boards: tuple[str, ...]
    parts: tuple[Part, ...] = field(default=())

    def text(self) -> str:
        """The manifest's file."""
        head = [
            MAGIC,
            f"name {self.name}",
            f"version {self.version}",
            f"machine {self.machine}",
            f"isa {self.isa}",
            f"boards {' '.join(self.boards)}",
        ]
        return "\n".join([*head, *(f"part {p.sha256} {p.size} {p.mode:o} {p.name}" for p in self.parts)]) + "\n"


def parse_manifest(raw: bytes, what: str = "the bundle") -> Manifest:
    """A manifest from its file. Raises BundleError for anything but what `Manifest.text` writes."""
    try:
        lines = raw.decode("ascii").split("\n")
        if lines[0] != MAGIC:
            raise BundleError(f"{what}: expected a manifest that starts with '{MAGIC}', found {lines[0][:40]!r}")
        fields = dict(line.split(" ", 1) for line in lines[1:6])
        parts = []
        for line in lines[6:-1]:
            key, digest, size, mode, name = line.split(" ")
            if key != "part" or not re.fullmatch(r"[0-9a-f]{64}", digest):
                raise ValueError(line)
            parts.append(Part(name, digest, int(size), int(mode, 8)))
        found = Manifest(
            fields["name"],
            int(fields["version"]),
            fields["machine"],
            fields["isa"],
            tuple(fields["boards"].split(" ")),
            tuple(parts),
        )
    except (ValueError, KeyError, IndexError) as error:
        raise BundleError(f"{what}: expected a manifest of 'key value' lines, found another line ({error})") from error
    _check(found, what)
    if found.text().encode() != raw:
        raise BundleError(f"{what}: expected the manifest's one way to write itself, found another; rebuild the bundle")
    return found


def _check(manifest: Manifest, what: str) -> None:
    names = [part.name for part in manifest.parts]
    wrong = [name for name in names if not NAME.fullmatch(name) or name in {MANIFEST, SIGNATURE}]
    if not NAME.fullmatch(manifest.name) or wrong:
        bad = wrong[0] if wrong else manifest.name
        raise BundleError(f"{what}: expected names of letters, digits, '.', '_' and '-', at most 64, found {bad!r}")
    if len(names) != len(set(names)) or len(names) > MAX_PARTS:
        raise BundleError(f"{what}: expected at most {MAX_PARTS} parts of different names, found {len(names)}")
    if not 0 < manifest.version < 1 << 31:
        raise BundleError(f"{what}: expected a version from 1 to 2147483647, found {manifest.version}")
    sizes = [part for part in manifest.parts if not 0 <= part.size <= MAX_PART or part.mode not in {EXECUTABLE, DATA}]
    if sizes:
        raise BundleError(f"{what}: expected parts up to {MAX_PART} bytes of mode 644 or 755, found '{sizes[0].name}'")


@dataclass(frozen=True)
class Bundle:
    """A bundle whose signature and hashes fit. parts: bytes by name. comment: the signature's trusted comment."""

    manifest: Manifest
    parts: Mapping[str, bytes]
    comment: str


def create(
    path: Path, parts: Mapping[str, bytes], *, name: str, version: int, boards: Iterable[Board], key: minisign.SecretKey
) -> Manifest:
    """Writes a signed bundle and returns its manifest. The same arguments give the same bytes.

    Args:
        path: the file; replaced in one step.
        parts: bytes by name; MODEL and RUNNER must be among them.
        name, version: of the manifest.
        boards: profiles that it is for, all of one machine.
        key: signs it.

    Raises:
        BundleError: a part is missing, or is not for these boards.
        StorageError: the file could not be written.
    """
    profiles = list(boards)
    machine = _machine(profiles)
    for wanted in (MODEL, RUNNER):
        if wanted not in parts:
            raise BundleError(f"expected the part '{wanted}' in the bundle, found {', '.join(parts) or 'none'}")
    _check_runner(parts[RUNNER], machine)
    listed = [
        Part(n, hashlib.sha256(data).hexdigest(), len(data), EXECUTABLE if n == RUNNER else DATA)
        for n, data in sorted(parts.items())
    ]
    isa = min((board.isa for board in profiles), key=len)  # neon before neon_dotprod
    manifest = Manifest(name, version, machine, isa, tuple(sorted(b.id for b in profiles)), tuple(listed))
    _check(manifest, str(path))
    text = manifest.text().encode()
    signature = minisign.sign(text, key, f"{name} version {version}")
    archive = _archive(manifest, signature.encode(), parts)
    write_file(path, lambda file: file.write(archive))
    return manifest


def _archive(manifest: Manifest, signature: bytes, parts: Mapping[str, bytes]) -> bytes:
    files = [(MANIFEST, manifest.text().encode(), DATA), (SIGNATURE, signature, DATA)]
    files += [(part.name, parts[part.name], part.mode) for part in manifest.parts]
    return b"".join(_header(n, len(d), m) + d + bytes(-len(d) % BLOCK) for n, d, m in files) + bytes(2 * BLOCK)


def read(path: Path) -> tuple[bytes, dict[str, bytes]]:
    """A bundle's bytes and its members by name, unchecked but for the archive's own form. Raises BundleError."""
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise BundleError(f"{path}: expected a bundle, found no regular file; check the path")
        if size > (MAX_PARTS + 2) * (MAX_PART + 2 * BLOCK):
            raise BundleError(f"{path}: expected a bundle, found {size} bytes, which is more than any bundle has")
        raw = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: expected a bundle, found: {error.strerror}; check the path") from error
    members: dict[str, bytes] = {}
    at = 0
    while raw[at : at + BLOCK] != bytes(BLOCK):
        name, size = _parse_header(raw[at : at + BLOCK], f"{path}: the archive's header at byte {at}")
        data = raw[at + BLOCK : at + BLOCK + size]
        if len(data) != size or name in members or len(members) >= MAX_PARTS + 2:
            raise BundleError(f"{path}: expected whole members of different names, found '{name}' cut or twice")
        members[name] = data
        at += BLOCK + -(-size // BLOCK) * BLOCK
    if raw[at:] != bytes(2 * BLOCK):
        raise BundleError(f"{path}: expected the archive's end at byte {at}, found more or less; fetch the file again")
    return raw, members


def manifest_of(path: Path) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest and the members, hashes checked, the signature not. Raises BundleError."""
    raw, members = read(path)
    for wanted in (MANIFEST, SIGNATURE):
        if len(members.get(wanted, bytes(MAX_MANIFEST + 1))) > MAX_MANIFEST:
            raise BundleError(f"{path}: expected a small '{wanted}' in the bundle, found none; it is no bundle of ours")
    manifest = parse_manifest(members[MANIFEST], str(path))
    rest = {name: data for name, data in members.items() if name not in {MANIFEST, SIGNATURE}}
    if list(rest) != [part.name for part in manifest.parts]:
        raise BundleError(f"{path}: expected the parts that the manifest lists, in its order, found {', '.join(rest)}")
    for part in manifest.parts:
        if len(rest[part.name]) != part.size or hashlib.sha256(rest[part.name]).hexdigest() != part.sha256:
            raise BundleError(f"{path}: expected '{part.name}' as signed, found altered bytes; fetch the file again")
    if _archive(manifest, members[SIGNATURE], rest) != raw:
        raise BundleError(f"{path}: expected an archive with nothing else in it, found more; fetch the file again")
    return manifest, members


def verify(path: Path, key: minisign.PublicKey) -> Bundle:
    """The bundle, when the key signed it and every part is as signed. Raises BundleError, SignatureError."""
    _, members = read(path)
    if MANIFEST not in members or SIGNATURE not in members:
        raise BundleError(f"{path}: expected '{MANIFEST}' and '{SIGNATURE}', found neither; it is no bundle of ours")
    try:
        signature = members[SIGNATURE].decode("ascii")
    except UnicodeDecodeError as error:
        raise SignatureError(f"{path}: expected a minisign signature, found bytes that are no text") from error
    # Before the manifest is looked into: its parser meets signed bytes only.
    comment = minisign.verify(members[MANIFEST], signature, key, str(path))
    manifest, members = manifest_of(path)
    return Bundle(manifest, {part.name: members[part.name] for part in manifest.parts}, comment)


def _machine(boards: list[Board]) -> str:
    machines = {"aarch64" if board.isa.startswith("neon") else "x86_64" for board in boards}
    if len(machines) != 1:
        found = ", ".join(sorted(machines)) or "none"
        raise BundleError(f"expected boards of one machine, found {found}; make two bundles")
    return machines.pop()


def _check_runner(data: bytes, machine: str) -> None:
    """The runner is a static program for the machine: ELF64, little-endian, no interpreter."""
    if len(data) < 64 or data[:6] != b"\x7fELF\x02\x01":
        raise BundleError("expected a runner that is a 64-bit ELF program, found another file; build sanderling-run")
    found = ELF_MACHINES.get(int.from_bytes(data[18:20], "little"), "another machine")
    if found != machine:
        raise BundleError(f"expected a runner for {machine}, found one for {found}; build it for the board")
    start, size, count = (int.from_bytes(data[a:b], "little") for a, b in ((32, 40), (54, 56), (56, 58)))
    kinds = [int.from_bytes(data[start + i * size : start + i * size + 4], "little") for i in range(count)]
    if 3 in kinds:  # PT_INTERP
        raise BundleError("expected a static runner, found one that needs a dynamic loader; link it statically")


def _header(name: str, size: int, mode: int) -> bytes:
    """A ustar header (POSIX.1-1988)."""
    header = bytearray(BLOCK)
    for at, text in (
        (0, name.encode()),
        (100, b"%07o\0" % mode),
        (108, b"0000000\0"),
        (116, b"0000000\0"),
        (124, b"%011o\0" % size),
        (136, b"00000000000\0"),
        (148, b" " * 8),
        (156, b"0"),
        (257, b"ustar\x0000"),
    ):
        header[at : at + len(text)] = text
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def _parse_header(raw: bytes, what: str) -> tuple[str, int]:
    """Name and size of a member, when the header is exactly what `_header` writes for them. Raises BundleError."""
    try:
        name, size, mode = raw[:100].rstrip(b"\0").decode("ascii"), int(raw[124:135], 8), int(raw[100:107], 8)
    except ValueError:
        name, size, mode = "", 0, 0
    plain = NAME.fullmatch(name) and 0 <= size <= MAX_PART and mode in {EXECUTABLE, DATA}
    if not plain or raw != _header(name, size, mode):
        raise BundleError(f"{what}: expected a plain file as bundles have them, found another; fetch the file again")
    return name, size
