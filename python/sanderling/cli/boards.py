"""`sanderling boards list|show|check|detect`: the board profiles, a model on one of them, and which board this is."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

HELP = "list the board profiles, show one, check a model on it, or detect the board"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="action", required=True)
    listing = actions.add_parser("list", help="one line a board")
    listing.add_argument("--json", action="store_true", help="as JSON")
    showing = actions.add_parser("show", help="every fact of one board")
    showing.add_argument("board")
    showing.add_argument("--json", action="store_true", help="as JSON")
    checking = actions.add_parser("check", help="a profile's file, and what a model needs on the board (model figures)")
    checking.add_argument("board", help="id, or the path of a profile's file")
    checking.add_argument("--model", help="a native file, or 'tiny' (default: the shipped model)")
    checking.add_argument("--rate", type=float, metavar="HZ", help="samples a second and channel to be followed")
    checking.add_argument("--channels", type=int, default=1, help="default: 1, or what the model is calibrated for")
    checking.add_argument("--json", action="store_true", help="as JSON")
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
    rows = [("id", "name", "cores", "L2 KiB", "RAM MiB", "isa")]
    rows += [
        (b.id, b.name, f"{b.cores} x {b.core}", str(b.l2_kib), str(b.ram_mib), b.isa)
        for b in boards.values()
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _show(options: argparse.Namespace) -> int:
    from sanderling.boards import load_board

    facts = asdict(load_board(options.board))
    if options.json:
        print(json.dumps(facts))
        return 0
    for key, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{name} {text}" for name, text in value.items())
        elif isinstance(value, tuple):
            value = ", ".join(value) or "-"
        print(f"{key:<11} {value}")
    return 0


def _check(options: argparse.Namespace) -> int:
    from sanderling.boards import load_board, load_board_file
    from sanderling.estimate import estimate
    from sanderling.runtime.detector import Detector

    path = Path(options.board)
    board = load_board_file(path) if path.suffix == ".toml" else load_board(options.board)
    info = Detector.load(options.model).info
    found = estimate(board, info, channels=options.channels, rate_hz=options.rate)
    if options.json:
        print(json.dumps({"board": board.id, "model": info["variant"], "figures": "model", **asdict(found)}))
        return 0
    cache = "second-level cache" if found.in_l2 else "memory"
    print(f"{board.name}: {board.cores} x {board.core} at {board.clock_mhz} MHz, {board.os}; tier {found.isa}")
    print(f"{info['variant']} there, by a model of the board (nothing was measured on one):")
    work = f"{found.patch_macs / 1e6:.2f} M MAC a channel, from {cache}"
    print(f"  a patch    {found.patch_us:.0f} us on one core ({work})")
    print(f"  rate       up to {found.fastest_hz:.3g} Hz a channel" + _load(found.load))
    print(f"  memory     {found.runner_mib:.1f} MiB by the runner, {found.python_mib:.0f} MiB by Python")
    print(f"  wheel      {found.wheel or 'none'};  ONNX profile {found.onnx}")
    for note in found.notes:
        print(f"  note: {note}")
    return 0


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


_ACTIONS = {"list": _list, "show": _show, "check": _check, "detect": _detect}
