"""Which series of which sets are evaluated: committed lists of names, and a sample of each set."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from importlib import resources
from pathlib import Path

from sanderling.errors import InputError, ReadError
from sanderling.evaluate.datasets import open_series
from sanderling.evaluate.series import Keep, Series

LISTS = ("tuning", "six_sets", "adapted_sample", "parity")


def load_list(name: str) -> dict[str, list[str]]:
    """A committed list, set name -> series names.

    tuning: every fifth UCR, NAB and SMAP series by sorted name; model and thresholds may be chosen
    on these. six_sets: 161 series, on which the baselines were first measured (NAB and SKAB series
    that hold an anomaly, the first 40 UCR series of at most 40,000 samples, SMAP, SMD, ASD).
    adapted_sample: six series (SMD: its four) of each of these sets, evenly spread by sorted name over those that are
    not in the tuning list. parity: of six_sets' NAB and SKAB series of at most 5,000 samples every second one,
    on which the engines are compared with one another.
    """
    if name not in LISTS:
        raise InputError(f"expected a list named {' or '.join(LISTS)}, found {name!r}")
    text = resources.files("sanderling.evaluate").joinpath("lists").joinpath(f"{name}.json").read_text()
    return json.loads(text)


def only(name: str) -> Keep:
    """True for the series of a committed list."""
    chosen = {key: frozenset(names) for key, names in load_list(name).items()}
    return lambda set_name, series: series in chosen.get(set_name, ())


def without(name: str) -> Keep:
    """True for every series that a committed list does not name."""
    named = only(name)
    return lambda set_name, series: not named(set_name, series)


def listed(path: str | Path) -> tuple[Keep, list[str]]:
    """True for the series of one of TSB-AD's official lists, and their names: a CSV with a column file_name."""
    try:
        with open(path, newline="") as file:
            reader = csv.DictReader(file)
            header = reader.fieldnames or []
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ReadError(f"{path}: expected a list of files as CSV, found: {error}") from error
    if "file_name" not in header:
        raise ReadError(f"{path}: expected a column file_name as in TSB-AD's lists, found {','.join(header)}")
    names = [(row["file_name"] or "").strip().removesuffix(".csv") for row in rows]
    wanted = frozenset(names)
    return (lambda set_name, series: series in wanted), names


def both(keeps: Iterable[Keep]) -> Keep:
    """True where every one of `keeps` is."""
    every = tuple(keeps)
    return lambda set_name, series: all(keep(set_name, series) for keep in every)


def names_of(paths: Iterable[str | Path], keep: Keep | None = None) -> dict[str, list[str]]:
    """Set name -> names of the series that `keep` accepts, in file order, without unpacking any.

    InputError where two series of a set have one name: their results could not be told apart.
    """
    found: dict[str, list[str]] = {}
    seen: set[tuple[str, str]] = set()

    def record(set_name: str, name: str) -> bool:
        if keep is None or keep(set_name, name):
            if (set_name, name) in seen:
                raise InputError(f"expected each series once, found {set_name}/{name} twice; leave a path out")
            seen.add((set_name, name))
            found.setdefault(set_name, []).append(name)
        return False

    for path in paths:
        for _ in open_series(path, record):
            pass
    return found


def sampled(names: dict[str, list[str]], limit: int | None) -> dict[str, list[str]]:
    """At most `limit` names a set, evenly spread over the sorted names (None: all)."""
    if limit is not None and limit < 1:
        raise InputError(f"expected a sample of at least 1 series a set, found {limit}")
    spread = {}
    for set_name, series in names.items():
        ordered = sorted(series)
        count = len(ordered) if limit is None else min(limit, len(ordered))
        spread[set_name] = [ordered[i * len(ordered) // count] for i in range(count)]
    return spread


def chosen_series(paths: Iterable[str | Path], chosen: dict[str, list[str]]) -> Iterator[Series]:
    """The series of `paths` that `chosen` names (set name -> series names)."""
    wanted = {key: frozenset(names) for key, names in chosen.items()}
    for path in paths:
        yield from open_series(path, lambda set_name, name: name in wanted.get(set_name, ()))
