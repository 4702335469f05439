"""What the ablation and the compression curve share: result files (JSON, Markdown tables) and exit status."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ..errors import SanderlingError
from ..files import write_file


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text at once; folders are made. Raises StorageError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, lambda file: file.write(text.encode()))


def write_json(path: Path, content: dict) -> None:
    """As `write_text`, indented."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def read_json(path: Path) -> dict:
    """What `write_json` wrote."""
    return json.loads(path.read_text(encoding="utf-8"))


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table whose first column is text and whose others are numbers."""
    lines = ["| " + " | ".join(titles) + " |", "|---|" + "---:|" * (len(titles) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def exit_status(name: str, run: Callable[[], int]) -> int:
    """What run() returns; 2 for the user's mistakes, 130 for an interrupt, each with its one line."""
    try:
        return run()
    except SanderlingError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        print(f"\n{name}: {error}", file=sys.stderr)
        return 130


def signed(difference: float, error: float) -> str:
    """`+0.012 +- 0.004`, bold where the difference is more than two standard errors."""
    if math.isnan(difference):
        return ""
    text = f"{difference:+.3f}" + ("" if math.isnan(error) else f" \N{PLUS-MINUS SIGN} {error:.3f}")
    return f"**{text}**" if abs(difference) > 2 * error else text
