"""The run: opens every engine, checks its answers, and lets the rows take turns."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sanderling.errors import InputError, StateError
from sanderling.runtime.detector import Detector

from . import samples
from .agree import Agreement, agreement
from .entries import NATIVE, Entry, NotRun, Row, why_no_tier
from .process import Process, WorkerError, is_installed

WINDOWS = 48  # that are timed
Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    rounds: turns of every row; turn_ms: what a turn's calls should take together, at most max_calls of them; checked:
    windows whose scores are compared; idle_s: seconds of doing nothing; cpu: the one all engines stay on, None for the
    system's choice; realtime: the engines are scheduled before all other work.
    """

    rounds: int = 40
    turn_ms: float = 12.0
    max_calls: int = 64
    checked: int = 24
    idle_s: float = 1.0
    cpu: int | None = None
    realtime: bool = False


QUICK = Plan(rounds=6, turn_ms=6.0, max_calls=24, checked=6, idle_s=0.2)


@dataclass(eq=False)
class Open:
    """A row's engine, ready, and the times so far."""

    entry: Entry
    mode: str
    process: Process
    agreement: Agreement
    settings: dict[str, str]
    calls: int = 1
    wall_ns: list[int] = field(default_factory=list)
    cpu_ns: list[int] = field(default_factory=list)

    @property
    def checked(self) -> bool:
        return self.agreement.within(self.entry.bound)

    def turn(self, start: int) -> float:
        """One turn; returns its milliseconds a call."""
        found = self.process.ask("time", mode=self.mode, calls=self.calls, start=start)
        self.wall_ns += found["wall_ns"]
        self.cpu_ns += found["cpu_ns"]
        return float(np.median(found["wall_ns"])) / 1e6

    def settle(self, plan: Plan) -> None:
        """Chooses the number of calls a turn, and forgets what that took."""
        each = self.turn(0)
        self.calls = int(np.clip(round(plan.turn_ms / max(each, 1e-6)), 1, plan.max_calls))
        self.wall_ns.clear()
        self.cpu_ns.clear()

    def row(self) -> Row:
        e = self.entry
        p10, median, p90 = (round(float(v) / 1e3, 3) for v in np.percentile(self.wall_ns, (10, 50, 90)))
        return Row(
            e.engine,
            e.variant,
            e.isa,
            self.mode,
            median,
            p10,
            p90,
            self.checked,
            cpu_us=round(float(np.median(self.cpu_ns)) / 1e3, 3),
            calls=len(self.wall_ns),
            spearman=round(self.agreement.spearman, 6),
            difference=round(self.agreement.difference, 6),
            settings=self.settings,
        )


