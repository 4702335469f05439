"""`sanderling sim`: an image on an emulated board; its alarms are compared with this machine's."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sanderling.boards import Board
    from sanderling.export.bundle import Bundle
    from sanderling.firmware_sim.packages import Packages
    from sanderling.firmware_sim.scenario import Scenario

HELP = "boot an emulated board from an image, feed it a recording, compare its alarms with this machine's (sign extra)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    parser.add_argument("--board", required=True, metavar="ID", help="rpi3b, rpi3b_plus, rpi_zero2w or rpi4b")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the report: equal, boot_s, how it ran")
    parser.add_argument("--cache", type=Path, help="Debian's packages (sanderling flash fetch-packages)")
    parser.add_argument("--bundle", type=Path, help="default: the shipped model, calibrated on a generated signal")
    parser.add_argument("--key", type=Path, help="public key of --bundle")
    parser.add_argument("--recording", type=Path, metavar="CSV", help="what the sensor says (with --bundle)")
    parser.add_argument("--runner", type=Path, help="static aarch64 sanderling-run (default: $SANDERLING_RUNNER_ARM)")
    parser.add_argument("--model", help="model of the default bundle (default: the shipped one)")
    parser.add_argument("--fault", default="none", help="what happens to the card or the sensor; 'list' names them")
    parser.add_argument(
        "--power-cut",
        metavar="STEP",
        help="instead: cut the power at flushes of the first start (N, N-M or all), start again (rpi4b)",
    )
    parser.add_argument("--no-count", action="store_true", help="do not count instructions")
    parser.add_argument(
        "--suite",
        action="store_true",
        help="instead: one suite on this machine, in user-mode emulation and on the emulated board, and how each ran",
    )
    parser.add_argument("--host", metavar="USER@HOST", help="the suite there too, over SSH; nothing stays")
    parser.add_argument("--ssh-option", action="append", default=[], metavar="K=V", help="an option of ssh_config(5)")


def run(options: argparse.Namespace) -> int:
    """Builds the image, boots it, compares; exit status 1 when the alarms differ."""
    from sanderling.boards import load_board
    from sanderling.errors import BoardError, InputError
    from sanderling.export import bundle, minisign
    from sanderling.files import write_file
    from sanderling.firmware_sim import faults, image, packages, qemu, scenario, sim

    if options.fault == "list":
        for name, fault in faults.FAULTS.items():
            print(f"{name:<16} {fault.what}")
        return 0
    if options.fault not in faults.FAULTS:
        raise BoardError(f"expected a fault among {', '.join(faults.FAULTS)}, found '{options.fault}'")
    given = (options.bundle, options.key, options.recording)
    if any(given) and not all(given):
        raise InputError("expected --bundle, --key and --recording together, or none of them, found some; see --help")
    board = load_board(options.board)
    qemu.machine(board)
    found = packages.load(options.cache or packages.default_cache())
    with tempfile.TemporaryDirectory(prefix="sanderling-sim-") as scratch:
        folder = Path(scratch)
        if all(given):
            made = scenario.Scenario(*given)
        else:
            made = scenario.make(folder, options.runner or _runner(), model=options.model)
        print(f"flash: an image of {made.bundle.name}")
        card = image.build(folder / "card.img", found, made.bundle, made.key)
        carried = bundle.verify(made.bundle, minisign.read_public(made.key))
        if options.suite or options.host:
            return _suite(board, found, made, carried, options)
        if options.power_cut:
            return _cut_power(board, card.path, carried, made.recording, options)
        report = sim.run(board, card.path, carried, made.recording, fault=options.fault, counting=not options.no_count)
    table = report.json() | {"image": card.sha256}
    if options.json:
        write_file(options.json, lambda file: file.write((json.dumps(table, indent=1) + "\n").encode()))
    same = "equal to this machine's" if report.equal else "NOT equal to this machine's"
    print(f"{board.id}: {report.scores} scores and {len(report.alarms)} alarms {same}; {report.how}")
    cost = f", {report.instructions_per_patch} instructions a patch" if report.instructions_per_patch else ""
    print(f"{board.id}: detector up after {report.boot_s} s of the board's clock{cost}; {report.wall_s} s here")
    return 0 if report.equal else 1


def _cut_power(
    board: Board, card: Path, carried: Bundle, recording: Path, options: argparse.Namespace
) -> int:
    from sanderling.errors import InputError
    from sanderling.files import write_file
    from sanderling.firmware_sim import power, sim

    first, dash, last = options.power_cut.partition("-")
    numbers = first.isdecimal() and (last.isdecimal() or not dash)
    if options.power_cut != "all" and not numbers:
        raise InputError(f"--power-cut: expected N, N-M or all, found '{options.power_cut}'; give flushes' numbers")
    steps = range(int(first), int(last or first) + 1) if numbers else None
    outcomes = power.first_boot(board, card, carried, recording, sim.start_script(board), steps=steps)
    lost = sum(outcome.lost for outcome in outcomes)
    print(f"{board.id}: {len(outcomes)} power cuts in the first start, {lost} losses")
    if options.json:
        rows = [{"flushes": o.cut.flushes, "torn": o.cut.torn, "lost": o.lost, "note": o.note} for o in outcomes]
        table = {"board": board.id, "cuts": len(rows), "lost": lost, "rows": rows}
        write_file(options.json, lambda file: file.write((json.dumps(table, indent=1) + "\n").encode()))
    return 1 if lost or not outcomes else 0


def _suite(
    board: Board, found: Packages, made: Scenario, carried: Bundle, options: argparse.Namespace
) -> int:
    from sanderling.deploy.remote import Remote
    from sanderling.files import write_file
    from sanderling.firmware_sim import suite
    from sanderling.runtime.detector import Detector

    base = Detector.load(options.model).path
    assert base
    files = suite.make(made, carried, base, _built("SANDERLING_RUNNER", "native"))
    places = {
        "host": lambda: suite.on_this_machine(files),
        "qemu-user": lambda: suite.in_user_mode(files, board),
        "qemu-system": lambda: suite.on_emulated_board(files, board, found, made),
    }
    if not options.host:
        ran = suite.run(places, files)
    else:
        with Remote(options.host, [f"-o{text}" for text in options.ssh_option]) as remote:
            ran = suite.run(places | {options.host: lambda: suite.on_host(files, remote)}, files)
    if options.json:
        table = suite.report(board, ran)
        write_file(options.json, lambda file: file.write((json.dumps(table, indent=1) + "\n").encode()))
    print(suite.table(ran))
    return 0 if suite.equal(ran) else 1


def _built(variable: str, folder: str) -> Path | None:
    built = sorted(Path("build", folder).glob("**/sanderling-run"))
    found = os.environ.get(variable) or next(iter(built), "")
    return Path(found) if found and Path(found).is_file() else None


def _runner() -> Path:
    from sanderling.errors import DependencyError

    found = _built("SANDERLING_RUNNER_ARM", "aarch64")
    if found is None:
        what = "expected a static aarch64 sanderling-run ($SANDERLING_RUNNER_ARM or --runner), found none"
        raise DependencyError(f"{what}; build it: cmake --preset aarch64 && cmake --build build/aarch64")
    return found
