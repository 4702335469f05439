"""The Python of an unpacked aarch64 root file system, in the user-mode emulator."""

from __future__ import annotations

import os
from pathlib import Path

from tests.programs import environment


def python(root: Path, version: str, cpu: str, *paths: Path) -> list[str]:
    """Command of that Python on an emulated processor; it imports from `paths` first."""
    libraries = ":".join(str(path / "aarch64-linux-gnu") for path in (root / "lib", root / "usr" / "lib"))
    seen = {"LD_LIBRARY_PATH": libraries, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    seen |= {"PYTHONDONTWRITEBYTECODE": "1", "OPENBLAS_NUM_THREADS": "1"}
    options = [word for name, value in seen.items() for word in ("-E", f"{name}={value}")]
    qemu = environment("SANDERLING_QEMU")
    return [qemu, "-cpu", cpu, "-L", str(root), *options, str(root / "usr" / "bin" / f"python{version}")]
