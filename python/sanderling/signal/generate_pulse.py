"""Pulse-like sources: heart, pressure, breath, gait, strokes. Each: (rng, n) -> float64 (n,)."""

from __future__ import annotations

import numpy as np

from .blocks import (
    Rng,
    coloured,
    cycle_phase,
    cycle_times,
    draw_period,
    first_order_lag,
    smooth_noise,
)

# Rough textbook shape of one heart beat: centre, width (both in cycles), height of P Q R S T.
ECG_WAVES = np.array(
    [
        [0.18, 0.025, 0.12],
        [0.27, 0.010, -0.12],
        [0.30, 0.012, 1.00],
        [0.33, 0.011, -0.22],
        [0.52, 0.045, 0.30],
    ]
)

PRESSURE_WAVES = np.array(
    [[0.18, 0.075, 1.0], [0.32, 0.10, 0.55], [0.52, 0.08, 0.35], [0.75, 0.16, 0.12]]
)


def _bumps(phase: np.ndarray, waves: np.ndarray) -> np.ndarray:
    """Sum of Gaussian bumps (centre, width, height) at the phases, around the ring."""
    offset = phase[:, None] - waves[:, 0]
    offset -= np.round(offset)
    return np.exp(-0.5 * (offset / waves[:, 1]) ** 2) @ waves[:, 2]


def _beats(
    rng: Rng, n: int, period: float, jitter: float, height: float
) -> tuple[np.ndarray, np.ndarray]:
    """Phase of each sample and the height of its cycle; lengths and heights vary a little."""
    starts, lengths = cycle_times(rng, n, period, jitter)
    index, phase = cycle_phase(n, starts, lengths)
    return phase, (1.0 + height * rng.standard_normal(len(starts)))[index]


def ecg(rng: Rng, n: int) -> np.ndarray:
    """Heart beats with a breathing baseline; lead and patient vary the five waves."""
    period = draw_period(rng, 40.0, 400.0)
    waves = ECG_WAVES * np.exp(0.25 * rng.standard_normal((5, 3)) * [0.1, 1.0, 1.0])
    waves[:, 1] = np.maximum(waves[:, 1], 0.8 / period)
    waves[:, 2] *= np.where(rng.uniform(size=5) < 0.12, -1.0, 1.0)
    phase, height = _beats(rng, n, period, rng.uniform(0.005, 0.05), rng.uniform(0.0, 0.06))
    x = _bumps(phase, waves) * height
    return x + rng.uniform(0.0, 0.15) * smooth_noise(rng, n, period * rng.uniform(2.0, 6.0))


def pressure_pulse(rng: Rng, n: int) -> np.ndarray:
    """Arterial pressure: fast upstroke, notch, slow run-off; breathing changes its level."""
    period = draw_period(rng, 25.0, 300.0)
    waves = PRESSURE_WAVES * np.exp(rng.standard_normal((4, 3)) * [0.05, 0.12, 0.2])
    phase, height = _beats(rng, n, period, rng.uniform(0.005, 0.04), rng.uniform(0.0, 0.05))
    x = _bumps(phase, waves) * height
    return x + rng.uniform(0.0, 0.2) * smooth_noise(rng, n, period * rng.uniform(2.0, 6.0))


def pulse_train(rng: Rng, n: int) -> np.ndarray:
    """One to three narrow bumps a cycle, either sign, on a quiet baseline."""
    period = draw_period(rng, 12.0, 500.0)
    count = int(rng.integers(1, 4))
    waves = np.column_stack(
        [
            rng.uniform(0.0, 1.0, count),
            np.maximum(rng.uniform(0.01, 0.08, count), 1.0 / period),
            rng.uniform(0.3, 1.0, count) * rng.choice([1.0, 1.0, -1.0], count),
        ]
    )
    phase, height = _beats(rng, n, period, rng.uniform(0.0, 0.05), rng.uniform(0.0, 0.08))
    return _bumps(phase, waves) * height


def strokes(rng: Rng, n: int) -> np.ndarray:
    """Impulses that decay (press strokes, valves), on a regular or slightly jittered clock."""
    period = draw_period(rng, 16.0, 400.0)
    starts, lengths = cycle_times(rng, n, period, rng.choice([0.0, 0.02, 0.05]))
    at = starts.astype(np.int64)
    at = at[(at >= 0) & (at < n)]
    x = np.zeros(n)
    x[at] = period * (1.0 + 0.06 * rng.standard_normal(len(at)))
    return first_order_lag(x, max(1.0, period * rng.uniform(0.03, 0.25)))


def respiration(rng: Rng, n: int) -> np.ndarray:
    """Breaths: inhale shorter than exhale, depth and length wander."""
    period = draw_period(rng, 30.0, 400.0)
    phase, height = _beats(rng, n, period, rng.uniform(0.02, 0.08), rng.uniform(0.03, 0.12))
    inhale = rng.uniform(0.25, 0.5)
    folded = np.where(phase < inhale, phase / inhale, 1.0 + (phase - inhale) / (1.0 - inhale))
    x = 0.5 * (1.0 - np.cos(np.pi * folded)) ** rng.uniform(0.8, 1.6) * height
    return x + 0.05 * smooth_noise(rng, n, 3.0 * period)


def gait(rng: Rng, n: int) -> np.ndarray:
    """Steps: left and right differ a little, each with impact and swing parts and rough noise."""
    period = draw_period(rng, 40.0, 300.0)
    step = np.column_stack(
        [rng.uniform(0.0, 0.5, 4), rng.uniform(0.015, 0.07, 4), rng.normal(0.0, 1.0, 4)]
    )
    step[:, 1] = np.maximum(step[:, 1], 1.0 / period)
    other = step * np.exp(0.15 * rng.standard_normal(step.shape) * [0.1, 1.0, 1.0])
    other[:, 0] += 0.5
    phase, height = _beats(rng, n, period, rng.uniform(0.01, 0.05), rng.uniform(0.03, 0.12))
    x = _bumps(phase, np.vstack([step, other])) * height
    return x + rng.uniform(0.0, 0.12) * coloured(rng, n, 1.0)
