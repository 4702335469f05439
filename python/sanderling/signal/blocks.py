"""Building blocks of generated signals: draws, noises, phases and filters (numpy only).

Everything takes a `numpy.random.Generator` first and returns float64 of shape (n,) unless said.
"""

from __future__ import annotations

import numpy as np

Rng = np.random.Generator

PERIOD_RANGE = (6.0, 600.0)


def log_uniform(rng: Rng, low: float, high: float) -> float:
    """One draw whose logarithm is uniform in [log low, log high]."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def draw_period(rng: Rng, low: float = PERIOD_RANGE[0], high: float = PERIOD_RANGE[1]) -> float:
    """A period in samples, log-uniform."""
    return log_uniform(rng, low, high)


def standardise(x: np.ndarray) -> np.ndarray:
    """Zero mean, unit standard deviation; a constant stays at zero."""
    centred = x - x.mean()
    deviation = centred.std()
    return centred / deviation if deviation > 1e-12 else centred


def white(rng: Rng, n: int) -> np.ndarray:
    """Gaussian noise, unit variance."""
    return rng.standard_normal(n)


def smooth_noise(rng: Rng, n: int, scale: float) -> np.ndarray:
    """Smooth noise, about unit variance, that changes over about `scale` samples."""
    count = int(np.ceil(n / scale)) + 4
    knots = rng.standard_normal(count)
    position = np.arange(n) / scale + rng.uniform(1.0, 2.0)
    left = np.minimum(position.astype(np.int64), count - 2)
    fraction = position - left
    weight = fraction * fraction * (3.0 - 2.0 * fraction)
    return (knots[left] * (1.0 - weight) + knots[left + 1] * weight) * 1.2


def coloured(rng: Rng, n: int, exponent: float) -> np.ndarray:
    """Noise with spectrum 1/f^exponent, standardised. Drawn on a longer ring: no wrap seam."""
    size = 1 << int(2 * n - 1).bit_length()
    spectrum = np.fft.rfft(rng.standard_normal(size))
    frequency = np.arange(len(spectrum), dtype=np.float64)
    frequency[0] = 1.0
    spectrum *= frequency ** (-exponent / 2.0)
    spectrum[0] = 0.0
    return standardise(np.fft.irfft(spectrum, size)[:n])


def rational_noise(rng: Rng, n: int, poles: np.ndarray, zeros: np.ndarray) -> np.ndarray:
    """White noise through prod(1 - z_i q) / prod(1 - p_i q), q the delay; standardised.

    Applied in the frequency domain on a longer ring; |poles| must be below 1.
    """
    size = 1 << int(2 * n - 1).bit_length()
    delay = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)
    response = np.ones_like(delay)
    for zero in zeros:
        response = response * (1.0 - zero * delay)
    for pole in poles:
        response = response / (1.0 - pole * delay)
    noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(size)) * response, size)
    return standardise(noise[:n])


def convolve_causal(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """y[t] = sum_k kernel[k] x[t - k], x held at its first value before the start."""
    padded = np.concatenate([np.full(len(kernel) - 1, x[0]), x])
    size = 1 << int(len(padded) + len(kernel)).bit_length()
    y = np.fft.irfft(np.fft.rfft(padded, size) * np.fft.rfft(kernel, size), size)
    return y[len(kernel) - 1 : len(kernel) - 1 + len(x)]


def first_order_lag(x: np.ndarray, tau: float) -> np.ndarray:
    """Response of a first-order system (time constant `tau` samples) to x."""
    length = int(min(max(8.0 * tau, 2.0), len(x)))
    kernel = np.exp(-np.arange(length) / tau)
    return convolve_causal(x, kernel / kernel.sum())


def box_smooth(x: np.ndarray, width: int) -> np.ndarray:
    """Centred moving mean of `width` samples, ends held."""
    if width < 2:
        return x.copy()
    left = width // 2
    padded = np.concatenate([np.full(left, x[0]), x, np.full(width - 1 - left, x[-1])])
    total = np.concatenate([[0.0], np.cumsum(padded)])
    return (total[width:] - total[:-width]) / width


def phase_track(rng: Rng, n: int, period: float, wander: float = 0.0) -> np.ndarray:
    """Phase in cycles: a clock of `period` samples whose rate wanders by the relative `wander`."""
    rate = np.full(n, 1.0 / period)
    if wander > 0.0:
        rate *= np.clip(1.0 + wander * smooth_noise(rng, n, 3.0 * period), 0.4, 1.6)
    return rng.uniform() + np.cumsum(rate)


def cycle_times(rng: Rng, n: int, period: float, jitter: float) -> tuple[np.ndarray, np.ndarray]:
    """Starts and lengths of jittered cycles that cover [-period, n + period)."""
    count = int(n / (period * max(1.0 - 3.0 * jitter, 0.3))) + 4
    lengths = period * np.clip(1.0 + jitter * rng.standard_normal(count), 0.5, 1.6)
    starts = np.concatenate([[0.0], np.cumsum(lengths)[:-1]]) - rng.uniform(1.0, 2.0) * period
    return starts, lengths


def cycle_phase(n: int, starts: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each sample: the index of its cycle and the phase inside it, in [0, 1)."""
    t = np.arange(n, dtype=np.float64)
    index = np.clip(np.searchsorted(starts, t, side="right") - 1, 0, len(starts) - 1)
    return index, np.clip((t - starts[index]) / lengths[index], 0.0, 1.0 - 1e-9)


def dwell_states(rng: Rng, n: int, mean_dwell: float, spread: float) -> np.ndarray:
    """State number (0, 1, 2, ...) of each sample of a process with gamma-distributed dwell times.

    `spread` is the relative standard deviation of a dwell: near 0 is clockwork, 1 is Poisson.
    """
    shape = 1.0 / max(spread, 0.02) ** 2
    count = int(n / mean_dwell * (1.0 + 2.0 * spread)) + 16
    dwell = np.maximum(rng.gamma(shape, mean_dwell / shape, count), 1.0)
    edges = np.cumsum(dwell) - rng.uniform() * dwell[0]
    return np.searchsorted(edges, np.arange(n), side="right")
