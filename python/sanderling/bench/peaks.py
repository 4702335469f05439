"""The machine's peaks and the products' share of them, from the C++ program of csrc/bench."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

PROGRAM, VARIABLE = "bench_kernels", "SANDERLING_BENCH_KERNELS"


def find(path: Path | None = None) -> Path | None:
    """`path`, else $SANDERLING_BENCH_KERNELS, else the program on the PATH."""
    named = path or os.environ.get(VARIABLE) or shutil.which(PROGRAM)
    return Path(named) if named else None


def measure(program: Path | None, native: Path, rounds: int, cpu: int | None) -> dict[str, Any] | str:
    """{"peaks": [...], "gemm": [...]} as csrc/bench/main.cpp documents, or why there is none."""
    if program is None:
        return f"expected the program {PROGRAM} (a CMake target), found none; build it and set {VARIABLE}"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "peaks.json")
        pin = (lambda: os.sched_setaffinity(0, {cpu})) if cpu is not None else None
        try:
            done = subprocess.run(
                [str(program), str(native), "--json", str(out), "--rounds", str(rounds)],
                capture_output=True,
                text=True,
                preexec_fn=pin,
            )
            if done.returncode != 0:
                return f"{program} ended with status {done.returncode}: {done.stderr.strip()[-200:]}"
            found = json.loads(out.read_text())
        except (OSError, ValueError) as error:
            return f"{program}: {error}"
    return {"peaks": found["peaks"], "gemm": found["gemm"]}
