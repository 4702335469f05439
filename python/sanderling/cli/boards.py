"""`sanderling boards list|show|check|detect`: the board profiles, a model on one of them, and which board this is."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sanderling.boards import Board
    from sanderling.estimate import Estimate

HELP = "list the board profiles, show one, check a model on it, or detect the board"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="action", required=True)
    listing = actions.add_parser("list", help="one line a board")
    form = listing.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as JSON")
    form.add_argument("--markdown", action="store_true", help="as the table of docs/boards.md")
    showing = actions.add_parser("show", help="every fact of one board, and what a model needs there (model figures)")
    checking = actions.add_parser("check", help="a profile's file, and what a model needs on the board (model figures)")
    for action in (showing, checking):
        action.add_argument("board", help="id, or the path of a profile's file")
        action.add_argument("--model", help="a native file, or 'tiny' (default: the shipped model)")
        action.add_argument("--rate", type=float, metavar="HZ", help="samples a second and channel to be followed")
        action.add_argument("--channels", type=int, default=1, help="default: 1, or what the model is calibrated for")
        action.add_argument("--json", action="store_true", help="as JSON")
    detecting = actions.add_parser("detect", help="which board this is, and why")
    detecting.add_argument("--root", type=Path, default=Path("/"), help="root file system to look at (default: /)")
    detecting.add_argument("--json", action="store_true", help="as JSON")


def run(options: argparse.Namespace) -> int:
    """Prints what the action asks for."""
    return _ACTIONS[options.action](options)


def _list(options: argparse.Namespace) -> int:
    from sanderling.boards import load_boards

    boards = load_boards()
    if options.json:
        print(json.dumps([asdict(board) for board in boards.values()]))
        return 0
    if options.markdown:
        print(_markdown(boards.values()))
        return 0
    rows = [("id", "name", "cores", "L2 KiB", "RAM MiB", "isa")]
    rows += [
        (b.id, b.name, f"{b.cores} x {b.core}", str(b.l2_kib), str(b.ram_mib), b.isa)
        for b in boards.values()
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _markdown(boards: Iterable[Board]) -> str:
    from sanderling.estimate import fitting

    rows = [("board", "id", "processor", "tier", "system: wheel, or runner and client", "ONNX profile", "emulated as")]
    rows.append(("---", "---", "---", "---", "---", "---", "---"))
    for board in boards:
        wheels, onnx, _ = fitting(board)
        arm = board.isa.startswith("neon")
        systems = "; ".join(f"{system}: {wheel or _WITHOUT[arm]}" for system, wheel in wheels.items())
        emulated = f"{board.qemu['machine']}, {board.qemu['cpu']}" if arm else "-"
        processor = f"{board.cores} x {board.core}"
        rows.append((board.name, f"`{board.id}`", processor, f"`{board.isa}`", systems, f"`{onnx}`", emulated))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _board(options: argparse.Namespace) -> Board:
    from sanderling.boards import load_board, load_board_file

    path = Path(options.board)
    return load_board_file(path) if path.suffix == ".toml" else load_board(options.board)


def _estimated(board: Board, options: argparse.Namespace) -> tuple[dict[str, Any], Estimate]:
    """The model as JSON names it, and its figures on the board."""
    from sanderling.estimate import estimate
    from sanderling.runtime.detector import Detector

    info = Detector.load(options.model).info
    found = estimate(board, info, channels=options.channels, rate_hz=options.rate)
    return {"model": info["variant"], "figures": "model", **asdict(found)}, found


def _show(options: argparse.Namespace) -> int:
    board = _board(options)
    facts = asdict(board)
    as_json, found = _estimated(board, options)
    if options.json:
        print(json.dumps(facts | {"estimate": as_json}))
        return 0
    for key, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{name} {text}" for name, text in value.items())
        elif isinstance(value, tuple):
            value = ", ".join(value) or "-"
        print(f"{key:<11} {value}")
    _print_estimate(as_json["model"], found)
    return 0


def _check(options: argparse.Namespace) -> int:
    board = _board(options)
    as_json, found = _estimated(board, options)
    if options.json:
        print(json.dumps({"board": board.id, **as_json}))
        return 0
    print(f"{board.name}: {board.cores} x {board.core} at {board.clock_mhz} MHz, {board.os}")
    _print_estimate(as_json["model"], found)
    return 0


def _print_estimate(model: str, found: Estimate) -> None:
    cache = "second-level cache" if found.in_l2 else "memory"
    print(f"{model} there, by a model of the board (nothing was measured on one):")
    work = f"at most {found.patch_macs / 1e6:.2f} M MAC a channel, from {cache}"
    print(f"  tier       {found.isa}")
    print(f"  a patch    {found.patch_us:.0f} us on one core ({work})")
    print(f"  rate       up to {found.fastest_hz:.3g} Hz a channel" + _load(found.load))
    print(f"  memory     {found.runner_mib:.1f} MiB by the runner, {found.python_mib:.0f} MiB by Python")
    for system, wheel in found.wheels.items():
        print(f"  wheel      {wheel or 'none'} ({system})")
    print(f"  ONNX       profile {found.onnx}")
    for note in found.notes:
        print(f"  note: {note}")


def _load(load: float | None) -> str:
    return "" if load is None else f"; the asked rate takes {load:.1%} of one core"


def _detect(options: argparse.Namespace) -> int:
    from sanderling.detect import detect

    found = detect(options.root)
    if options.json:
        print(json.dumps(asdict(found)))
        return 0
    print(f"{found.board or 'unknown board'}: tier {found.isa or 'none'}")
    for reason in found.reasons:
        print(f"  {reason}")
    glibc = f", glibc {found.glibc}" if found.glibc else ""
    system = f"{found.system or 'unknown system'}{glibc}"
    print(f"  {system}, Python {found.python}, {found.cores} core(s), {found.ram_mib} MiB")
    return 0


# Is it an ARM board? -> what stands in the table where no wheel is made.
_WITHOUT = {True: "runner and client", False: "`pip install .` there"}
_ACTIONS = {"list": _list, "show": _show, "check": _check, "detect": _detect}
