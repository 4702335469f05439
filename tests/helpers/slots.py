"""Bundles and a state folder for the tests of `sanderling-run slot`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sanderling.export import bundle, minisign

from sanderling.boards import load_board
from tests.runner.driver import Done, Run


@dataclass
class Board:
    """A runner with a state folder. id: the board that it is told to be; launcher: what runs its machine's programs."""

    run: Run
    runner: Path
    model: Path
    folder: Path
    id: str = "x86_64"
    launcher: str = ""

    def __post_init__(self) -> None:
        self.state = self.folder / "S"
        self.state.mkdir(parents=True)
        self.secret = minisign.generate()
        self.key = self.folder / "k.pub"
        minisign.write_public(self.key, self.secret.public)

    def parts(self) -> dict[str, bytes]:
        files = {bundle.MODEL: self.model, bundle.RUNNER: self.runner}
        return {name: path.read_bytes() for name, path in files.items()} | {bundle.UNIT: b"[Unit]\n"}

    def bundle(self, version: int, *, name: str = "p", board: str = "", secret=None, **parts: bytes) -> Path:
        """parts by name, with __ for a dot, replace the usual ones."""
        given = {key.replace("__", "."): data for key, data in parts.items()}
        path = self.folder / f"{version}-{name}-{board}-{len(list(self.folder.iterdir()))}.bundle"
        boards = [load_board(board or self.id)]
        key = secret or self.secret
        bundle.create(path, self.parts() | given, name=name, version=version, boards=boards, key=key)
        return path

    def slot(self, verb: str, *words: object, **options: Any) -> Done:
        launcher = ["--launcher", self.launcher] if verb == "install" and self.launcher else []
        return self.run("slot", verb, *words, "--state", self.state, "--board", self.id, *launcher, **options)

    def good(self, verb: str, *words: object) -> dict[str, Any]:
        """The JSON of a verb that went well; of `next` the slot's letter as "next"."""
        done = self.slot(verb, *words)
        assert done.returncode == 0, done.stderr.decode()
        return {"next": done.stdout.decode()[-2]} if verb == "next" else json.loads(done.stdout)

    def install(self, version: int, *words: object) -> dict[str, Any]:
        return self.good("install", self.bundle(version), "--key", self.key, *words)

    def update(self, version: int) -> dict[str, Any]:
        """Installed, started, confirmed."""
        self.install(version)
        self.good("next")
        return self.good("confirm")

    def events(self) -> list[str]:
        lines = self.slot("history").stdout.decode().splitlines()
        return [json.loads(line)["event"] for line in lines]

    def version(self) -> int:
        """What starts now."""
        chosen = self.good("next")["next"]
        return self.good("status")[f"{chosen}_version"]


def signed_archive(text: bytes, files: Mapping[str, bytes], secret: minisign.SecretKey) -> bytes:
    """An archive whose manifest says anything, with a good signature: what only the holder of the key can make."""
    signature = minisign.sign(text, secret).encode()
    members = [(bundle.MANIFEST, text), (bundle.SIGNATURE, signature), *files.items()]
    body = b"".join(bundle._header(n, len(d), 0o644) + d + bytes(-len(d) % 512) for n, d in members)
    return body + bytes(1024)