class Bench:
    """One run of the chosen entries in `folder` (for the engines' files); `close` ends the workers."""

    def __init__(self, model: Detector, entries: Iterable[Entry], plan: Plan, folder: Path, say: Say) -> None:
        self.plan, self.folder, self.say = plan, folder, say
        self.entries = list(entries)
        self.not_run: list[NotRun] = []
        self.open: list[Open] = []
        self.per_engine: dict[str, dict[str, Any]] = {}
        self.rounds_done = 0
        self._processes: dict[str, Process] = {}
        reference, raw = samples.make(WINDOWS)
        model.fit(reference)
        self.native = folder / "calibrated.gguf"
        model.save(self.native)
        scaled = samples.scaled(raw, *samples.scaling_of(self.native))
        self._inputs = folder / "windows.npz"
        np.savez(self._inputs, raw=raw, scaled=scaled)
        self._expected = self._native_scores(raw[: plan.checked])

    def _native_scores(self, raw: np.ndarray) -> np.ndarray:
        """(windows, 64): the specification's, each window from a fresh state."""
        oracle = Detector.load(self.native, isa="reference")
        return np.stack([oracle.decision_function(window)[::8] for window in raw])

    def prepare(self) -> None:
        """Opens every engine that is there and checks it; the others are named in `not_run`."""
        for entry in self.entries:
            why = why_no_tier(entry.isa) if entry.engine == NATIVE else None
            if entry.engine != NATIVE and not is_installed(entry.module):
                why = f"the package {entry.module} is not installed"
            try:
                if why is None:
                    self.say(f"opening {entry.label}")
                    self._open(entry)
            except WorkerError as error:
                why = str(error)
                self._drop(entry)
            if why is not None:
                self.say(f"not run: {entry.label}: {why}")
                self.not_run += [NotRun(entry.engine, entry.variant, entry.isa, mode, why) for mode in entry.modes]

    def _open(self, entry: Entry) -> None:
        maker = Process(self.folder / "prepare.log")
        try:
            path = maker.ask(
                "prepare", peer=entry.peer, native=str(self.native), variant=entry.variant, folder=str(self.folder)
            )
        finally:
            maker.close()
        name = entry.label
        process = self._processes[name] = Process(self.folder / f"{name.replace(' ', '-')}.log")
        wanted = {"peer": entry.peer, "path": path, "variant": entry.variant, "isa": entry.isa}
        loaded = process.ask("load", **wanted, windows=str(self._inputs), cpu=self.plan.cpu)
        for mode in entry.modes:
            out = self.folder / f"{name.replace(' ', '-')}-{mode}.npy"
            process.ask("check", mode=mode, count=self.plan.checked, out=str(out))
            found = agreement(np.load(out), self._expected)
            row = Open(entry, mode, process, found, loaded["settings"])
            self.say(
                f"  {mode}: Spearman {found.spearman:.4f}, largest difference {found.difference:.3f} of the spread: "
                f"{'agrees' if row.checked else 'DOES NOT AGREE'}"
            )
            if self.plan.realtime and not process.ask("prefer"):
                raise InputError("--realtime: expected the right to schedule processes first, found none; leave it out")
            row.settle(self.plan)
            self.open.append(row)
        memory = process.ask("memory")
        self.per_engine[name] = {
            "load_ms": round(loaded["load_ms"], 3),
            "rss_mib": round(memory["rss_mib"], 1),
            "python_mib": round(memory["before_mib"], 1),
            "model_bytes": _bytes_of(Path(path)),
        }

    def _drop(self, entry: Entry) -> None:
        self.open = [row for row in self.open if row.entry is not entry]
        process = self._processes.pop(entry.label, None)
        if process is not None:
            process.close()

    def rounds(self) -> None:
        """The rows take turns, in an order that moves on each round. KeyboardInterrupt leaves the rounds so far."""
        if not self.open:
            raise StateError("expected an engine that runs, found none; see the reasons above")
        for number in range(self.plan.rounds):
            first = number % max(len(self.open), 1)
            for row in [*self.open[first:], *self.open[:first]]:
                if row in self.open:
                    self._turn(row, number * 17)
            self.rounds_done += 1
            self.say(f"round {self.rounds_done}/{self.plan.rounds}")

    def _turn(self, row: Open, start: int) -> None:
        """A turn; an engine that fails on the way is named with its reason, and the others go on."""
        try:
            row.turn(start)
        except WorkerError as error:
            entry = row.entry
            self._drop(entry)
            self.per_engine.pop(entry.label)
            self.not_run += [NotRun(entry.engine, entry.variant, entry.isa, mode, str(error)) for mode in entry.modes]
            self.say(f"not run: {entry.label}: {error}")

    def idle(self) -> None:
        """Processor time of open engines that nobody asks, all at once."""
        before = {name: process.busy_ns() for name, process in self._processes.items()}
        time.sleep(self.plan.idle_s)
        for name, process in self._processes.items():
            busy_ms = (process.busy_ns() - before[name]) / 1e6
            self.per_engine[name]["idle_cpu_ms_per_s"] = round(busy_ms / self.plan.idle_s, 3)

    def rows(self) -> list[Row]:
        """Of the rows that had at least one turn."""
        return [row.row() for row in self.open if row.wall_ns]

    def close(self) -> None:
        """Ends the workers."""
        for process in self._processes.values():
            process.close()
        self._processes.clear()


def _bytes_of(path: Path) -> int:
    """On disk, for a window; a list of files (.json) is followed, an .xml has its .bin beside it."""
    if path.suffix == ".json":
        path = Path(next(iter(json.loads(path.read_text()).values())))
    beside = path.with_suffix(".bin")
    return path.stat().st_size + (beside.stat().st_size if beside.exists() else 0)
