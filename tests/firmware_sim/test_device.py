"""Cards: which may be overwritten, and that what is on them afterwards is the image. Linux's folders are stand-ins."""

import os
from pathlib import Path

import pytest
from sanderling.firmware_sim import device

from sanderling.errors import StorageError

NUMBER, PARTITION = "179:0", "179:1"
MOUNT = "36 25 {number} / {where} rw,relatime - ext4 /dev/x rw\n"


@pytest.fixture
def linux(tmp_path):
    """/sys and /proc with one card of 32 MiB that has a partition."""
    block = tmp_path / "devices" / "mmcblk0"
    part = block / "mmcblk0p1"
    for folder in (part / "holders", block / "holders", block / "device", tmp_path / "sys" / "dev" / "block"):
        folder.mkdir(parents=True)
    (tmp_path / "proc" / "self").mkdir(parents=True)
    for path, text in (
        (block / "dev", NUMBER),
        (part / "dev", PARTITION),
        (part / "partition", "1"),
        (block / "size", str((32 << 20) // 512)),
        (block / "removable", "1"),
        (block / "device" / "name", "SC32G"),
        (tmp_path / "proc" / "self" / "mountinfo", MOUNT.format(number="8:1", where="/")),
        (tmp_path / "proc" / "swaps", "Filename Type Size Used Priority\n/dev/sda2 partition 1 0 -2\n"),
    ):
        path.write_text(text + "\n")
    os.symlink(block, tmp_path / "sys" / "dev" / "block" / NUMBER)
    os.symlink(part, tmp_path / "sys" / "dev" / "block" / PARTITION)
    return tmp_path


def card(linux, number=NUMBER):
    return device.card_of(linux / "card", number, linux / "sys", linux / "proc")


def test_a_card(linux):
    found = card(linux)
    assert (found.size, found.removable, found.model) == (32 << 20, True, "SC32G")
    assert "0.0 GB, removable, SC32G" in found.describe()
    (linux / "devices" / "mmcblk0" / "removable").write_text("0")
    assert "NOT removable" in card(linux).describe()


@pytest.mark.parametrize("number", [NUMBER, PARTITION])
def test_a_mounted_card_is_refused(number, linux):
    with (linux / "proc" / "self" / "mountinfo").open("a") as file:
        file.write(MOUNT.format(number=number, where="/media/card"))
    with pytest.raises(StorageError, match="found it mounted: umount /media/card"):
        card(linux)


def test_a_partition_is_refused(linux):
    with pytest.raises(StorageError, match="expected a whole card, found a partition of mmcblk0"):
        card(linux, PARTITION)


def test_swap_is_refused(linux):
    with (linux / "proc" / "swaps").open("a") as file:
        file.write("/dev/mmcblk0p1 partition 1 0 -2\n")
    with pytest.raises(StorageError, match="found swap"):
        card(linux)


def test_a_part_of_something_is_refused(linux):
    (linux / "devices" / "mmcblk0" / "mmcblk0p1" / "holders" / "dm-0").touch()
    with pytest.raises(StorageError, match="found dm-0 on it"):
        card(linux)


def test_what_is_no_device(tmp_path):
    with pytest.raises(StorageError, match="expected a card's device, found: No such file"):
        device.examine(tmp_path / "none")
    with pytest.raises(StorageError, match="expected a block device"):
        device.examine(tmp_path)
    with pytest.raises(StorageError, match="found none with number 9:9"):
        device.card_of(tmp_path, "9:9", tmp_path, tmp_path)


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image"
    path.write_bytes(os.urandom(device.CHUNK * 2 + 512))
    return path


def test_written_and_read_back(image, tmp_path):
    target, steps = tmp_path / "card", []
    target.write_bytes(bytes(image.stat().st_size + 4096))
    device.write(image, target, lambda what, done, whole: steps.append((what, done, whole)))
    assert target.read_bytes()[: image.stat().st_size] == image.read_bytes()
    assert [what for what, *_ in steps] == ["writing"] * 3 + ["verifying"] * 3
    assert steps[-1][1:] == (image.stat().st_size,) * 2


def test_the_table_is_written_last(image, tmp_path):
    target = tmp_path / "card"
    target.write_bytes(bytes(image.stat().st_size))

    def stop(what, done, whole):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        device.write(image, target, stop)
    assert target.read_bytes()[: device.CHUNK] == bytes(device.CHUNK)


def test_a_card_that_keeps_other_bytes(image, tmp_path):
    target = tmp_path / "card"
    target.write_bytes(bytes(image.stat().st_size))

    def spoil(what, done, whole):
        if what == "writing" and done == whole:  # the last one
            with target.open("r+b") as file:
                file.seek(device.CHUNK + 7)
                file.write(b"\0\0")

    with pytest.raises(StorageError, match="found other bytes near 4 MiB"):
        device.write(image, target, spoil)


def test_a_card_that_vanishes(image, tmp_path):
    with pytest.raises(StorageError, match="expected to write the image, found: No such file"):
        device.write(image, tmp_path / "gone", lambda *_: None)


def test_a_card_that_is_too_small(image):
    with pytest.raises(StorageError, match="No space left"):
        device.write(image, Path("/dev/full"), lambda *_: None)
