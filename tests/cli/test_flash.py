"""`sanderling flash`: mistakes, and the question before a card is overwritten. The images: tests/firmware_sim."""

import os

import pytest
from sanderling.firmware_sim import device, image, packages

from sanderling.cli.main import main
from tests.firmware_sim.test_image import sign

pytest.importorskip("nacl", reason="PyNaCl is not installed; pip install 'sanderling[sign]'")


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "expected --bundle and --key, and --image FILE or --device DEV"),
        (["--image", "card.img"], "expected --bundle and --key to make an image"),
        (["--image", "card.img", "--bundle", "b"], "expected --bundle and --key"),
        (["check"], "expected --image FILE to check"),
        (["check", "--image", "none.img"], "none.img: expected an image, found: No such file"),
        (["--image", "card.img", "--device", "none"], "none: expected a card's device"),
    ],
)
def test_mistakes(arguments, message, capsys):
    assert main(["flash", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_without_packages_the_command_that_brings_them_is_named(tmp_path, capsys):
    bundle, key = sign(tmp_path, ["rpi4b"])
    options = ["--bundle", str(bundle), "--key", str(key), "--image", str(tmp_path / "card.img")]
    assert main(["flash", "--cache", str(tmp_path / "cache"), *options]) == 2
    assert "sanderling flash fetch-packages --cache" in capsys.readouterr().err


@pytest.fixture
def card(tmp_path, monkeypatch):
    """An image's path and a file that stands for a card of its size; the image's check passes."""
    monkeypatch.setattr(image, "check", lambda path: [])
    (tmp_path / "card.img").write_bytes(os.urandom(4096))
    (tmp_path / "card").write_bytes(bytes(8192))
    found = device.Card(tmp_path / "card", 8192, True, "SC32G")
    monkeypatch.setattr(device, "examine", lambda path: found)
    return tmp_path / "card.img", found


def test_yes_is_the_devices_name(card, monkeypatch, capsys):
    path, found = card
    monkeypatch.setattr("sys.stdin", open(os.devnull))
    assert main(["flash", "--image", str(path), "--device", str(found.path)]) == 2
    assert found.path.read_bytes() == bytes(8192)
    said = capsys.readouterr()
    assert "removable, SC32G" in said.out and "nothing was written" in said.err
    assert main(["flash", "--image", str(path), "--device", str(found.path), "--yes"]) == 0
    assert found.path.read_bytes()[:4096] == path.read_bytes()
    assert "written and read back" in capsys.readouterr().out


def test_a_card_that_is_too_small(card, monkeypatch, capsys):
    path, found = card
    monkeypatch.setattr(device, "examine", lambda path: device.Card(found.path, 2048, True, ""))
    assert main(["flash", "--image", str(path), "--device", str(found.path), "--yes"]) == 2
    assert "expected a card of at least 4096 bytes, found 2048" in capsys.readouterr().err


def test_fetching_is_asked_for_by_name(tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(packages, "fetch", lambda cache: asked.append(cache) or {"linux": "6.1"})
    assert main(["flash", "fetch-packages", "--cache", str(tmp_path)]) == 0
    assert asked == [tmp_path] and "linux 6.1" in capsys.readouterr().out
