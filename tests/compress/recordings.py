"""Recordings for parity and compression tests, generated and real."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np


def generated(samples: int, channels: int, seed: int = 0) -> np.ndarray:
    """Sines with drift, noise, a spike and a level shift; float32 (samples, channels)."""
    rng = np.random.default_rng(seed)
    t = np.arange(samples)[:, None]
    period = rng.uniform(20, 200, channels)
    x = np.sin(2 * np.pi * t / period + rng.uniform(0, 6, channels)) + 0.1 * rng.standard_normal((samples, channels))
    x += 0.002 * np.cumsum(rng.standard_normal((samples, channels)), axis=0)
    x[samples // 2 : samples // 2 + 4] += 8
    x[3 * samples // 4 :, 0] += 1.5
    return (100 + 12 * x).astype(np.float32)


def wandering(samples: int, seed: int = 0) -> np.ndarray:
    """A sine on a level that never comes back, and one on a steady level; float32 (samples, 2)."""
    rng = np.random.default_rng(seed)
    wave = np.sin(np.arange(samples) / 5)[:, None] + 0.05 * rng.standard_normal((samples, 2))
    wave[:, 0] += np.arange(samples) / 150
    return wave.astype(np.float32)


def real(limit: int = 3, samples: int = 6000) -> Iterator[tuple[str, np.ndarray, int]]:
    """Name, x and the end of its training part, of one labelled recording a set; needs SANDERLING_DATA."""
    from sanderling.train.data import _read_npz

    root = Path(os.environ["SANDERLING_DATA"])
    index = json.loads((root / "index.json").read_text(encoding="utf-8"))
    entries = [e for e in index["datasets"] if e["role"] == "eval"]
    for entry in entries[:limit]:
        name, x = next(iter(_read_npz(root / entry["file"])))
        yield f"{entry['name']}/{name}", x[:samples], min(len(x) // 3, samples // 3)
