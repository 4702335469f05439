"""State-switching sources: duty cycles, telemetry steps, counters, commands, machine cycles.

Each single source: (rng, n) -> float64 (n,). `commands` and `telemetry` make all channels at once.
"""

from __future__ import annotations

import numpy as np

from .blocks import (
    Rng,
    box_smooth,
    cycle_phase,
    cycle_times,
    draw_period,
    dwell_states,
    first_order_lag,
    log_uniform,
    smooth_noise,
    white,
)


def duty(rng: Rng, n: int) -> np.ndarray:
    """On and off with nearly constant dwell times; the load follows at once or with a lag."""
    period = draw_period(rng, 16.0, 500.0)
    starts, lengths = cycle_times(rng, n, period, rng.uniform(0.0, 0.06))
    _, phase = cycle_phase(n, starts, lengths)
    x = (phase < rng.uniform(0.1, 0.9)).astype(np.float64)
    if rng.uniform() < 0.5:
        x = first_order_lag(x, period * rng.uniform(0.02, 0.3))
    return x + rng.uniform(0.0, 0.08) * white(rng, n) * x


def machine_cycle(rng: Rng, n: int) -> np.ndarray:
    """A recipe of ramps and holds, repeated with small differences; idle time between runs."""
    period = draw_period(rng, 60.0, 600.0)
    stages = int(rng.integers(3, 8))
    knots = np.sort(rng.uniform(0.02, 0.85, stages))
    levels = np.repeat(rng.uniform(0.0, 1.0, stages), 2)[: 2 * stages - 1]
    at = np.sort(np.concatenate([knots, (knots[1:] + knots[:-1]) * 0.5]))
    grid = np.concatenate([[0.0], at, [min(at[-1] + 0.06, 0.99), 1.0]])
    shape = np.concatenate([[0.0], levels, [0.0, 0.0]])
    starts, lengths = cycle_times(rng, n, period, rng.uniform(0.0, 0.04))
    index, phase = cycle_phase(n, starts, lengths)
    height = 1.0 + rng.uniform(0.0, 0.04) * rng.standard_normal(len(starts))
    return np.interp(phase, grid, shape) * height[index] + rng.uniform(0.0, 0.05) * white(rng, n)


def thermostat(rng: Rng, n: int) -> np.ndarray:
    """Heating and cooling between two limits: exponential arcs."""
    period = draw_period(rng, 20.0, 400.0)
    starts, lengths = cycle_times(rng, n, period, rng.uniform(0.0, 0.08))
    _, phase = cycle_phase(n, starts, lengths)
    rise, bend = rng.uniform(0.2, 0.8), rng.uniform(0.5, 3.0)
    up = (1.0 - np.exp(-bend * phase / rise)) / (1.0 - np.exp(-bend))
    down_phase = (phase - rise) / (1.0 - rise)
    down = (np.exp(-bend * down_phase) - np.exp(-bend)) / (1.0 - np.exp(-bend))
    return np.where(phase < rise, up, down)


def steps(rng: Rng, n: int) -> np.ndarray:
    """Telemetry levels: a few states, visited in turn or at random, with little noise."""
    levels = rng.normal(0.0, 1.0, int(rng.integers(2, 7)))
    state = dwell_states(rng, n, log_uniform(rng, 8.0, 150.0), rng.uniform(0.05, 0.8))
    order = rng.integers(0, len(levels), state[-1] + 1)
    pick = state % len(levels) if rng.uniform() < 0.5 else order[state]
    return levels[pick] + rng.choice([0.0, 0.01, 0.05]) * white(rng, n)


def counter(rng: Rng, n: int) -> np.ndarray:
    """A counter that rises at a nearly constant rate and starts again (or a queue that empties)."""
    period = draw_period(rng, 20.0, 500.0)
    starts, lengths = cycle_times(rng, n, period, rng.choice([0.0, 0.03, 0.1]))
    _, phase = cycle_phase(n, starts, lengths)
    steps_a_cycle = int(rng.integers(4, max(5, int(period))))
    return np.floor(phase * steps_a_cycle) / steps_a_cycle


def heap(rng: Rng, n: int) -> np.ndarray:
    """Memory in use: uneven growth, then collected; the floor wanders slowly."""
    state = dwell_states(rng, n, draw_period(rng, 30.0, 300.0), rng.uniform(0.05, 0.4))
    growth = rng.gamma(1.5, 1.0, n)
    total = np.cumsum(growth)
    first = np.concatenate([[True], state[1:] != state[:-1]])
    base = np.maximum.accumulate(np.where(first, total, 0.0))
    x = (total - base) / (total[-1] / n * 100.0)
    return x + 0.2 * smooth_noise(rng, n, log_uniform(rng, 200.0, 800.0))


def quantised(rng: Rng, n: int) -> np.ndarray:
    """A slow quantity seen by a coarse sensor: few distinct values, flat stretches, chatter."""
    x = smooth_noise(rng, n, draw_period(rng, 20.0, 300.0))
    if rng.uniform() < 0.5:
        x += np.sin(2.0 * np.pi * (np.arange(n) / draw_period(rng, 40.0) + rng.uniform()))
    x += rng.uniform(0.0, 0.1) * white(rng, n)
    resolution = rng.uniform(0.15, 0.8)
    return np.round(x / resolution) * resolution


def setpoints(rng: Rng, n: int) -> np.ndarray:
    """A controlled quantity: set points from a short list, second-order response, small noise."""
    levels = rng.uniform(-1.0, 1.0, int(rng.integers(2, 5)))
    state = dwell_states(rng, n, draw_period(rng, 60.0, 300.0), rng.uniform(0.05, 0.4))
    tau = rng.uniform(2.0, 25.0)
    lag = first_order_lag(levels[state % len(levels)], tau)
    x = lag + rng.uniform(0.0, 1.5) * (lag - first_order_lag(lag, tau))
    return x + rng.uniform(0.0, 0.06) * box_smooth(white(rng, n), int(rng.integers(1, 6)))


def commands(rng: Rng, n: int, channels: int) -> np.ndarray:
    """Command words: binary (n, channels); one plan repeats, so that their order is regular."""
    plan = rng.permutation(np.arange(int(rng.integers(2, 9))) % max(channels, 2))
    state = dwell_states(rng, n, log_uniform(rng, 4.0, 60.0), rng.uniform(0.02, 0.5))
    word = plan[state % len(plan)]
    held = rng.uniform() < 0.5
    start = np.concatenate([[True], state[1:] != state[:-1]])
    x = (word[:, None] == np.arange(channels)).astype(np.float64)
    return x if held else x * start[:, None]


def telemetry(rng: Rng, n: int, channels: int) -> np.ndarray:
    """Spacecraft-like (n, channels): channel 0 is a value that answers to the commands."""
    word = commands(rng, n, max(channels - 1, 2))
    drive = word @ rng.normal(0.0, 1.0, word.shape[1])
    value = first_order_lag(drive, rng.uniform(1.0, 30.0))
    deviation = value.std() or 1.0
    value = value / deviation + rng.uniform(0.0, 0.4) * smooth_noise(rng, n, draw_period(rng, 50.0))
    value += rng.uniform(0.0, 0.1) * white(rng, n)
    return np.column_stack([value, word[:, : channels - 1]])
