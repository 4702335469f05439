"""A card larger than its image: the data partition ends where the card ends; cut off in between, it still starts."""

import os
import shutil
import struct
import subprocess

import pytest
from sanderling.export import bundle, minisign
from sanderling.firmware_sim import grow, image, sim

from sanderling.boards import load_board
from sanderling.errors import StorageError
from tests.firmware_sim.test_image import sign

GIB = 1 << 30


@pytest.fixture(scope="module")
def built(tmp_path_factory, stand_in):
    folder = tmp_path_factory.mktemp("built")
    return image.build(folder / "a.img", stand_in, *sign(folder, ["rpi3b"]))


def on_a_card(source, path, size):
    """A file that stands for a card of that size, with the image on it."""
    shutil.copyfile(source, path)
    os.truncate(path, size)
    return path


def table(path):
    """(start, bytes) of the two partitions."""
    head = path.open("rb").read(512)
    rows = [struct.unpack("<II", head[454 + 16 * i : 462 + 16 * i]) for i in range(2)]
    return [(start * 512, count * 512) for start, count in rows]


def data_blocks(path):
    """Bytes of the data partition's file system, when it is whole."""
    place, environ = f"{path}?offset={image.DATA_START}", {"PATH": image.PATH}
    checked = subprocess.run(["e2fsck", "-fn", place], env=environ, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
    said = subprocess.run(["dumpe2fs", "-h", place], env=environ, capture_output=True, text=True).stdout
    values = dict(line.split(":", 1) for line in said.splitlines() if ":" in line)
    return int(values["Block count"]) * int(values["Block size"])


@pytest.mark.parametrize("size", [image.SIZE_MIB << 20, (image.SIZE_MIB << 20) + 12345, 3 * GIB, 31_914_983_424])
def test_it_ends_where_the_card_ends(built, tmp_path, size):
    card = on_a_card(built.path, tmp_path / "card", size)
    before = card.open("rb").read(image.DATA_START)
    got = grow.fill(card, size, built.path)
    assert 0 <= size - (image.DATA_START + got) < image.MIB
    assert table(card) == [(image.BOOT_START, image.BOOT_MIB << 20), (image.DATA_START, got)]
    assert data_blocks(card) == got
    after = card.open("rb").read(image.DATA_START)
    assert after[512:] == before[512:] and after[:446] == before[:446] and after[510:512] == b"\x55\xaa"


def test_beyond_what_the_table_can_say(built, tmp_path, monkeypatch):
    monkeypatch.setattr(image, "format_data", lambda path, start, size, identity: None)
    monkeypatch.setattr(image, "run", lambda *words: None)
    card = on_a_card(built.path, tmp_path / "card", image.SIZE_MIB << 20)
    got = grow.fill(card, 4 << 40, built.path)
    assert sum(table(card)[1]) == image.DATA_START + got == (1 << 41) - image.MIB


def test_no_image_no_card_and_a_tool_that_fails(built, tmp_path):
    (tmp_path / "none").write_bytes(bytes(4096))
    with pytest.raises(StorageError, match="expected image.txt on an image's boot partition"):
        grow.fill(tmp_path / "none", GIB, tmp_path / "none")
    with pytest.raises(StorageError, match="gone: expected a card, found none"):
        grow.fill(tmp_path / "gone", GIB, built.path)
    assert not (tmp_path / "gone").exists()
    with pytest.raises(StorageError, match="mke2fs: expected it to succeed"):
        grow.fill(tmp_path, GIB, built.path)


@pytest.mark.slow
@pytest.mark.parametrize("cut", [False, True], ids=["whole", "cut off before the table"])
def test_a_board_starts_from_it(cut, card, made, tmp_path, monkeypatch):
    if cut:
        monkeypatch.setattr(grow, "_write_table", lambda card, table: None)
    big = on_a_card(card.path, tmp_path / "big", GIB)
    grow.fill(big, GIB, card.path)
    assert (table(big)[1][1] == GIB - image.DATA_START) != cut
    carried = bundle.verify(made.bundle, minisign.read_public(made.key))
    report = sim.run(load_board("rpi4b"), big, carried, made.recording, counting=False)
    assert report.equal
    assert any("making it anew" in str(line.get("note")) for line in report.events) == cut
