"""A bundle under another key, or altered: every verb that makes an image of it refuses, and leaves none behind."""

import pytest
from sanderling.export import minisign

from sanderling.cli.main import main

DAMAGES = ("another key", "the secret key", "an altered part", "an altered signature")
EMULATED = ("sim", "--board", "rpi4b")


@pytest.fixture(params=DAMAGES)
def attack(request, made, tmp_path) -> list[str]:
    """--bundle and --key as an attacker, or a tired user, gives them."""
    key, bundle = made.key, tmp_path / "b.bundle"
    raw = bytearray(made.bundle.read_bytes())
    if request.param == "another key":
        key = tmp_path / "other.pub"
        minisign.write_public(key, minisign.generate().public)
    elif request.param == "the secret key":
        key = tmp_path / "other.key"
        minisign.write_secret(key, minisign.generate(), "")
    elif request.param == "an altered part":
        raw[len(raw) // 2] ^= 1
    else:
        comment = raw.index(b"untrusted comment:")
        raw[raw.index(b"\n", comment) + 40] ^= 1
    bundle.write_bytes(raw)
    return ["--bundle", str(bundle), "--key", str(key)]


def test_no_image_is_made(attack, cache, tmp_path, capsys):
    image = tmp_path / "card.img"
    assert main(["flash", "--cache", str(cache), *attack, "--image", str(image)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("sanderling") and "expected" in said and said.count("\n") == 1
    assert not image.exists()


@pytest.mark.parametrize("verb", [EMULATED, (*EMULATED, "--suite"), (*EMULATED, "--power-cut", "0")], ids=" ".join)
def test_no_emulated_board_starts(verb, attack, cache, made, tmp_path, capsys):
    report = tmp_path / "sim.json"
    words = [*verb, "--cache", str(cache), *attack, "--recording", str(made.recording), "--json", str(report)]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "expected" in said and said.count("\n") == 1
    assert not report.exists()
