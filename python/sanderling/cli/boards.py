"""`sanderling boards list|show`: the board profiles."""

import argparse
import json
from dataclasses import asdict

HELP = "list the board profiles or show one"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="action", required=True)
    listing = actions.add_parser("list", help="one line a board")
    listing.add_argument("--json", action="store_true", help="as JSON")
    showing = actions.add_parser("show", help="every fact of one board")
    showing.add_argument("board")
    showing.add_argument("--json", action="store_true", help="as JSON")


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


_ACTIONS = {"list": _list, "show": _show}
