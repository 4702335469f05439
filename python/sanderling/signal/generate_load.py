"""Irregular sources: noises, walks, load, bursts, counts. Each: (rng, n) -> float64 (n,)."""

from __future__ import annotations

import numpy as np

from .blocks import (
    Rng,
    coloured,
    draw_period,
    dwell_states,
    first_order_lag,
    log_uniform,
    rational_noise,
    smooth_noise,
    standardise,
    white,
)
from .generate_periodic import seasonal


def arma(rng: Rng, n: int) -> np.ndarray:
    """ARMA noise: one or two pole pairs or real poles, up to two zeros."""
    radius, angle = rng.uniform(0.3, 0.97), rng.uniform(0.0, np.pi)
    pair = radius * np.exp(1j * np.array([angle, -angle]))
    poles = pair if rng.uniform() < 0.6 else rng.uniform(-0.3, 0.95, int(rng.integers(1, 3)))
    return rational_noise(rng, n, poles, rng.uniform(-0.8, 0.8, int(rng.integers(0, 3))))


def reverting_walk(rng: Rng, n: int) -> np.ndarray:
    """Random walk pulled back to its mean over 10 to 300 samples."""
    tau = log_uniform(rng, 10.0, 300.0)
    return rational_noise(rng, n, np.array([np.exp(-1.0 / tau)]), np.zeros(0))


def pink(rng: Rng, n: int) -> np.ndarray:
    """1/f noise, exponent 0 (white) to 1.6."""
    return coloured(rng, n, rng.uniform(0.0, 1.6))


def slow_drift(rng: Rng, n: int) -> np.ndarray:
    """Slow smooth wander with sensor noise."""
    x = smooth_noise(rng, n, log_uniform(rng, 60.0, 500.0))
    return x + log_uniform(rng, 0.02, 0.5) * white(rng, n)


def server_load(rng: Rng, n: int) -> np.ndarray:
    """CPU or traffic: a daily profile, multiplicative noise, short spikes that are normal."""
    base = standardise(seasonal(rng, n)) * rng.uniform(0.1, 0.8)
    noise = rng.uniform(0.05, 0.3) * coloured(rng, n, rng.uniform(0.0, 1.0))
    x = np.exp(base + noise)
    rate = log_uniform(rng, 0.005, 0.08)
    spikes = (rng.uniform(size=n) < rate) * rng.gamma(1.5, rng.uniform(0.2, 1.0), n)
    return x + first_order_lag(spikes, rng.uniform(0.5, 4.0)) * 2.0


def bursts(rng: Rng, n: int) -> np.ndarray:
    """Quiet baseline, bursts of activity of a typical height and length at random times."""
    gap, length = log_uniform(rng, 25.0, 120.0), log_uniform(rng, 3.0, 40.0)
    state = dwell_states(rng, n, gap, rng.uniform(0.3, 1.0))
    first = np.concatenate([[True], state[1:] != state[:-1]])
    age = np.arange(n) - np.maximum.accumulate(np.where(first, np.arange(n), 0))
    height = np.exp(rng.uniform(0.0, 0.4) * rng.standard_normal(state[-1] + 1))
    width = length * np.exp(0.3 * rng.standard_normal(state[-1] + 1))
    x = height[state] * (age < width[state]) * (1.0 + rng.uniform(0.0, 0.3) * white(rng, n))
    return x + rng.uniform(0.005, 0.08) * np.abs(white(rng, n))


def counts(rng: Rng, n: int) -> np.ndarray:
    """Counted events: Poisson with a daily profile; often few or zero."""
    profile = np.exp(rng.uniform(0.2, 1.0) * standardise(seasonal(rng, n)))
    return rng.poisson(np.minimum(profile * log_uniform(rng, 0.3, 100.0), 1e6)).astype(np.float64)


def scheduled(rng: Rng, n: int) -> np.ndarray:
    """Scheduled jobs: short peaks on one or two clocks over correlated noise."""
    x = rng.uniform(0.05, 0.2) * coloured(rng, n, rng.uniform(0.0, 1.2))
    for _ in range(int(rng.integers(1, 3))):
        period = draw_period(rng, 20.0, 300.0)
        age = (np.arange(n) + rng.integers(0, int(period))) % int(period)
        length = max(1.0, period * rng.uniform(0.02, 0.15))
        x += rng.uniform(0.5, 2.0) * (age < length) * np.exp(-age / (2.0 * length))
    return x


def skewed(rng: Rng, n: int) -> np.ndarray:
    """Latency-like: log-normal noise with correlation, heavy to the right."""
    return np.exp(rng.uniform(0.3, 0.9) * coloured(rng, n, rng.uniform(0.0, 0.8)))


def plateau(rng: Rng, n: int) -> np.ndarray:
    """A nearly constant channel: tiny noise, sometimes a very slow trend."""
    trend = rng.choice([0.0, 0.0, 1.0]) * np.arange(n) / n
    return white(rng, n) + trend
