"""Where a model figure goes: the options of every command here, and what they write."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds --json and --markdown."""
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)


def write(options: argparse.Namespace, record: dict[str, Any], markdown: Callable[[dict[str, Any]], str]) -> None:
    """The record as JSON and as a table where `options` name files; the table on standard output."""
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + "\n")
    if options.markdown:
        options.markdown.write_text(markdown(record))
    print(markdown(record), end="")
