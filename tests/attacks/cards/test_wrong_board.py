"""A bundle for another board: no image is made of it, and a card in another board starts nothing that is not for it."""

import pytest
from sanderling.export import bundle, minisign
from sanderling.firmware_sim import image, sim

from sanderling.boards import load_board
from sanderling.cli.main import main
from sanderling.errors import BoardError


def resign(made, folder, boards):
    """The bundle of `made` for other boards, under a new key."""
    parts = bundle.verify(made.bundle, minisign.read_public(made.key)).parts
    key = minisign.generate()
    minisign.write_public(folder / "k.pub", key.public)
    profiles = [load_board(name) for name in boards]
    bundle.create(folder / "b.bundle", parts, name="pump", version=1, boards=profiles, key=key)
    return folder / "b.bundle", folder / "k.pub"


def test_no_image_for_a_jetson(cache, made, tmp_path, capsys):
    package, key = resign(made, tmp_path, ["jetson_nano"])
    options = ["--cache", str(cache), "--bundle", str(package), "--key", str(key)]
    assert main(["flash", *options, "--image", str(tmp_path / "card.img")]) == 2
    assert "found jetson_nano; for others: sanderling deploy" in capsys.readouterr().err
    assert not (tmp_path / "card.img").exists()


def test_no_emulated_jetson(cache, capsys):
    assert main(["sim", "--cache", str(cache), "--board", "jetson_nano"]) == 2
    assert "expected a board that images are for" in capsys.readouterr().err


@pytest.mark.slow
def test_a_card_in_another_board(debian, made, tmp_path):
    package, key = resign(made, tmp_path, ["rpi3b"])
    card = image.build(tmp_path / "card.img", debian, package, key)
    carried = bundle.verify(package, minisign.read_public(key))
    with pytest.raises(BoardError, match="expected the board to say 'running', found: .*"):
        sim.run(load_board("rpi4b"), card.path, carried, made.recording, counting=False)
