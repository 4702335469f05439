"""A recording and a bundle for `sanderling sim` where the user brings none: a pump's pressure with two faults."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sanderling.export import bundle, minisign
from sanderling.export.unit import unit_file
from sanderling.firmware_sim import raspberry

from sanderling.boards import load_board
from sanderling.runtime.detector import Detector

SAMPLES, REFERENCE = 1024, 2048  # both of whole patches


@dataclass(frozen=True)
class Scenario:
    """Files in a folder: a bundle signed by a key made for it, its public key, and a CSV to feed."""

    bundle: Path
    key: Path
    recording: Path


def signal(samples: int, seed: int) -> NDArray[np.float32]:
    """Strokes of 46 samples with a little noise."""
    t = np.arange(samples)
    noise = np.random.default_rng(seed).standard_normal(samples)
    return (np.sin(t * 2 * np.pi / 46) + 0.3 * np.sin(t * 4 * np.pi / 46) + 0.05 * noise).astype(np.float32)


def write_csv(path: Path, values: NDArray[np.float32]) -> None:
    """One channel, with a row of names."""
    path.write_text("pressure\n" + "".join(f"{value:.6g}\n" for value in values))


def make(folder: Path, runner: Path, version: int = 1, model: str | None = None) -> Scenario:
    """Calibrates the shipped model (or `model`) on a generated reference and bundles it with a static aarch64
    runner."""
    recording = signal(SAMPLES, 2)
    recording[600:624] += np.float32(1.5)
    recording[800:846] *= np.float32(0.2)
    write_csv(folder / "recording.csv", recording)
    write_csv(folder / "reference.csv", signal(REFERENCE, 1))
    detector = Detector.load(model)
    detector.fit(np.loadtxt(folder / "reference.csv", skiprows=1, dtype=np.float32)[:, None])
    detector.save(folder / "pump.gguf")
    parts = {
        bundle.MODEL: (folder / "pump.gguf").read_bytes(),
        bundle.RUNNER: runner.read_bytes(),
        bundle.UNIT: unit_file("pump").encode(),
    }
    key = minisign.generate()
    minisign.write_public(folder / "pump.pub", key.public)
    boards = [load_board(name) for name in raspberry.BOARDS]
    bundle.create(folder / "pump.bundle", parts, name="pump", version=version, boards=boards, key=key)
    return Scenario(folder / "pump.bundle", folder / "pump.pub", folder / "recording.csv")
