"""A stage: named commands with a log, a duration and a stamp that tells whether it is still fresh."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
LOGS = BUILD / "log"
TAIL = 30  # lines of the log that a failure shows
HEARTBEAT = 30.0  # seconds between signs of life where the output is no terminal

Commands = list[list[str]]


@dataclass(frozen=True)
class Stage:
    """One row of the table.

    commands gives argument lists, run from the repository root, asked for when the stage begins.
    inputs are globs below the root whose contents decide freshness; None runs the stage every time.
    outputs must exist for a fresh stage. exports are environment variables for later stages.
    needs names tools (bootstrap.system) without which the stage is skipped. show copies the output
    to the terminal. A stage with last=True prints nothing after its own output.
    """

    name: str
    commands: Callable[[], Commands]
    inputs: tuple[str, ...] | None = None
    outputs: Callable[[], list[Path]] = field(default=lambda: [])
    exports: Callable[[], Mapping[str, str]] = field(default=lambda: {})
    needs: tuple[str, ...] = ()
    stamps: Path = BUILD / "stamps"
    show: bool = False
    last: bool = False

    @property
    def slug(self) -> str:
        return self.name.lower().replace(" ", "-").replace("+", "")

    @property
    def log(self) -> Path:
        return LOGS / f"{self.slug}.log"

    @property
    def stamp(self) -> Path:
        return self.stamps / self.slug

    def digest(self) -> str:
        """sha256 over the commands, the Python version and the input files."""
        total = hashlib.sha256(repr((self.commands(), sys.version_info)).encode())
        for pattern in self.inputs or ():
            for path in sorted(ROOT.glob(pattern)):
                if path.is_file() and "__pycache__" not in path.parts:
                    total.update(str(path.relative_to(ROOT)).encode())
                    total.update(hashlib.sha256(path.read_bytes()).digest())
        return total.hexdigest()

    def fresh(self) -> bool:
        if self.inputs is None or not all(path.exists() for path in self.outputs()):
            return False
        return self.stamp.exists() and self.stamp.read_text() == self.digest()


def run_stages(stages: list[Stage], missing: Callable[[], set[str]]) -> int:
    """Runs the stages in order; returns the exit status of the first that fails, else 0.

    Raises nothing for a failing stage: its log's tail is printed.
    """
    LOGS.mkdir(parents=True, exist_ok=True)
    for number, stage in enumerate(stages, 1):
        label = f"[{number:2}/{len(stages)}] {stage.name}"
        lacking = missing() & set(stage.needs)
        if lacking:
            print(f"{label}: SKIPPED, needs {', '.join(sorted(lacking))}", flush=True)
            continue
        if stage.fresh():
            print(f"{label}: up to date", flush=True)
        else:
            status = _run_stage(stage, label)
            if status:
                return status
        os.environ.update(stage.exports())
    return 0


def _run_stage(stage: Stage, label: str) -> int:
    if stage.show or not sys.stdout.isatty():
        print(f"{label} ...", flush=True)
    start = time.monotonic()
    digest = stage.digest()
    stage.stamp.unlink(missing_ok=True)
    status = 0
    with stage.log.open("wb") as log:
        for command in stage.commands():
            log.write(("$ " + " ".join(command) + "\n").encode())
            log.flush()
            status = _show(command, log) if stage.show else _watch(command, log, label, start)
            if status:
                break
    took = f"{time.monotonic() - start:.1f} s"
    log_name = stage.log.relative_to(ROOT)
    if status:
        print(f"{_line_start()}{label}: FAILED after {took}, log {log_name}", flush=True)
        if not stage.show:
            print("".join(_tail(stage.log, TAIL)), flush=True)
        return status if status > 0 else 128 - status
    if not stage.last:
        print(f"{_line_start()}{label}: ok, {took}, log {log_name}", flush=True)
    if stage.inputs is not None:
        stage.stamp.parent.mkdir(parents=True, exist_ok=True)
        stage.stamp.write_text(digest)
    return 0


def _line_start() -> str:
    return "\r\033[K" if sys.stdout.isatty() else ""


def _tail(path: Path, lines: int) -> list[str]:
    text = path.read_text(errors="replace").splitlines(keepends=True)
    return [f"    {line}" for line in text[-lines:]]


def _watch(command: list[str], log, label: str, start: float) -> int:
    """Runs a command into the log; a ticking line on a terminal, else a line now and then."""
    terminal = sys.stdout.isatty()
    beat = time.monotonic() + HEARTBEAT
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
    )
    try:
        while True:
            try:
                return process.wait(timeout=0.5)
            except subprocess.TimeoutExpired:
                now = time.monotonic()
                if terminal:
                    print(f"{_line_start()}{label} ... {now - start:.0f} s", end="", flush=True)
                elif now > beat:
                    beat = now + HEARTBEAT
                    print(f"        {now - start:.0f} s", flush=True)
    finally:
        _stop(process)


def _show(command: list[str], log) -> int:
    """Runs a command with its output on the terminal and in the log."""
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        assert process.stdout is not None
        while block := os.read(process.stdout.fileno(), 1 << 16):
            log.write(block)
            sys.stdout.buffer.write(block)
            sys.stdout.buffer.flush()
        return process.wait()
    finally:
        _stop(process)


def _stop(process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.terminate()
        process.wait()
