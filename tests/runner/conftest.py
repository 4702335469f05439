"""The runner under test: built elsewhere, named by environment variables."""

from pathlib import Path

import pytest

from tests.programs import environment
from tests.runner.driver import Run, runner

CPUS = ("cortex-a53", "cortex-a72", "cortex-a76")


@pytest.fixture(scope="session")
def program() -> str:
    return environment("SANDERLING_RUNNER")


@pytest.fixture(scope="session")
def run(program: str) -> Run:
    return runner([program])


@pytest.fixture(scope="session", params=CPUS)
def arm(request: pytest.FixtureRequest) -> tuple[str, Run]:
    """A 64-bit ARM processor's name and the runner on it, emulated."""
    emulator, program = environment("SANDERLING_QEMU"), environment("SANDERLING_RUNNER_ARM")
    return request.param, runner([emulator, "-cpu", request.param, program])


@pytest.fixture(scope="session")
def model(model_path: Path) -> Path:
    """A small model with random weights, not calibrated."""
    return model_path
