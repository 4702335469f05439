"""A bundle under another key makes no image, and leaves none behind."""

import pytest
from sanderling.export import minisign

from sanderling.cli.main import main


@pytest.mark.parametrize("damage", ["another key", "an altered part", "an altered signature"])
def test_no_image_is_made(damage, cache, made, tmp_path, capsys):
    key, bundle = made.key, tmp_path / "b.bundle"
    raw = bytearray(made.bundle.read_bytes())
    if damage == "another key":
        key = tmp_path / "other.pub"
        minisign.write_public(key, minisign.generate().public)
    elif damage == "an altered part":
        raw[len(raw) // 2] ^= 1
    else:
        comment = raw.index(b"untrusted comment:")
        raw[raw.index(b"\n", comment) + 40] ^= 1
    bundle.write_bytes(raw)
    image = tmp_path / "card.img"
    options = ["--cache", str(cache), "--bundle", str(bundle), "--key", str(key), "--image", str(image)]
    assert main(["flash", *options]) == 2
    assert capsys.readouterr().err.startswith("sanderling")
    assert not image.exists()
