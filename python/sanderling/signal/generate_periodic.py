"""Periodic sources: tones, waveforms, motifs, seasons. Each: (rng, n) -> float64 (n,)."""

from __future__ import annotations

import numpy as np

from .blocks import (
    Rng,
    box_smooth,
    coloured,
    cycle_phase,
    cycle_times,
    draw_period,
    log_uniform,
    phase_track,
    rational_noise,
    smooth_noise,
    standardise,
    white,
)

TAU = 2.0 * np.pi


def harmonics(rng: Rng, n: int) -> np.ndarray:
    """A few harmonics of one steady period."""
    period = draw_period(rng)
    phase = phase_track(rng, n, period)
    x = np.zeros(n)
    for k in range(1, min(int(rng.integers(2, 7)), int(period / 2.5) + 1)):
        x += rng.uniform(0.2, 1.0) / k * np.sin(TAU * (k * phase + rng.uniform()))
    return x


def modulated(rng: Rng, n: int) -> np.ndarray:
    """A carrier with slow amplitude and frequency modulation, itself periodic or wandering."""
    period = draw_period(rng, high=200.0)
    phase = phase_track(rng, n, period, wander=rng.uniform(0.0, 0.06))
    slow = period * log_uniform(rng, 4.0, 15.0)
    envelope = 1.0 + rng.uniform(0.1, 0.7) * np.sin(TAU * phase_track(rng, n, slow, 0.02))
    swing = rng.uniform(0.0, 0.4) * np.sin(TAU * phase_track(rng, n, 1.3 * slow, 0.0))
    x = np.sin(TAU * phase + swing)
    x += rng.uniform(0.0, 0.4) * np.sin(2.0 * TAU * phase + 2.0 * swing + rng.uniform() * TAU)
    return envelope * x


def _sawtooth(phase: np.ndarray, rng: Rng) -> np.ndarray:
    return 2.0 * phase - 1.0


def _triangle(phase: np.ndarray, rng: Rng) -> np.ndarray:
    rise = rng.uniform(0.15, 0.85)
    return np.where(phase < rise, phase / rise, (1.0 - phase) / (1.0 - rise))


def _square(phase: np.ndarray, rng: Rng) -> np.ndarray:
    return (phase < rng.uniform(0.15, 0.85)).astype(np.float64)


def _trapezoid(phase: np.ndarray, rng: Rng) -> np.ndarray:
    ramp, hold = rng.uniform(0.05, 0.25), rng.uniform(0.1, 0.5)
    return np.interp(phase, [0.0, ramp, ramp + hold, 2.0 * ramp + hold, 1.0], [0, 1, 1, 0, 0])


def _rectified(phase: np.ndarray, rng: Rng) -> np.ndarray:
    return np.abs(np.sin(np.pi * phase)) ** rng.uniform(0.6, 3.0)


WAVEFORMS = (_sawtooth, _triangle, _square, _trapezoid, _rectified)


def waveform(rng: Rng, n: int) -> np.ndarray:
    """Sawtooth, triangle, square, trapezoid or rectified sine; edges sometimes rounded."""
    period = draw_period(rng, low=10.0)
    starts, lengths = cycle_times(rng, n, period, jitter=rng.choice([0.0, 0.0, 0.02]))
    _, phase = cycle_phase(n, starts, lengths)
    x = WAVEFORMS[rng.integers(len(WAVEFORMS))](phase, rng)
    return box_smooth(x, int(rng.integers(1, max(2, int(period / 8))))) if rng.uniform() < 0.5 else x


def tones(rng: Rng, n: int) -> np.ndarray:
    """Two to four tones with unrelated periods (beats, quasi-periodic)."""
    x = np.zeros(n)
    for _ in range(int(rng.integers(2, 5))):
        phase = phase_track(rng, n, draw_period(rng, high=300.0))
        x += rng.uniform(0.3, 1.0) * np.sin(TAU * phase)
    return x


def motif(rng: Rng, n: int) -> np.ndarray:
    """A random smooth shape repeated each cycle, with small changes of length and height."""
    period = draw_period(rng, low=12.0)
    grid = np.linspace(0.0, 1.0, 129)
    orders = np.arange(1, int(rng.integers(3, 12)))
    decay = orders ** -rng.uniform(0.4, 1.5)
    weights = rng.standard_normal((2, len(orders))) * decay
    angles = TAU * np.outer(grid, orders)
    shape = np.sin(angles) @ weights[0] + np.cos(angles) @ weights[1]
    starts, lengths = cycle_times(rng, n, period, jitter=rng.uniform(0.0, 0.04))
    index, phase = cycle_phase(n, starts, lengths)
    height = 1.0 + rng.uniform(0.0, 0.08) * rng.standard_normal(len(starts))
    return np.interp(phase, grid, shape) * height[index]


def seasonal(rng: Rng, n: int) -> np.ndarray:
    """A daily profile, weekend days that differ, sometimes a trend and correlated noise."""
    clock = float(rng.choice([24, 48, 96, 144, 288]))
    day = clock if rng.uniform() < 0.7 else draw_period(rng, 20.0)
    t = np.arange(n) + rng.integers(0, int(7 * day))
    hours = rng.uniform(0.0, 1.0, 8) + 0.6 * np.sin(np.linspace(0.0, TAU, 8))
    profile = np.interp((t / day) % 1.0, np.linspace(0.0, 1.0, 9), np.append(hours, hours[0]))
    profile = box_smooth(profile, max(1, int(day / 8)))
    weekend = ((t // day) % 7) >= 5
    x = profile * np.where(weekend, rng.uniform(0.3, 1.0), 1.0)
    x += rng.uniform(-0.4, 0.4) * (rng.uniform() < 0.3) * np.arange(n) / n
    return x + rng.uniform(0.0, 0.12) * coloured(rng, n, rng.uniform(0.0, 1.5))


def resonance(rng: Rng, n: int) -> np.ndarray:
    """Vibration: resonances driven by noise and by impacts at a shaft rate, plus shaft tones."""
    radius = rng.uniform(0.85, 0.985, int(rng.integers(1, 3)))
    angle = TAU / np.array([draw_period(rng, 3.0, 40.0) for _ in radius])
    poles = np.concatenate([radius * np.exp(1j * angle), radius * np.exp(-1j * angle)])
    shaft = draw_period(rng, 24.0, 300.0)
    phase = phase_track(rng, n, shaft, 0.005)
    depth = rng.uniform(0.0, 0.8)
    x = rational_noise(rng, n, poles, np.zeros(0)) * (1.0 + depth * np.sin(TAU * phase))
    x += rng.uniform(0.0, 1.2) * np.sin(TAU * phase)
    x += rng.uniform(0.0, 0.6) * np.sin(2.0 * TAU * phase + rng.uniform() * TAU)
    return x


def drifting_cycle(rng: Rng, n: int) -> np.ndarray:
    """A steady cycle on a slow drift that is part of normal life (temperature, ageing)."""
    cycle = standardise(harmonics(rng, n))
    drift = smooth_noise(rng, n, log_uniform(rng, 150.0, 800.0))
    return cycle + rng.uniform(0.3, 1.2) * drift + rng.uniform(0.0, 0.1) * white(rng, n)
