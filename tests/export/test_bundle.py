"""Bundles: deterministic, whole, and every change of every byte is noticed."""

import struct
import subprocess
import tarfile

import pytest
from sanderling.export import bundle, minisign

from sanderling.boards import load_board
from sanderling.errors import BundleError, SignatureError

pytest.importorskip("nacl", reason="PyNaCl is not installed; pip install 'sanderling[sign]'")

BOARDS = [load_board("rpi4b"), load_board("rpi3b")]


def elf(machine: int = 183, kinds: tuple[int, ...] = (1,)) -> bytes:
    """The head of a program: ELF64, little-endian, with program headers of these kinds."""
    fields = struct.pack("<HHIQQQIHHH", 2, machine, 1, 0, 64, 0, 0, 64, 56, len(kinds))
    head = b"\x7fELF\x02\x01\x01" + bytes(9) + fields
    return head.ljust(64, b"\0") + b"".join(struct.pack("<I", kind).ljust(56, b"\0") for kind in kinds)


PARTS = {bundle.MODEL: b"GGUF" + bytes(1000), bundle.RUNNER: elf(), "notes.txt": b""}


@pytest.fixture(scope="module")
def key() -> minisign.SecretKey:
    return minisign.generate()


@pytest.fixture
def made(key, tmp_path):
    path = tmp_path / "pump.bundle"
    bundle.create(path, PARTS, name="pump", version=3, boards=BOARDS, key=key)
    return path


def test_a_bundle_comes_back_whole(made, key) -> None:
    found = bundle.verify(made, key.public)
    assert dict(found.parts) == PARTS
    assert (found.manifest.name, found.manifest.version, found.manifest.boards) == ("pump", 3, ("rpi3b", "rpi4b"))
    assert (found.manifest.machine, found.manifest.isa) == ("aarch64", "neon")
    assert found.comment == "pump version 3"


def test_the_same_parts_are_the_same_bytes(made, key, tmp_path) -> None:
    again = tmp_path / "again.bundle"
    backwards = dict(reversed(PARTS.items()))
    bundle.create(again, backwards, name="pump", version=3, boards=BOARDS[::-1], key=key)
    assert again.read_bytes() == made.read_bytes()


def test_tar_takes_it_apart(made, tmp_path) -> None:
    with tarfile.open(made) as archive:
        modes = {member.name: member.mode for member in archive}
    assert list(modes)[:2] == [bundle.MANIFEST, bundle.SIGNATURE]
    assert modes[bundle.RUNNER] == 0o755 and modes[bundle.MODEL] == 0o644
    done = subprocess.run(["tar", "xOf", str(made), bundle.MODEL], capture_output=True, check=True)
    assert done.stdout == PARTS[bundle.MODEL]


def test_every_altered_byte_is_noticed(made, key) -> None:
    whole = made.read_bytes()
    for at in range(0, len(whole), 37):
        changed = bytearray(whole)
        changed[at] ^= 0x20
        made.write_bytes(changed)
        # A comment that nobody trusts is the only free text.
        try:
            bundle.verify(made, key.public)
        except BundleError:
            continue
        start = whole.index(b"untrusted comment:")
        assert start <= at < whole.index(b"\n", start), f"byte {at} was altered and nobody noticed"


def test_every_cut_is_noticed(made, key) -> None:
    whole = made.read_bytes()
    for size in [0, 1, 511, 512, 513, *range(600, len(whole), 701), len(whole) - 1]:
        made.write_bytes(whole[:size])
        with pytest.raises(BundleError):
            bundle.verify(made, key.public)
    made.write_bytes(whole + b"\0" * 512)
    with pytest.raises(BundleError, match="expected the archive's end"):
        bundle.verify(made, key.public)


def test_another_key_opens_nothing(made) -> None:
    with pytest.raises(SignatureError, match="found one by"):
        bundle.verify(made, minisign.generate().public)
    assert bundle.manifest_of(made)[0].version == 3  # inspecting needs no key


def test_parts_cannot_be_swapped_under_a_good_signature(made, key, tmp_path) -> None:
    other = tmp_path / "other.bundle"
    bundle.create(other, PARTS | {bundle.MODEL: b"GGUF" + b"\1" * 1000}, name="pump", version=3, boards=BOARDS, key=key)
    a, b = made.read_bytes(), other.read_bytes()
    at = a.index(b"GGUF")
    made.write_bytes(a[:at] + b[at : at + 1004] + a[at + 1004 :])
    with pytest.raises(BundleError, match=r"expected 'model.gguf' as signed"):
        bundle.verify(made, key.public)


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a/b", "", ".hidden", "x" * 65, "manifest", "a b", "a\n"])
def test_names_that_lead_elsewhere_are_refused(name, key, tmp_path) -> None:
    with pytest.raises(BundleError, match="expected names of letters"):
        bundle.create(tmp_path / "b", PARTS | {name: b""}, name="pump", version=1, boards=BOARDS, key=key)
    manifest = bundle.Manifest("pump", 1, "aarch64", "neon", ("rpi4b",), (bundle.Part(name, "0" * 64, 0, 0o644),))
    with pytest.raises(BundleError):
        bundle.parse_manifest(manifest.text().encode())


@pytest.mark.parametrize(
    ("line", "other"),
    [
        ("version 3", "version 03"),
        ("version 3", "version -3"),
        ("version 3", "version 99999999999"),
        ("name pump", "name pu/mp"),
        ("sanderling-bundle 1", "sanderling-bundle 2"),
        ("boards rpi3b rpi4b\n", ""),
        (" 644 model.gguf", " 4755 model.gguf"),
        (" 644 notes.txt", " 644 model.gguf"),
    ],
)
def test_manifests_say_things_one_way(line, other, made) -> None:
    text = bundle.manifest_of(made)[0].text()
    assert line in text
    with pytest.raises(BundleError):
        bundle.parse_manifest(text.replace(line, other).encode())


@pytest.mark.parametrize(
    ("runner", "part"),
    [
        (elf(machine=62), "found one for x86_64"),
        (elf(kinds=(1, 3)), "dynamic loader"),
        (b"#!/bin/sh\n", "64-bit ELF"),
        (b"", "64-bit ELF"),
    ],
    ids=["machine", "dynamic", "script", "empty"],
)
def test_a_runner_that_cannot_run_there_is_refused(runner, part, key, tmp_path) -> None:
    with pytest.raises(BundleError, match=part):
        bundle.create(
            tmp_path / "b", PARTS | {bundle.RUNNER: runner}, name="pump", version=1, boards=BOARDS, key=key
        )
    assert not (tmp_path / "b").exists()


def test_a_bundle_is_for_one_machine_and_has_its_parts(key, tmp_path) -> None:
    with pytest.raises(BundleError, match="boards of one machine"):
        mixed = [load_board("rpi4b"), load_board("x86_64")]
        bundle.create(tmp_path / "b", PARTS, name="pump", version=1, boards=mixed, key=key)
    with pytest.raises(BundleError, match=r"expected the part 'model.gguf'"):
        bundle.create(tmp_path / "b", {bundle.RUNNER: elf()}, name="pump", version=1, boards=BOARDS, key=key)
    with pytest.raises(BundleError, match="expected a version"):
        bundle.create(tmp_path / "b", PARTS, name="pump", version=0, boards=BOARDS, key=key)
    with pytest.raises(BundleError, match="nowhere"):
        bundle.verify(tmp_path / "nowhere", key.public)
