"""What an engine costs beside its windows: import time, bytes on disk, the runner's memory and idle time."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Container
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

import numpy as np

import sanderling

from .machine import resident_mib
from .process import busy_ns, is_installed

# What a user imports to score one window, on top of numpy; `sanderling.Detector` loads the C++ core.
IMPORTS = {
    "numpy": ("numpy", "import numpy"),
    "sanderling": ("sanderling", "import sanderling"),
    "sanderling.Detector": ("sanderling", "import sanderling; sanderling.Detector"),
    "onnxruntime": ("onnxruntime", "import onnxruntime"),
    "openvino": ("openvino", "import openvino"),
    "litert": ("ai_edge_litert", "import ai_edge_litert.interpreter"),
    "executorch": ("executorch", "import executorch.runtime"),
    "torch": ("torch", "import torch"),
}
ALWAYS = ("numpy", "sanderling", "sanderling.Detector")
PACKAGES = {
    "onnxruntime": ("onnxruntime",),
    "openvino": ("openvino",),
    "litert": ("ai-edge-litert",),
    "executorch": ("executorch", "torch"),
    "torch": ("torch",),
}
SLOW_MS = 2000.0  # measured once: its importers know


def import_ms(repeats: int, engines: Container[str]) -> dict[str, float]:
    """Median milliseconds of each import in a fresh interpreter, in turns: numpy's, and the others on top of it."""
    names = [n for n, (module, _) in IMPORTS.items() if (n in ALWAYS or n in engines) and is_installed(module)]
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(repeats):
        for name in names:
            if times[name] and times[name][0] > SLOW_MS:
                continue
            before = "" if name == "numpy" else "import numpy; "
            timed = (
                f"b = time.perf_counter(); {IMPORTS[name][1]}; print((time.perf_counter() - b) * 1e3, file=sys.stderr)"
            )
            done = subprocess.run(
                [sys.executable, "-c", f"import sys, time; {before}{timed}"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
            if done.returncode == 0:
                times[name].append(float(done.stderr.split()[-1]))
    return {name: round(float(np.median(found)), 2) for name, found in times.items() if found}


def disk_bytes() -> dict[str, int]:
    """Bytes of the installed packages, by engine; `native` with the shipped weights."""
    found = {"native": sum(path.stat().st_size for path in _own_files())}
    for engine, packages in PACKAGES.items():
        try:
            paths = [Path(str(file.locate())) for package in packages for file in files(package) or ()]
        except PackageNotFoundError:
            continue
        found[engine] = sum(path.stat().st_size for path in paths if path.is_file())
    return found


def wheel_bytes() -> int:
    """Bytes of this package without weights, compressed as a wheel is (deflate)."""
    root = Path(sanderling.__file__).parent
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as wheel:
        for path in _own_files():
            if path.suffix != ".gguf":
                wheel.write(path, path.relative_to(root))
    return len(buffer.getvalue())


def _own_files() -> list[Path]:
    root = Path(sanderling.__file__).parent
    return [path for path in sorted(root.rglob("*")) if path.is_file() and path.suffix != ".pyc"]


def runner(executable: Path, native: Path, windows: np.ndarray, idle_s: float) -> dict[str, Any]:
    """The static runner on one channel: peak resident MiB while it scores, and its processor time while it waits."""
    process = subprocess.Popen(
        [str(executable), str(native)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        assert process.stdin is not None
        process.stdin.write("".join(f"{value:.9g}\n" for value in windows.ravel()).encode())
        process.stdin.flush()
        _wait_until_idle(process.pid)
        memory, before = resident_mib(process.pid, peak=True), busy_ns(process.pid)
        time.sleep(idle_s)
        busy_ms = (busy_ns(process.pid) - before) / 1e6
    finally:
        process.kill()
        process.wait()
    return {
        "rss_mib": round(memory, 2),
        "idle_cpu_ms_per_s": round(busy_ms / idle_s, 3),
        "disk_bytes": os.path.getsize(executable),
    }


def _wait_until_idle(pid: int) -> None:
    """Until a tenth of a second passes without processor time, at most ten seconds."""
    for _ in range(100):
        before = busy_ns(pid)
        time.sleep(0.1)
        if busy_ns(pid) == before and before:
            return
