"""Where the .tflite files of the tests are, and the Pythons that score them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import emulated

ROOT = Path(__file__).resolve().parents[2]
WORKERS = ROOT / "tests" / "helpers"


def files() -> Path:
    """The folder that helpers/tflite_files.py filled; skips where it isn't."""
    folder = os.environ.get("SANDERLING_TFLITE_FILES")
    if not folder:
        pytest.skip("SANDERLING_TFLITE_FILES is not set")
    return Path(folder)


def on_aarch64(package: str) -> list[str]:
    """Command of the emulated Python with a runtime; our package comes from the source tree, without the core."""
    folder = os.environ.get("SANDERLING_TFLITE_ARM")
    if not folder:
        pytest.skip("SANDERLING_TFLITE_ARM is not set: the emulated Python comes from Debian's packages")
    return emulated.python(Path(folder) / "root", "3.11", "cortex-a72", Path(folder) / package, ROOT / "python")


def runtime_python() -> str:
    """The Python that has tflite-runtime and NumPy 1."""
    python = os.environ.get("SANDERLING_TFLITE_PYTHON")
    if not python:
        pytest.skip("SANDERLING_TFLITE_PYTHON is not set: tflite-runtime ends at Python 3.11")
    return python


# Name -> command of a Python with that runtime.
PLACES = {
    "litert": lambda: [sys.executable],
    "tflite-runtime": lambda: [runtime_python()],
    "litert on aarch64": lambda: on_aarch64("ai_edge_litert"),
    "tflite-runtime on aarch64": lambda: on_aarch64("tflite_runtime"),
}


def scored(
    place: str, paths: list[Path], folder: Path, worker: str = "tflite_worker", **arrays: np.ndarray
) -> dict[str, np.ndarray]:
    """What helpers/<worker>.py finds with these files and arrays."""
    given, found = folder / "in.npz", folder / f"{place}.npz"
    np.savez(given, **arrays)  # type: ignore[arg-type]
    command = [*PLACES[place](), str(WORKERS / f"{worker}.py"), str(given), str(found), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{place}: {done.stderr[-3000:]}"
    with np.load(found) as arrays:
        return dict(arrays)
