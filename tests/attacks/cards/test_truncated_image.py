"""An image that was cut on its way: it is refused before a card is touched."""

import os

import pytest
from sanderling.firmware_sim import device, image

from sanderling.cli.main import main


@pytest.mark.parametrize("size", [0, 512, 1 << 20, 100 << 20, (image.SIZE_MIB << 20) - 1])
def test_a_cut_image(size, card, tmp_path, capsys, monkeypatch):
    cut = tmp_path / "cut.img"
    os.symlink(card.path, tmp_path / "whole.img")
    with card.path.open("rb") as file:
        cut.write_bytes(file.read(min(size, 4 << 20)))
    os.truncate(cut, size)
    assert main(["flash", "check", "--image", str(cut)]) == 2
    assert f"found {size}; the image is cut" in capsys.readouterr().out
    target = tmp_path / "card"
    target.write_bytes(b"as before")
    monkeypatch.setattr(device, "examine", lambda path: device.Card(path, 32 << 30, True, "SC32G"))
    assert main(["flash", "--image", str(cut), "--device", str(target), "--yes"]) == 2
    assert f"found {size}; the image is cut" in capsys.readouterr().err
    assert target.read_bytes() == b"as before"
    assert main(["flash", "check", "--image", str(tmp_path / "whole.img")]) == 0


def test_an_image_whose_table_is_gone(card, tmp_path, capsys):
    spoilt = tmp_path / "spoilt.img"
    spoilt.write_bytes(bytes(image.SECTOR))
    os.truncate(spoilt, image.SIZE_MIB << 20)
    assert main(["flash", "check", "--image", str(spoilt)]) == 2
    assert "expected an image's partition table" in capsys.readouterr().out
