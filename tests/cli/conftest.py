"""The command line as its users have it: a process, its output and its exit code."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sanderling import Detector

Sanderling = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def pump_path(tmp_path_factory: pytest.TempPathFactory, model_path: Path) -> Path:
    """A model calibrated on the two channels of `pump_signal`."""
    path = tmp_path_factory.mktemp("model") / "pump.gguf"
    Detector.load(model_path).fit(pump_signal(600)).save(path)
    return path


@pytest.fixture
def sanderling(tmp_path: Path) -> Sanderling:
    def run(*arguments: object, text: str = "", **environment: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "sanderling", *map(str, arguments)]
        env = {key: value for key, value in os.environ.items() if key != "SANDERLING_ISA"} | environment
        return subprocess.run(command, input=text, capture_output=True, text=True, cwd=tmp_path, env=env, check=False)

    return run


def pump_signal(samples: int, fault: int | None = None) -> np.ndarray:
    """float32 (samples, 2), rounded as a logger does; the second channel jumps for 16 samples at `fault`."""
    t = np.arange(samples)
    noise = [np.random.default_rng([0, c]).standard_normal(samples) for c in range(2)]
    x = np.stack([np.sin(t / 5), np.cos(t / 9)], axis=1) + 0.1 * np.stack(noise, axis=1)
    if fault is not None:
        x[fault : fault + 16, 1] += 8
    return np.round(x, 4).astype(np.float32)


def csv_text(x: np.ndarray, start: float = 0.0, period: float = 0.5) -> str:
    rows = [f"{start + i * period},{a!s},{b!s}" for i, (a, b) in enumerate(x)]
    return "time,flow,pressure\n" + "\n".join(rows) + "\n"
