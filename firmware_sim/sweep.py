"""Power cuts in every step of installing, starting, confirming and rolling back a version, and of saving a calibration.

usage: python -m sanderling.firmware_sim.sweep --runner sanderling-run [--model MODEL.gguf] [--every N] [--json FILE]

A step is recorded once (crash.py) and cut after every system call. In every state that the cut may leave, the runner
must find a whole version to start, the old one or the new one, and an installation must go through when done again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sanderling.export import bundle, minisign
from sanderling.export.unit import unit_file
from sanderling.firmware_sim.crash import Model, crash_states, materialise, record

from sanderling.boards import load_board
from sanderling.deploy.remote import WRITE
from sanderling.deploy.service import COPY

Fault = str  # what was lost; "" nothing


@dataclass(frozen=True)
class Row:
    """A step: calls recorded, states tried of those possible, states in which something was lost, the first loss."""

    step: str
    calls: int
    states: int
    tried: int
    losses: int
    first: str


class Workshop:
    """A folder with bundles of three versions and the tools to try them.

    runner: a static sanderling-run for this machine. launcher: a program that runs it, an emulator's, or "".
    """

    def __init__(self, folder: Path, runner: Path, model: Path, board: str, launcher: str = "") -> None:
        self.folder, self._launcher = folder, launcher
        self.runner = runner.resolve()
        self.model = model.resolve()
        secret = minisign.generate()
        other = minisign.generate()
        self.key = folder / "k.pub"
        minisign.write_public(self.key, secret.public)
        minisign.write_public(folder / "other.pub", other.public)
        parts = {bundle.MODEL: model.read_bytes(), bundle.RUNNER: runner.read_bytes()}
        parts[bundle.UNIT] = unit_file("p").encode()
        self.bundles = {}
        for version in (1, 2, 3):
            more = {"other.pub": (folder / "other.pub").read_bytes()} if version == 2 else {}
            self.bundles[version] = folder / f"{version}.bundle"
            boards = [load_board(board)]
            bundle.create(self.bundles[version], parts | more, name="p", version=version, boards=boards, key=secret)
        self._board = board

    def command(self, *words: object) -> list[str]:
        return [*([self._launcher] if self._launcher else []), str(self.runner), *map(str, words)]

    def slot(self, state: Path, verb: str, *words: object) -> list[str]:
        launcher = ["--launcher", self._launcher] if self._launcher and verb == "install" else []
        return self.command("slot", verb, *words, "--state", state, "--board", self._board, *launcher)

    def install(self, state: Path, version: int) -> list[str]:
        return self.slot(state, "install", self.bundles[version], "--key", self.key)

    def run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def prepare(self, state: Path, *steps: Sequence[object]) -> None:
        """Steps: ("install", version), or a verb."""
        for verb, *rest in steps:
            done = self.run(self.install(state, int(str(rest[0]))) if rest else self.slot(state, str(verb)))
            assert done.returncode == 0, done.stderr

    def starts(self, state: Path, versions: set[int], empty_is_fine: bool = False) -> Fault:
        """What is wrong with the version that would start now: its files must be one of `versions`, whole."""
        done = self.run(self.slot(state, "next"))
        if done.returncode:
            return "" if empty_is_fine else f"nothing starts: {done.stderr.strip()}"
        chosen = Path(done.stdout.strip())
        manifest = bundle.parse_manifest((chosen / bundle.MANIFEST).read_bytes())
        for part in manifest.parts:
            if (chosen / part.name).stat().st_size != part.size:
                return f"{part.name} of version {manifest.version} is not whole"
        return "" if manifest.version in versions else f"version {manifest.version} starts"


TRIAL = (("install", 1), ("next",), ("confirm",), ("install", 2))
RUNNING = (*TRIAL, ("next",))
BOTH = (*RUNNING, ("confirm",))
# Step, what went before, its verb, versions that may start after a cut.
SLOT_STEPS: tuple[tuple[str, tuple, tuple, set[int]], ...] = (
    ("install the first version", (), ("install", 1), {1}),
    ("start it", TRIAL[:1], ("next",), {1}),
    ("confirm it", TRIAL[:2], ("confirm",), {1}),
    ("install the second", TRIAL[:3], ("install", 2), {1, 2}),
    ("start it on trial", TRIAL, ("next",), {1, 2}),
    ("confirm it, with a key", RUNNING, ("confirm",), {1, 2}),
    ("end its trial", RUNNING, ("rollback",), {1, 2}),
    ("run out of starts", (*RUNNING, ("next",), ("next",)), ("next",), {1}),
    ("roll back", BOTH, ("rollback",), {1, 2}),
    ("install the third", BOTH, ("install", 3), {2, 3}),
)


def _sweep(
    step: str, top: Path, command: Sequence[str], check: Callable[[Path], Fault], every: int, blobs: Path
) -> Row:
    """Cuts a command that writes below `top`; check: what is lost in a folder that looks as after the cut."""
    model = Model(top)
    calls = record(command, top)
    after = top.with_name(top.name + ".after")
    top.rename(after)
    states = list(crash_states(model, calls))
    # A step with few states is tried in at least four of them; the last one is whole.
    chosen = states[:: -min(every, max(1, len(states) // 4))]
    losses: list[str] = []
    for done, tree in chosen:
        # At the very path of the recording: programs were told it.
        materialise(tree, top, blobs)
        fault = check(top)
        if fault:
            losses.append(f"after call {done} of {len(calls)}: {fault}")
        shutil.rmtree(top)
    shutil.rmtree(after)
    return Row(step, len(calls), len(states), len(chosen), len(losses), losses[0] if losses else "")


def sweep_slots(shop: Workshop, every: int = 1) -> list[Row]:
    """A row for each step of SLOT_STEPS. every: tries each such state only."""
    rows, blobs = [], shop.folder / "blobs"
    blobs.mkdir(exist_ok=True)
    for step, before, (verb, *rest), versions in SLOT_STEPS:
        state = shop.folder / "S"
        state.mkdir()
        shop.prepare(state, *before)
        command = shop.install(state, rest[0]) if rest else shop.slot(state, verb)

        def check(
            at: Path,
            versions: set[int] = versions,
            before: tuple = before,
            command: list[str] = command,
            install: bool = verb == "install",
        ) -> Fault:
            fault = shop.starts(at, versions, empty_is_fine=not before)
            if fault or not install:
                return fault
            # A trial that the start above has begun goes on; its installation is over.
            again = shop.run(command)
            going_on = "expected no trial" in again.stderr
            return "" if again.returncode == 0 or going_on else f"it can't be installed again: {again.stderr.strip()}"

        rows.append(_sweep(step, state, command, check, every, blobs))
    return rows


def sweep_files(shop: Workshop, every: int = 1) -> list[Row]:
    """Calibration save and the files that deploying writes by itself: the old bytes or the new ones, never others."""
    blobs = shop.folder / "blobs"
    blobs.mkdir(exist_ok=True)
    normal = shop.folder / "normal.csv"
    normal.write_text("a\n" + "".join(f"{(i * 37) % 101 - 50 + i % 7}\n" for i in range(600)))
    top = shop.folder / "F"
    unit, units = shop.folder / "new.service", top / "units"
    unit.write_text(unit_file("new"))
    target, env = top / "pump.gguf", top / "pump.env"
    shell = ["sh", "-c"]
    steps: tuple[tuple[str, Path, bytes, list[str]], ...] = (
        (
            "save a calibration",
            target,
            shop.model.read_bytes(),
            shop.command("--calibrate", normal, "-o", target, shop.model),
        ),
        ("install a unit", units / "sanderling.service", b"old", [*shell, COPY, "sh", str(unit), str(units)]),
        (
            "write the input's file",
            env,
            b"SANDERLING_INPUT=old\n",
            [*shell, f"echo SANDERLING_INPUT=new | sh -c '{WRITE}' sh {env} 644"],
        ),
    )
    rows = []
    for step, path, old, command in steps:
        top.mkdir()
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(old)
        scratch = shop.folder / "new"
        shutil.copytree(top, scratch)
        subprocess.run(command, check=True, capture_output=True)
        new = path.read_bytes()
        shutil.rmtree(top)
        scratch.rename(top)

        def check(at: Path, path: Path = path, old: bytes = old, new: bytes = new) -> Fault:
            found = path.read_bytes() if path.is_file() else None
            return "" if found in (old, new) else "neither the old bytes nor the new ones"

        rows.append(_sweep(step, top, command, check, every, blobs))
    return rows


def table(rows: Sequence[Row]) -> str:
    """Rows as Markdown."""
    head = ["| step | system calls | states after a cut | tried | losses |", "|---|---:|---:|---:|---:|"]
    lines = [f"| {r.step} | {r.calls} | {r.states} | {r.tried} | {r.losses} |" for r in rows]
    sums = [sum(getattr(r, name) for r in rows) for name in ("calls", "states", "tried", "losses")]
    return "\n".join([*head, *lines, "| **all** | " + " | ".join(map(str, sums)) + " |"])


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the table; 1 if anything was lost."""
    parser = argparse.ArgumentParser(description="Power cuts in every step of an update.")
    parser.add_argument("--runner", type=Path, required=True)
    parser.add_argument("--model", type=Path, help="default: the shipped tiny model")
    parser.add_argument("--board", default="x86_64")
    parser.add_argument("--launcher", default="", help="an emulator for a runner of another machine")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="try each N-th state")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(argv)
    import sanderling

    model = options.model or Path(sanderling.__path__[0], "weights", "tiny.gguf")
    # Syncs are counted, not needed: a file system in memory makes the sweep quick.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        shop = Workshop(Path(folder).resolve(), options.runner, model, options.board, options.launcher)
        rows = [*sweep_slots(shop, options.every), *sweep_files(shop, options.every)]
    print(table(rows))
    for row in rows:
        if row.first:
            print(f"{row.step}: {row.first}")
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    return int(any(row.losses for row in rows))


if __name__ == "__main__":
    sys.exit(main())
