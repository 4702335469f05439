"""Manifests that lead elsewhere, signed by the right key: a stolen key must not write outside a slot."""

import hashlib
from pathlib import Path

from sanderling.export import bundle

from tests.helpers.slots import signed_archive
from tests.runner.driver import assert_refused

DIGEST = hashlib.sha256(b"x").hexdigest()
HEAD = "sanderling-bundle 1\nname p\nversion 2\nmachine x86_64\nisa avx2\nboards x86_64\n"
USUAL = f"part {DIGEST} 1 644 model.gguf\npart {DIGEST} 1 755 sanderling-run\n"


def files_of(folder: Path) -> dict[Path, bytes]:
    """Everything but the attack and the history of its refusal."""
    own = {"evil.bundle", "history.jsonl"}
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name not in own}


def part(name: str, size: object = 1, mode: str = "644", digest: str = DIGEST) -> str:
    return f"part {digest} {size} {mode} {name}\n"


HOSTILE = [
    *(HEAD + USUAL + part(name) for name in (
        "../evil", "a/b", "/etc/evil", "..", ".", ".hidden", "-rf", "x" * 65, "manifest", "manifest.minisig",
        "model.gguf", "a b", "a\tb", "", "é",
    )),
    *(HEAD + USUAL + part("x", size) for size in (-1, "01", "0x1", 1 << 28 | 1, 1 << 64, "", "1e3")),
    *(HEAD + USUAL + part("x", mode=mode) for mode in ("4755", "777", "000", "0644", "64", "")),
    HEAD + USUAL + part("x", digest=DIGEST.upper()),
    HEAD + USUAL + part("x", digest=DIGEST[1:]),
    HEAD + USUAL + "".join(part(f"x{i}") for i in range(31)),
    HEAD + USUAL + "part\n",
    HEAD + USUAL + "\n",
    HEAD + USUAL[:-1],
    HEAD + part("model.gguf"),
    HEAD,
    "",
    HEAD.replace("bundle 1", "bundle 2") + USUAL,
    HEAD.replace("version 2", "version 0") + USUAL,
    HEAD.replace("version 2", "version 2147483648") + USUAL,
    HEAD.replace("version 2", "version 99999999999999999999999") + USUAL,
    HEAD.replace("name p", "name ../p") + USUAL,
    HEAD.replace("boards x86_64", "boards x86_64 ") + USUAL,
    HEAD.replace("boards x86_64", "boards " + " ".join(f"b{i}" for i in range(40))) + USUAL,
    HEAD.replace("\n", "\r\n") + USUAL,
    HEAD + "# " + "x" * 70000 + "\n",
]  # fmt: skip


def test_each_is_refused(board, tmp_path) -> None:
    path = tmp_path / "evil.bundle"
    before = files_of(tmp_path)
    for text in HOSTILE:
        names = [line.rpartition(" ")[2] for line in text.split("\n") if line.startswith("part ")]
        files = {name: b"x" for name in names if bundle.NAME.fullmatch(name)}
        path.write_bytes(signed_archive(text.encode(), files, board.secret))
        assert_refused(board.slot("install", path, "--force"), "expected")
        assert_refused(board.run("bundle", "inspect", path), "expected")
        assert files_of(tmp_path) == before, text
    assert board.version() == 1


def test_links_in_the_place_of_files(board, tmp_path) -> None:
    """Whoever can write into S could point an idle slot's file elsewhere: it is replaced, not followed."""
    target = tmp_path / "precious"
    target.write_text("keep")
    board.update(2)
    for name in ("model.gguf", "sanderling-run", "manifest"):
        path = board.state / "slots" / "a" / name
        path.unlink()
        path.symlink_to(target)
    (board.state / "trial.tmp").symlink_to(target)
    assert board.install(3)["slot"] == "a"
    assert target.read_text() == "keep" and board.version() == 3
