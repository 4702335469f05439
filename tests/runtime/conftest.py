"""A small model with random weights and signals for it."""

from pathlib import Path

import numpy as np
import pytest

from sanderling import Detector

COLD = 512  # docs/format.md: sanderling.cold_samples


@pytest.fixture(scope="session")
def calibrated_path(tmp_path_factory: pytest.TempPathFactory, model_path: Path) -> Path:
    """Calibrated on one channel."""
    path = tmp_path_factory.mktemp("model") / "calibrated.gguf"
    Detector.load(model_path).fit(signal(800)).save(path)
    return path


def signal(samples: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    """float32 (samples, channels): sines with noise; the same start for every length."""
    t = np.arange(samples)[:, None]
    noise = np.stack([np.random.default_rng([seed, c]).standard_normal(samples) for c in range(channels)], axis=1)
    return (np.sin(2 * np.pi * t / (20 + np.arange(channels))) + 0.1 * noise).astype(np.float32)
