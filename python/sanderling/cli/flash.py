"""`sanderling flash`: an appliance image for Raspberry Pi 3B, 3B+, Zero 2 W and 4B, as a file or on a card."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sanderling.firmware_sim.device import Card

HELP = "make a bootable Raspberry Pi card with a bundle on it; fetch-packages (network) first (sign extra)"
ACTIONS = ("fetch-packages", "check")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    parser.add_argument(
        "action",
        nargs="?",
        choices=ACTIONS,
        help="fetch-packages: download Debian's kernel and firmware (network, 66 MB); check: an --image's boot chain",
    )
    parser.add_argument("--cache", type=Path, help="Debian's packages (default: $SANDERLING_PACKAGES, or in ~/.cache)")
    parser.add_argument("--bundle", type=Path, help="signed bundle that the board starts with")
    parser.add_argument("--key", type=Path, help="public key that signed it, and that the board will trust")
    parser.add_argument("--image", type=Path, metavar="FILE", help="the image: made, or without --bundle read")
    parser.add_argument("--device", type=Path, metavar="DEV", help="card to overwrite: shown, asked for, verified")
    parser.add_argument("--yes", action="store_true", help="overwrite the device without asking")
    parser.add_argument("--input", default="serial", choices=("serial", "iio", "stdin"), help="where samples come from")
    parser.add_argument("--input-device", default="auto", metavar="NAME", help="ttyUSB0, an IIO device (default: auto)")
    parser.add_argument("--baud", type=int, default=115200, help="of the input (default: 115200)")
    parser.add_argument("--options", default="", help="more options of sanderling-run, in one text")


def run(options: argparse.Namespace) -> int:
    """Does what is asked for."""
    from sanderling.firmware_sim import packages

    options.cache = options.cache or packages.default_cache()
    if options.action == "fetch-packages":
        versions = packages.fetch(options.cache)
        print(f"{options.cache}: " + ", ".join(f"{name} {version}" for name, version in versions.items()))
        return 0
    if options.action == "check":
        return _check(options)
    return _flash(options)


def _check(options: argparse.Namespace) -> int:
    from sanderling.errors import InputError
    from sanderling.firmware_sim import image, raspberry

    if not options.image:
        raise InputError("expected --image FILE to check, found none; give one")
    wrong = image.check(options.image)
    for line in wrong:
        print(line)
    if not wrong:
        print(f"{options.image}: partition table, boot chain of {', '.join(raspberry.BOARDS)} and config.txt fit")
        print(f"note: files were checked; the Raspberry's boot chain was {raspberry.NEVER_BOOTED}")
    return 2 if wrong else 0


def _flash(options: argparse.Namespace) -> int:
    from sanderling.errors import InputError
    from sanderling.firmware_sim import device

    if not (options.image or options.device) or bool(options.bundle) != bool(options.key):
        raise InputError("expected --bundle and --key, and --image FILE or --device DEV, found fewer; see --help")
    if not options.bundle and not (options.image and options.device):
        raise InputError("expected --bundle and --key to make an image, or --image and --device to write one")
    # Before anything takes time: a device that may not be written to.
    card = device.examine(options.device) if options.device else None
    with tempfile.TemporaryDirectory(prefix="sanderling-flash-") as scratch:
        path = options.image or Path(scratch, "card.img")
        if options.bundle:
            _build(path, options)
        return _write(path, card, options) if card else 0


def _build(path: Path, options: argparse.Namespace) -> None:
    from sanderling.firmware_sim import image, packages, raspberry

    settings = image.Settings(options.input, options.input_device, options.baud, options.options)
    made = image.build(path, packages.load(options.cache), options.bundle, options.key, settings)
    print(f"{path}: {made.name} version {made.version} for {', '.join(made.boards)}, image {made.id}")
    print(f"sha256 {made.sha256}; the Raspberry's boot chain was {raspberry.NEVER_BOOTED}")


def _write(path: Path, card: Card, options: argparse.Namespace) -> int:
    from sanderling.errors import InputError, StorageError
    from sanderling.firmware_sim import device, grow, image

    wrong = image.check(path)
    if wrong:
        raise StorageError(wrong[0])
    size = path.stat().st_size
    print(card.describe())
    if card.size < size:
        raise StorageError(f"{card.path}: expected a card of at least {size} bytes, found {card.size}; take another")
    if not options.yes:
        print(f"Everything on it will be lost. Type {card.path} to go on: ", end="", flush=True)
        if sys.stdin.readline().strip() != str(card.path):
            raise InputError(f"expected '{card.path}' as the answer, found another; nothing was written")
    device.write(path, card.path, _progress)
    print(f"\n{card.path}: written and read back, the same bytes")
    print(f"{card.path}: {grow.fill(card.path, card.size, path) >> 20} MiB for data")
    return 0


def _progress(what: str, done: int, whole: int) -> None:
    print(f"\r{what} {done >> 20} of {whole >> 20} MiB ", end="", flush=True)
