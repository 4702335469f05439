"""Fixtures of the live tests and attacks: programs, a calibrated model, a recording and its scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.live import Broker, Program, mosquitto

__all__ = ["broker", "native", "program", "pump", "recording", "runner", "runner_and_watch", "scores", "watch"]
PROGRAMS = ("runner", "runner on cortex-a53", "watch")


@pytest.fixture(params=PROGRAMS)
def program(request: pytest.FixtureRequest) -> Iterator[Program]:
    """Each of the three."""
    made = Program(request.param)
    yield made
    made.stop_all()


@pytest.fixture(params=("runner", "watch"))
def native(request: pytest.FixtureRequest) -> Iterator[Program]:
    """The two of this machine."""
    made = Program(request.param)
    yield made
    made.stop_all()


@pytest.fixture
def runner_and_watch() -> Iterator[tuple[Program, Program]]:
    """Both, to be compared."""
    made = Program("runner"), Program("watch")
    yield made
    for one in made:
        one.stop_all()


@pytest.fixture
def runner() -> Iterator[Program]:
    made = Program("runner")
    yield made
    made.stop_all()


@pytest.fixture
def watch() -> Iterator[Program]:
    made = Program("watch")
    yield made
    made.stop_all()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with mosquitto(tmp_path / "broker") as made:
        yield made


def make_signal(samples: int, faults: Sequence[int] = (), seed: int = 0, height: float = 20.0) -> np.ndarray:
    """float32 (samples, 2), rounded as a logger does; the second channel jumps for 16 samples at each fault."""
    t = np.arange(samples)
    noise = np.random.default_rng(seed).standard_normal((samples, 2))
    x = np.stack([np.sin(t / 5), np.cos(t / 9)], axis=1) + 0.1 * noise
    for fault in faults:
        x[fault : fault + 16, 1] += height
    return np.round(x, 4).astype(np.float32)


def separate_alarms(count: int) -> np.ndarray:
    """float32 (samples, 2): so many faults, as far apart and as low as it takes for alarms that end before the next."""
    return make_signal(200 * count + 100, range(100, 200 * count, 200), height=3.0)


@pytest.fixture(scope="session")
def pump(tmp_path_factory: pytest.TempPathFactory, model_path: Path) -> Path:
    """A model calibrated on the two channels of make_signal."""
    from sanderling import Detector

    path = tmp_path_factory.mktemp("live") / "pump.gguf"
    Detector.load(model_path).fit(make_signal(600, seed=1)).save(path)
    return path


@pytest.fixture(scope="session")
def recording() -> np.ndarray:
    """203 samples with a fault: past whole patches, with an incomplete last one."""
    return make_signal(203, (120,))


@pytest.fixture(scope="session")
def scores(pump: Path, recording: np.ndarray) -> np.ndarray:
    """What Detector says about the recording: float32 (203,)."""
    from sanderling import Detector

    return Detector.load(pump).decision_function(recording)
