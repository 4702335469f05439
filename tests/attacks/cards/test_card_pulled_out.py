"""A card that is pulled out while an image is written to it: said at once; without its table it starts nowhere."""

import errno
import os

import pytest
from sanderling.firmware_sim import device

from sanderling.cli.main import main


@pytest.mark.parametrize("moment", ["_write_all", "_read_all"])
def test_a_card_that_vanishes_in_the_middle(moment, card, tmp_path, capsys, monkeypatch):
    target = tmp_path / "card"
    target.touch()
    os.truncate(target, card.path.stat().st_size)
    monkeypatch.setattr(device, "examine", lambda path: device.Card(path, target.stat().st_size, True, "SC32G"))
    usual, calls = getattr(device, moment), []

    def pulled_out(*arguments):
        calls.append(moment)
        if len(calls) == 3:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return usual(*arguments)

    monkeypatch.setattr(device, moment, pulled_out)
    assert main(["flash", "--image", str(card.path), "--device", str(target), "--yes"]) == 2
    said = capsys.readouterr()
    assert f"{target}: expected to write the image, found: Input/output error; try again" in said.err
    assert "the same bytes" not in said.out
    assert (target.read_bytes()[510:512] == b"\x55\xaa") == (moment == "_read_all")
