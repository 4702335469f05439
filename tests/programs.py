"""The C++ test programs of a build folder, and running them here or on an emulated processor."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

PASSED = re.compile(r"(\d+) checks? passed on ISA (\w+)")
ROOT = Path(__file__).resolve().parents[1]


def environment(variable: str) -> str:
    """The variable's value; the test is skipped when it is unset."""
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} is unset; `make test` builds it")
    return value


def is_debian() -> bool:
    """Whether this machine has Debian's packages."""
    try:
        return platform.freedesktop_os_release().get("ID") == "debian"
    except OSError:
        return False


def programs(variable: str, *, built_only: bool = False) -> list:
    """Parameters of a test: one for each CTest of the build folder that the variable names.

    built_only leaves out scripts and the emulator that CMake put before a cross-built program. A
    missing folder gives one parameter that skips, so that the gap shows.
    """
    folder = os.environ.get(variable)
    if not folder:
        reason = f"{variable} is unset; `make test` builds it"
        return [pytest.param(None, marks=pytest.mark.skip(reason=reason), id="none")]
    command = ["ctest", "--test-dir", folder, "--show-only=json-v1"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    commands = {test["name"]: test["command"] for test in json.loads(listed.stdout)["tests"]}
    if built_only:
        built = {name: _from_built(words, Path(folder)) for name, words in commands.items()}
        commands = {name: words for name, words in built.items() if words}
    assert commands, f"expected C++ tests in {folder}, found none; build it with a CMake preset"
    return [pytest.param(words, id=name) for name, words in commands.items()]


def _from_built(words: list[str], folder: Path) -> list[str]:
    """The command from its program on, if that is the first word or follows an emulator."""
    for start in (0, 1):
        if words[start : start + 1] and Path(words[start]).is_relative_to(folder.resolve()):
            return words[start:]
    return []


def run_program(
    command: list[str], record: Callable[[str, object], None], where: str, **environ: str
) -> None:
    """Runs a test program from the repository root; asserts success and records what ran on which ISA."""
    env = {key: value for key, value in os.environ.items() if key != "SANDERLING_ISA"}
    done = subprocess.run(command, cwd=ROOT, env={**env, **environ}, capture_output=True, text=True)
    output = f"{' '.join(command)}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
    assert done.returncode == 0, f"exit status {done.returncode}: {output}"
    ran = PASSED.findall(done.stdout)
    for isa in sorted({isa for _, isa in ran}) or ["no kernels"]:
        label = f"{isa} ({where})"
        record("isa", label)
        record("checks", (label, sum(int(count) for count, name in ran if name == isa)))
