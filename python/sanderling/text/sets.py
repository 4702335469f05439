"""Labelled texts: the four public sets by name, and any table with columns of texts and classes."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sanderling.errors import InputError, ReadError
from sanderling.extras import require


@dataclass(frozen=True)
class TextSet:
    """texts and the class of each; `normal`: the classes that are normal, one task each."""

    name: str
    texts: tuple[str, ...]
    classes: tuple[str, ...]
    normal: tuple[str, ...]


# File -> columns that make the text, column of the class, normal classes, and a filter (column, value).
SETS: dict[str, tuple[tuple[str, ...], str, tuple[str, ...], tuple[str, str] | None]] = {
    "ag_news_test": (("title", "description"), "label", ("Business", "Sci/Tech", "Sports", "World"), None),
    "sms_spam": (("text",), "label", ("ham",), None),
    "loghub_2k": (("content",), "label", ("normal",), ("system", "BGL")),
    "spam_assassin": (("subject", "body_start"), "label", ("ham",), None),
}


def read_set(path: Path, text: Sequence[str] = (), label: str | None = None, normal: Sequence[str] = ()) -> TextSet:
    """A table: .parquet (extra: parquet), .csv with a head line, or .jsonl, an object a line.

    text: columns that make the text (default: text); label: of the class (label); normal: its normal classes, a task
    each (the most frequent one). Files named as in `SETS` need none, and keep their columns when `normal` alone is
    given. Raises ReadError, InputError."""
    known = SETS.get(path.stem) if path.suffix == ".parquet" and not (text or label) else None
    columns, of_class, classes, only = known or (tuple(text) or ("text",), label or "label", (), None)
    classes = tuple(normal) or classes
    rows = _rows(path)
    for column in (*columns, of_class):
        if rows and column not in rows[0]:
            found = ", ".join(map(str, rows[0]))
            raise InputError(
                f"expected a column {column!r} in {path.name}, found {found}; name it by --text or --label"
            )
    rows = [row for row in rows if only is None or row[only[0]] == only[1]]
    texts = tuple(" ".join(str(row.get(column) or "") for column in columns) for row in rows)
    labels = tuple(str(row.get(of_class)) for row in rows)
    counts = Counter(labels)
    if len(counts) < 2:
        raise InputError(f"expected at least 2 classes in {path.name}, found {len(counts)}; give labelled texts")
    for name in classes:
        if name not in counts:
            some = ", ".join(sorted(counts)[:8])
            raise InputError(f"expected a normal class of {path.name}, found {name!r}; choose of {some}")
    return TextSet(path.stem, texts, labels, classes or (counts.most_common(1)[0][0],))


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        if path.suffix == ".parquet":
            pyarrow = require("pyarrow", "parquet")
            try:
                return list(require("pyarrow.parquet", "parquet").read_table(path).to_pylist())
            except pyarrow.ArrowInvalid as error:
                raise ReadError(f"expected a Parquet file, found {path} (damaged, or not one); check it") from error
        if path.suffix == ".csv":
            with path.open(encoding="utf-8", errors="replace", newline="") as file:
                return list(csv.DictReader(file))
        if path.suffix == ".jsonl":
            rows = [json.loads(line) for line in path.read_bytes().splitlines() if line.strip()]
            if not all(isinstance(row, dict) for row in rows):
                raise ValueError("a line is no object")
            return rows
    except ReadError:  # a ValueError too
        raise
    except OSError as error:
        raise ReadError(f"expected texts, found no file at {path} ({error.strerror}); check the path") from error
    except (ValueError, csv.Error) as error:
        raise ReadError(f"expected a table of texts in {path}, found another ({error}); check it") from error
    raise InputError(f"expected a .parquet, .csv or .jsonl file, found {path}; convert it")
