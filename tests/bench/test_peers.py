"""Installed peers give the native scores, from files made here, in windows and in steps that carry their state."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import sanderling
from sanderling.bench import samples
from sanderling.bench.agree import agreement
from sanderling.bench.entries import PATCH, Bound, chosen

pytest.importorskip("gguf")

# A random model's scores are less smooth than a trained one's; wiring faults are far below this.
LOOSE = Bound(0.9, 0.9)


@pytest.fixture(scope="module")
def calibrated(model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench") / "calibrated.gguf"
    sanderling.Detector.load(model_path).fit(samples.make(1)[0]).save(path)
    return path


@pytest.fixture(scope="module")
def native(calibrated: Path) -> tuple[np.ndarray, np.ndarray]:
    """Scaled windows and the native scores of the raw ones."""
    raw = samples.make(4)[1]
    detector = sanderling.Detector.load(calibrated)
    scores = np.stack([detector.decision_function(window)[::PATCH] for window in raw])
    return samples.scaled(raw, *samples.scaling_of(calibrated)), scores


def test_scaled_samples_are_the_engines(calibrated, native):
    location, spread, clip = samples.scaling_of(calibrated)
    assert np.abs(native[0]).max() <= clip and spread > 0
    assert np.float32(location) == np.float32(sorted(samples.make(1)[0])[2047])  # the lower median


def test_the_samples_are_the_same_each_time():
    for one, other in zip(samples.make(3), samples.make(3), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(samples.make(3)[1], samples.make(3, samples.SEED + 1)[1])


CASES = [("onnxruntime", "fp32"), ("onnxruntime", "int8-rows"), ("onnxruntime", "int8-dynamic"), ("torch", "eager")]


@pytest.mark.parametrize("engine, variant", CASES)
def test_window_and_steps_give_the_native_scores(engine, variant, calibrated, native, tmp_path):
    for module in (engine, *(("onnx",) if engine == "onnxruntime" else ())):
        pytest.importorskip(module)
    peer = pytest.importorskip(f"sanderling.bench.peers.{engine}")
    (entry,) = [e for e in chosen([engine]) if e.variant == variant]
    session = peer.load(peer.prepare(calibrated, variant, tmp_path), variant, entry.isa)
    scaled, expected = native
    windows = np.stack([session.fresh_window(window) for window in scaled])
    steps = np.empty_like(expected)
    for i, window in enumerate(scaled):
        session.reset()
        steps[i] = [session.step(patch) for patch in window.reshape(-1, PATCH)]
    for scores in (windows, steps):
        found = agreement(scores.astype(np.float32), expected)
        assert found.within(LOOSE), found
    assert agreement(steps.astype(np.float32), windows.astype(np.float32)).spearman > 0.99
    assert session.settings()
