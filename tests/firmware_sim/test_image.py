"""An image: the same bytes from the same parts, its table, its files, and what it refuses."""

import os
import struct
import subprocess

import pytest
from sanderling.export import bundle, minisign
from sanderling.firmware_sim import image, initramfs, raspberry

from sanderling.boards import load_board, load_boards
from sanderling.errors import BundleError, DependencyError, StorageError
from tests.export.test_bundle import elf


@pytest.fixture
def small(tmp_path):
    """A bundle whose runner is a head alone, its key file."""
    return sign(tmp_path, ["rpi3b", "rpi4b"])


def sign(folder, boards):
    key = minisign.generate()
    minisign.write_public(folder / "k.pub", key.public)
    parts = {bundle.MODEL: b"model", bundle.RUNNER: elf()}
    profiles = [load_board(name) for name in boards]
    bundle.create(folder / "b.bundle", parts, name="pump", version=3, boards=profiles, key=key)
    return folder / "b.bundle", folder / "k.pub"


@pytest.fixture(scope="module")
def built(tmp_path_factory, stand_in):
    """An image that reads from an IIO device."""
    folder = tmp_path_factory.mktemp("built")
    settings = image.Settings("iio", "adc0", options="--period 0.1")
    return image.build(folder / "a.img", stand_in, *sign(folder, ["rpi3b"]), settings)


def test_the_same_parts_give_the_same_bytes(tmp_path, stand_in, small):
    first = image.build(tmp_path / "a.img", stand_in, *small)
    second = image.build(tmp_path / "b.img", stand_in, *small)
    assert (first.id, first.sha256) == (second.id, second.sha256)
    assert (first.name, first.version, first.boards) == ("pump", 3, ("rpi3b", "rpi4b"))
    assert not list(tmp_path.glob(".flash-*"))


def test_the_table_and_the_file_systems(built):
    raw = built.path.read_bytes()
    assert len(raw) == image.SIZE_MIB << 20 and raw[510:512] == b"\x55\xaa"
    rows = [struct.unpack("<B3sB3sII", raw[446 + 16 * i : 462 + 16 * i]) for i in range(4)]
    assert [(row[2], row[4] % 2048) for row in rows] == [(0x0C, 0), (0x83, 0), (0, 0), (0, 0)]
    assert rows[0][4] + rows[0][5] == rows[1][4] and (rows[1][4] + rows[1][5]) * 512 == len(raw)
    assert raw[rows[1][4] * 512 + 1080 : rows[1][4] * 512 + 1082] == b"\x53\xef"  # ext4's superblock
    settings = image.boot_file(built.path, "sanderling.txt")
    assert b"input=iio\ndevice=adc0\nbaud=115200\noptions=--period 0.1\n" in settings
    assert f"image {built.id}".encode() in image.boot_file(built.path, "image.txt")
    assert image.check(built.path) == []


def test_the_data_partition_is_clean(tmp_path, built):
    data = tmp_path / "data.img"
    data.write_bytes(built.path.read_bytes()[(image.BOOT_MIB + 1) << 20 :])
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    done = subprocess.run(["e2fsck", "-fn", str(data)], env={"PATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_settings_are_single_lines():
    with pytest.raises(BundleError, match="one line each"):
        image.Settings(options="a\nb").text()
    with pytest.raises(BundleError, match="serial, iio or stdin"):
        image.Settings(input="mqtt").text()


def test_a_tool_that_is_missing(tmp_path, stand_in, small, monkeypatch):
    monkeypatch.setattr(image, "PATH", str(tmp_path))
    with pytest.raises(DependencyError, match="expected mkfs.fat, found none; install the package dosfstools"):
        image.build(tmp_path / "a.img", stand_in, *small)


def test_a_folder_that_is_not_there(tmp_path, stand_in, small):
    with pytest.raises(StorageError, match="expected a folder"):
        image.build(tmp_path / "none" / "a.img", stand_in, *small)


def test_the_initramfs_is_a_cpio_archive(stand_in):
    raw = initramfs.build(stand_in, {"etc/factory.bundle": b"bundle"})
    found, at = {}, 0
    while True:
        fields = [int(raw[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        name = raw[at + 110 : at + 109 + fields[11]].decode()
        start = -(-(at + 110 + fields[11]) // 4) * 4
        found[name] = (raw[start : start + fields[6]], fields[1])
        at = -(-(start + fields[6]) // 4) * 4
        if name == "TRAILER!!!":
            break
    assert at == len(raw)
    assert found["etc/factory.bundle"][0] == b"bundle"
    assert found["init"] == (initramfs.init_script(), 0o100755)
    assert found["bin/busybox"][1] == 0o100755 and found["lib/00-a.ko"][1] == 0o100644
    assert found["dev/console"][1] == 0o20600


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda files: files.pop("start4.elf"), "rpi4b: expected start4.elf"),
        (lambda files: files.update({"start.elf": b"text"}), "start.elf: expected an ELF file"),
        (lambda files: files.update({"bcm2837-rpi-3-b.dtb": b"\xd0\r\xfe\xed\0\0\1\0"}), "a whole device tree"),
        (lambda files: files.update({"vmlinuz": b"MZ"}), "vmlinuz: expected a whole 64-bit ARM kernel"),
        (lambda files: files.update({"initrd.img": files["initrd.img"][:-600]}), "expected a whole initramfs"),
        (lambda files: files.update({"config.txt": b"arm_64bit=0\n"}), "config.txt: expected 'arm_64bit=1'"),
        (lambda files: files.update({"cmdline.txt": b"a\nb\n"}), "cmdline.txt: expected one line"),
    ],
)
def test_the_boot_chain_is_checked(change, message, stand_in):
    files = {"config.txt": raspberry.CONFIG.encode(), "cmdline.txt": raspberry.CMDLINE.encode()}
    files |= {raspberry.KERNEL: stand_in.files["vmlinuz"], raspberry.INITRAMFS: initramfs.build(stand_in, {})}
    files |= stand_in.folder("firmware") | stand_in.folder("dtb")
    assert raspberry.check(files) == []
    change(files)
    assert any(message in line for line in raspberry.check(files))


def test_the_real_image(card, debian):
    assert image.check(card.path) == []
    assert set(card.boards) == set(raspberry.BOARDS)
    assert image.boot_file(card.path, "vmlinuz") == debian.files["vmlinuz"]
    assert raspberry.NEVER_BOOTED.encode() in image.boot_file(card.path, "image.txt")



def test_profiles_and_images_agree():
    assert {board.id for board in load_boards().values() if board.flash == "sd_image"} == set(raspberry.BOARDS)
