"""Installs Python packages into the environment that runs this file.

usage: packages.py EXTRA...     the extras of pyproject.toml, and `build` for the build requirements

Versions come from constraints.txt. A torch that is already importable is used as it is; otherwise
SANDERLING_TORCH (a requirement or a wheel's path) or the tested version is installed.
"""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
from os import environ
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONSTRAINTS = ROOT / "build" / "constraints.txt"
CMAKE = "cmake>=3.21"  # the first that reads our CMakePresets.json


def read_toml(path: Path) -> dict:
    """A TOML file as a dict; Python 3.10 has no tomllib, but its pip carries tomli."""
    try:
        import tomllib as toml
    except ModuleNotFoundError:
        from pip._vendor import tomli as toml
    return toml.loads(path.read_text())


def requirements(names: list[str]) -> list[str]:
    """The requirements of the extras (and of `build`), in file order, once each."""
    project = read_toml(ROOT / "pyproject.toml")
    groups = dict(project["project"]["optional-dependencies"])
    groups["build"] = project["build-system"]["requires"] + missing_build_tools()
    base = project["project"]["dependencies"]
    return list(dict.fromkeys(base + [line for name in names for line in groups[name]]))


def missing_build_tools() -> list[str]:
    """CMake and ninja as packages, where the system has none or one that is too old."""
    tools = []
    cmake = shutil.which("cmake")
    if cmake:
        words = subprocess.run([cmake, "--version"], capture_output=True, text=True).stdout.split()
        cmake = tuple(map(int, words[2].split(".")[:2])) >= (3, 21)
    if not cmake:
        tools.append(CMAKE)
    if not shutil.which("ninja"):
        tools.append("ninja")
    return tools


def pip_install(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", *arguments]
    print("$", " ".join(command), flush=True)
    status = subprocess.run(command).returncode
    if status:
        sys.exit(status)


def torch_works() -> bool:
    return subprocess.run([sys.executable, "-c", "import torch"], capture_output=True).returncode == 0


def main(names: list[str]) -> None:
    wanted = requirements(names)
    tested = (ROOT / "constraints.txt").read_text().splitlines()
    others = [line for line in tested if not line.startswith("torch==")]
    CONSTRAINTS.parent.mkdir(exist_ok=True)
    if any(line.startswith("torch>") for line in wanted):
        if torch_works():
            print(f"torch {importlib.metadata.version('torch')} is installed: used as it is")
        else:
            pinned = next(line for line in tested if line.startswith("torch=="))
            pip_install([environ.get("SANDERLING_TORCH") or pinned.split(";")[0].strip()])
        others.append(f"torch=={importlib.metadata.version('torch')}")
    CONSTRAINTS.write_text("\n".join(others) + "\n")
    pip_install(["-c", str(CONSTRAINTS), *wanted])


if __name__ == "__main__":
    main(sys.argv[1:])
