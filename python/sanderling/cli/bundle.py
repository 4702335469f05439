"""`sanderling bundle keygen|create|verify|inspect|unpack`: signed bundles for boards."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict
from pathlib import Path

HELP = "make, verify, inspect or unpack a signed bundle for a board (sign extra)"
PASSWORD = "SANDERLING_KEY_PASSWORD"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="action", required=True)
    pair = actions.add_parser("keygen", help=f"a minisign key pair; ${PASSWORD}, if set, encrypts the secret key")
    pair.add_argument("-o", "--out", type=Path, required=True, metavar="NAME", help="writes NAME.key and NAME.pub")
    new = actions.add_parser("create", help="one signed file: model, calibration, runner, unit file")
    new.add_argument("model", type=Path, help="a native file, best a calibrated one, or a shipped name")
    new.add_argument("-o", "--out", type=Path, required=True, metavar="FILE")
    new.add_argument("--runner", type=Path, required=True, help="static sanderling-run for the board")
    new.add_argument("--board", action="append", required=True, metavar="ID", help="repeat for more boards")
    new.add_argument("--key", type=Path, required=True, help="secret key")
    new.add_argument("--version", type=int, required=True, metavar="N", help="grows with every release")
    new.add_argument("--name", help="default: the model file's name")
    new.add_argument("--part", type=Path, action="append", default=[], metavar="FILE", help="another file to carry")
    for action, text in (("verify", "check signature and hashes"), ("unpack", "verify, then write the parts")):
        one = actions.add_parser(action, help=text)
        one.add_argument("bundle", type=Path)
        one.add_argument("--key", type=Path, required=True, help="public key")
        if action == "unpack":
            one.add_argument("-o", "--out", type=Path, required=True, metavar="FOLDER", help="new, or empty")
    look = actions.add_parser("inspect", help="what is inside; hashes are checked, the signature is not")
    look.add_argument("bundle", type=Path)
    look.add_argument("--json", action="store_true", help="as JSON")


def run(options: argparse.Namespace) -> int:
    """Does what the action asks for."""
    return _ACTIONS[options.action](options)


def _keygen(options: argparse.Namespace) -> int:
    from sanderling.errors import StorageError
    from sanderling.export import minisign

    secret, public = (options.out.with_name(options.out.name + suffix) for suffix in (".key", ".pub"))
    for path in (secret, public):
        if path.exists():
            raise StorageError(f"{path}: expected no file, found one; keys are never overwritten, choose another name")
    key = minisign.generate()
    minisign.write_secret(secret, key, os.environ.get(PASSWORD, ""))
    minisign.write_public(public, key.public)
    print(f"{secret}\n{public}")
    return 0


def _create(options: argparse.Namespace) -> int:
    from sanderling.boards import load_board
    from sanderling.errors import BundleError
    from sanderling.export import bundle, minisign
    from sanderling.export.unit import unit_file
    from sanderling.runtime.backends import NATIVE
    from sanderling.runtime.detector import Detector

    boards = [load_board(name) for name in dict.fromkeys(options.board)]
    name = options.name or options.model.stem
    detector = Detector.load(options.model)
    if detector.backend != NATIVE or detector.path is None:
        found = f"found one of {detector.backend}"
        raise BundleError(f"{options.model}: expected a native file, which the runner runs, {found}; give the .gguf")
    if not detector.calibrated:
        print(f"note: {options.model} is not calibrated: the board will start cold")
    parts = {
        bundle.MODEL: _content(detector.path),
        bundle.RUNNER: _content(options.runner),
        bundle.UNIT: unit_file(name).encode(),
    }
    for path in options.part:
        if path.name in parts:
            raise BundleError(f"expected parts of different names, found '{path.name}' twice; rename one")
        parts[path.name] = _content(path)
    key = minisign.read_secret(options.key, os.environ.get(PASSWORD, ""))
    made = bundle.create(options.out, parts, name=name, version=options.version, boards=boards, key=key)
    print(f"{options.out}: {made.name} version {made.version} for {', '.join(made.boards)}, key {key.public.name}")
    return 0


def _content(path: Path) -> bytes:
    from sanderling.errors import BundleError

    try:
        if path.exists() and not path.is_file():  # a device may have no end
            raise BundleError(f"{path}: expected a file for the bundle, found no regular one; check the path")
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: expected a file for the bundle, found: {error.strerror}; check the path") from error


def _verify(options: argparse.Namespace) -> int:
    from sanderling.export import bundle, minisign

    found = bundle.verify(options.bundle, minisign.read_public(options.key))
    made = found.manifest
    boards = ", ".join(made.boards)
    print(f"{options.bundle}: {made.name} version {made.version} for {boards}: signature and hashes fit")
    return 0


def _unpack(options: argparse.Namespace) -> int:
    from sanderling.errors import StorageError
    from sanderling.export import bundle, minisign

    found = bundle.verify(options.bundle, minisign.read_public(options.key))
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        if any(options.out.iterdir()):
            raise StorageError(f"{options.out}: expected an empty folder, found files; choose another")
        for part in found.manifest.parts:
            target = options.out / part.name
            target.write_bytes(found.parts[part.name])
            target.chmod(part.mode)
    except OSError as error:
        raise StorageError(f"expected to write {options.out}, found: {error.strerror or error}") from error
    print(options.out)
    return 0


def _inspect(options: argparse.Namespace) -> int:
    from sanderling.export import bundle

    made, _ = bundle.manifest_of(options.bundle)
    if options.json:
        print(json.dumps({"signature": "not checked", **asdict(made)}))
        return 0
    print(f"{made.name} version {made.version} for {', '.join(made.boards)} ({made.machine}, {made.isa})")
    for part in made.parts:
        print(f"  {part.mode:o}  {part.size:>9}  {part.sha256[:16]}  {part.name}")
    print("hashes fit; the signature was not checked (sanderling bundle verify --key)")
    return 0


_ACTIONS = {"keygen": _keygen, "create": _create, "verify": _verify, "unpack": _unpack, "inspect": _inspect}
