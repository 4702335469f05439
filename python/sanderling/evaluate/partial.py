"""Finished series on disk, so that an evaluation that was cut off goes on where it stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sanderling.errors import StorageError
from sanderling.evaluate.selection import chosen_series
from sanderling.evaluate.series import Series
from sanderling.files import write_file

Rows = dict[str, dict[str, Any]]
Finished = Callable[[int, Rows], None]
Each = Callable[[Iterator[Series], Finished], None]


class PartialResults:
    """JSON lines beside the result: first the key (what the figures depend on), then one line a finished series.

    Every line is one write, so an interrupt leaves whole lines; one torn by a power cut is dropped. Raises
    StorageError.
    """

    def __init__(self, path: str | os.PathLike[str], key: dict[str, Any]) -> None:
        self.path = Path(path)
        self._key = json.dumps(key, sort_keys=True)

    def load(self) -> tuple[dict[tuple[str, str], Rows], bool]:
        """(set, series) -> rows of the finished series, and whether results under another key were dropped."""
        lines = self._lines()
        same = bool(lines) and lines[0].get("key") == json.loads(self._key)
        kept = [line for line in lines[1:] if line.keys() == {"set", "name", "rows"}] if same else []
        text = "".join(json.dumps(line) + "\n" for line in [{"key": json.loads(self._key)}, *kept])
        write_file(self.path, lambda file: file.write(text.encode()))
        return {(line["set"], line["name"]): line["rows"] for line in kept}, bool(lines) and not same

    def add(self, set_name: str, name: str, rows: Rows) -> None:
        """Appends one finished series."""
        line = json.dumps({"set": set_name, "name": name, "rows": rows}, default=float) + "\n"
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND)
            try:
                os.write(descriptor, line.encode())
            finally:
                os.close(descriptor)
        except OSError as error:
            raise StorageError(f"expected to write {self.path}, found: {error.strerror}; check its space") from error

    def remove(self) -> None:
        """Deletes the file: the result is written."""
        self.path.unlink(missing_ok=True)

    def _lines(self) -> list[dict[str, Any]]:
        try:
            texts = self.path.read_text().splitlines()
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise StorageError(f"expected to read {self.path}, found: {error}; delete it to start anew") from error
        lines = []
        for text in texts:
            try:
                line = json.loads(text)
            except ValueError:
                continue
            lines.append(line if isinstance(line, dict) else {})
        return lines


def collect(
    paths: list[str],
    chosen: dict[str, list[str]],
    each: Each,
    partial: PartialResults | None = None,
    *,
    usable: Callable[[str, str], bool] = lambda set_name, name: True,
    before: Callable[[Rows], None] = lambda rows: None,
    after: Callable[[Rows, int], None] = lambda rows, done: None,
    notice: Callable[[str], None] = lambda text: None,
) -> list[Rows]:
    """Rows of the chosen series in their order, those of `partial` taken over, the others by `each`.

    each(series, finished) calls finished(index, rows) as a series ends. usable: whether what `partial` has of a series
    will do. before(rows): ahead of storing; after(rows, number done): behind it. notice: told of what was taken over
    or dropped.
    """
    known: dict[tuple[str, str], Rows] = {}
    order = [(set_name, name) for set_name, names in chosen.items() for name in names]
    if partial is not None:
        stored, dropped = partial.load()
        known = {key: rows for key, rows in stored.items() if usable(*key)}
        if dropped:
            notice(f"{partial.path} holds results of another model or other options: starting anew")
        elif known:
            count = sum(key in known for key in order)
            notice(f"continuing: {count} of {len(order)} series are done in {partial.path}")
    done = sum(key in known for key in order)

    def finished(_: int, rows: Rows) -> None:
        nonlocal done
        before(rows)
        row = next(iter(rows.values()))
        known[row["set"], row["name"]] = rows
        if partial is not None:
            partial.add(row["set"], row["name"], rows)
        done += 1
        after(rows, done)

    todo = {key: [name for name in names if (key, name) not in known] for key, names in chosen.items()}
    try:
        each(chosen_series(paths, todo), finished)
    except BaseException:
        if partial is not None and not known:  # nothing to go on from
            partial.remove()
        raise
    return [known[key] for key in order if key in known]
