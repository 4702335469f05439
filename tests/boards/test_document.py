"""docs/boards.md says what the profiles say, and names tests that exist."""

import re

from sanderling.boards import load_boards
from sanderling.cli.main import main
from tests.programs import ROOT

TEXT = (ROOT / "docs" / "boards.md").read_text(encoding="utf-8")


def test_the_table_is_the_verb_s(capsys) -> None:
    assert main(["boards", "list", "--markdown"]) == 0
    table = capsys.readouterr().out
    assert table.count("\n") == len(load_boards()) + 2
    assert table in TEXT, "docs/boards.md is out of date: put in what `sanderling boards list --markdown` prints"


def test_every_test_that_it_names_is_there() -> None:
    named = re.findall(r"`(tests/[^`]*)`", TEXT)
    assert named and all((ROOT / name).exists() for name in named)


def test_no_board_is_claimed_to_have_run() -> None:
    assert "Nothing here has run on a physical board" in TEXT
    emulated = set(re.findall(r"cortex-a\d+", TEXT.split("## What was run where")[1]))
    assert emulated >= {board.qemu["cpu"] for board in load_boards().values() if board.isa.startswith("neon")}
