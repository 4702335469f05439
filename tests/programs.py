"""The C++ test programs of a build folder, and running them here or on an emulated processor."""

from __future__ import annotations

import json
import os
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


def programs(variable: str, *, scripts: bool = True) -> list:
    """Parameters of a test: one for each CTest of the build folder that the variable names.

    scripts=False leaves out what was not built there and so cannot be emulated. A missing folder
    gives one parameter that skips, so that the gap shows.
    """
    folder = os.environ.get(variable)
    if not folder:
        reason = f"{variable} is unset; `make test` builds it"
        return [pytest.param(None, marks=pytest.mark.skip(reason=reason), id="none")]
    command = ["ctest", "--test-dir", folder, "--show-only=json-v1"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    tests = json.loads(listed.stdout)["tests"]
    if not scripts:
        built = Path(folder).resolve()
        tests = [t for t in tests if Path(t["command"][0]).resolve().is_relative_to(built)]
    assert tests, f"expected C++ tests in {folder}, found none; build it with a CMake preset"
    return [pytest.param(test["command"], id=test["name"]) for test in tests]


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
