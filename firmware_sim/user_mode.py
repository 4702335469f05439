"""Run the board's own binary in user-mode emulation of the board's processor.

The emulator translates instructions and raises SIGILL on those that the core lacks; it says nothing
about time.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from sanderling.boards import Board
from sanderling.errors import BoardError, DependencyError

EMULATORS = {"qemu-aarch64-static": "qemu-user-static", "qemu-aarch64": "qemu-user"}


def emulator() -> str:
    """The user-mode emulator: $SANDERLING_QEMU, else an installed one. Raises DependencyError naming the package."""
    if os.environ.get("SANDERLING_QEMU"):
        return os.environ["SANDERLING_QEMU"]
    for name in EMULATORS:
        found = shutil.which(name)
        if found:
            return found
    raise DependencyError(
        f"expected {' or '.join(EMULATORS)}, found neither; install the package qemu-user-static"
    )


def command(board: Board, program: Path, arguments: Sequence[str]) -> list[str]:
    """The command line that runs `program` as on `board` (a 64-bit ARM profile)."""
    if "cpu" not in board.qemu or not board.isa.startswith("neon"):
        raise BoardError(
            f"expected an ARM board whose profile names qemu.cpu, found {board.id}; "
            "run the program directly"
        )
    return [emulator(), "-cpu", board.qemu["cpu"], str(program), *arguments]


def run_on(
    board: Board, program: Path, arguments: Sequence[str], timeout_s: float = 600.0
) -> subprocess.CompletedProcess[str]:
    """Run a static aarch64 program as on `board`; the return code is the program's.

    Raises DependencyError (no emulator), BoardError (not an ARM board), TimeoutExpired.
    """
    return subprocess.run(
        command(board, program, arguments),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
