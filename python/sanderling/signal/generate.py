"""Generated normal signals: the table of sources, coupling of channels, sensor effects.

Families follow what sensors and servers show (periodic, pulse-like, switching, irregular); every
draw comes from the given `numpy.random.Generator`, so that a seed names a signal for good.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from . import generate_load as load
from . import generate_periodic as periodic
from . import generate_pulse as pulse
from . import generate_state as state
from .blocks import Rng, first_order_lag, log_uniform, smooth_noise, standardise

LEAD_IN = 64  # samples made before the window, so that lagged channels have a past
MAX_LAG = 40

Source = Callable[[Rng, int], np.ndarray]
ManySource = Callable[[Rng, int, int], np.ndarray]


class Generator(NamedTuple):
    """`function(rng, time, channels)` -> (time, channels) float32; `difficulty` in [0, 1]."""

    function: ManySource
    difficulty: float


def _answer(rng: Rng, latent: np.ndarray) -> np.ndarray:
    """One channel's reaction to what drives it: gain, delay, inertia, rectified, squared, rate."""
    kind = rng.integers(6)
    if kind == 0:
        return first_order_lag(latent, rng.uniform(2.0, 40.0))
    if kind == 1:
        return np.maximum(latent, rng.uniform(-0.5, 0.5))
    if kind == 2:
        return latent * np.abs(latent)
    if kind == 3:
        return np.diff(latent, prepend=latent[:1])
    return latent


def _couple(rng: Rng, source: Source, time: int, channels: int) -> np.ndarray:
    """Channels that share one to three drivers with lags and gains; some are independent."""
    total = time + LEAD_IN
    drivers = min(int(rng.integers(1, 4)), channels)
    latents = [standardise(source(rng, total)) for _ in range(drivers)]
    own_share = rng.uniform(0.0, 0.4)
    columns = []
    for _ in range(channels):
        if rng.uniform() < own_share:
            columns.append(standardise(source(rng, total))[LEAD_IN:])
            continue
        x = np.zeros(total)  # stays so where no driver is picked: unused channels are common
        for latent in latents:
            if len(latents) == 1 or rng.uniform() < 0.6:
                gain = rng.choice([-1.0, 1.0]) * rng.uniform(0.3, 1.0)
                x += gain * np.roll(_answer(rng, latent), int(rng.integers(0, MAX_LAG)))
        columns.append(standardise(x)[LEAD_IN:])
    return np.column_stack(columns)


def _noise_floor(rng: Rng, x: np.ndarray) -> np.ndarray:
    """Sensor noise of 0.2 % to 20 % of the signal's spread, per channel."""
    if rng.uniform() < 0.25:
        return x
    level = np.array([log_uniform(rng, 0.002, 0.2) for _ in range(x.shape[1])])
    return x + rng.standard_normal(x.shape) * level * x.std(axis=0)


def _level_and_scale(rng: Rng, x: np.ndarray) -> np.ndarray:
    """Any unit of measure: scale over five decades, level from zero to far above the spread."""
    for c in range(x.shape[1]):
        scale = log_uniform(rng, 0.01, 1000.0)
        ratio = (0.0, rng.normal(0.0, 3.0), log_uniform(rng, 1.0, 100.0))[rng.integers(3)]
        x[:, c] = scale * (x[:, c] + ratio)
    return x


def _resolution(rng: Rng, x: np.ndarray) -> np.ndarray:
    """Some sensors report in coarse steps."""
    for c in range(x.shape[1]):
        if rng.uniform() < 0.15:
            step = x[:, c].std() * log_uniform(rng, 0.02, 0.4)
            x[:, c] = np.round(x[:, c] / step) * step if step > 0.0 else x[:, c]
    return x


def _single(source: Source, noisy: bool, rng: Rng, time: int, channels: int) -> np.ndarray:
    x = source(rng, time)[:, None] if channels == 1 else _couple(rng, source, time, channels)
    x = _noise_floor(rng, x) if noisy else x
    return _resolution(rng, _level_and_scale(rng, x)).astype(np.float32)


def _native(source: ManySource, rng: Rng, time: int, channels: int) -> np.ndarray:
    return _level_and_scale(rng, source(rng, time, channels)).astype(np.float32)


def _mixture(rng: Rng, time: int, channels: int) -> np.ndarray:
    """Sum of two families: a seasonal or slow part with a second source on top."""
    names = [n for n in SOURCES if n != "plateau"]
    first, second = (SOURCES[names[i]][0] for i in rng.integers(0, len(names), 2))
    share = rng.uniform(0.1, 0.6)

    def both(rng: Rng, n: int) -> np.ndarray:
        return standardise(first(rng, n)) + share * standardise(second(rng, n))

    return _single(both, True, rng, time, channels)


def _recording(rng: Rng, time: int, channels: int) -> np.ndarray:
    """A machine's sheet of unlike channels: a few coupled groups of different families."""
    names = list(SOURCES)
    parts, left = [], channels
    while left > 0:
        width = int(rng.integers(1, left + 1))
        source, _, noisy = SOURCES[names[rng.integers(len(names))]]
        parts.append(_single(source, noisy, rng, time, width))
        left -= width
    return np.concatenate(parts, axis=1)


# name -> (source of one channel, difficulty, does it get sensor noise)
SOURCES: dict[str, tuple[Source, float, bool]] = {
    "harmonics": (periodic.harmonics, 0.0, True),
    "waveform": (periodic.waveform, 0.05, True),
    "pulse_train": (pulse.pulse_train, 0.1, True),
    "duty": (state.duty, 0.1, True),
    "thermostat": (state.thermostat, 0.15, True),
    "counter": (state.counter, 0.15, False),
    "motif": (periodic.motif, 0.2, True),
    "strokes": (pulse.strokes, 0.25, True),
    "plateau": (load.plateau, 0.25, False),
    "machine_cycle": (state.machine_cycle, 0.3, True),
    "pressure_pulse": (pulse.pressure_pulse, 0.3, True),
    "respiration": (pulse.respiration, 0.35, True),
    "seasonal": (periodic.seasonal, 0.35, True),
    "ecg": (pulse.ecg, 0.4, True),
    "tones": (periodic.tones, 0.4, True),
    "arma": (load.arma, 0.4, False),
    "setpoints": (state.setpoints, 0.45, True),
    "modulated": (periodic.modulated, 0.45, True),
    "heap": (state.heap, 0.5, True),
    "gait": (pulse.gait, 0.5, True),
    "scheduled": (load.scheduled, 0.5, False),
    "quantised": (state.quantised, 0.5, False),
    "steps": (state.steps, 0.55, False),
    "drifting_cycle": (periodic.drifting_cycle, 0.55, True),
    "resonance": (periodic.resonance, 0.6, True),
    "pink": (load.pink, 0.6, False),
    "slow_drift": (load.slow_drift, 0.65, False),
    "counts": (load.counts, 0.65, False),
    "server_load": (load.server_load, 0.7, False),
    "skewed": (load.skewed, 0.75, False),
    "reverting_walk": (load.reverting_walk, 0.75, True),
    "bursts": (load.bursts, 0.8, False),
}

GENERATORS: dict[str, Generator] = {
    **{
        name: Generator(partial(_single, source, noisy), difficulty)
        for name, (source, difficulty, noisy) in SOURCES.items()
    },
    "commands": Generator(partial(_native, state.commands), 0.6),
    "telemetry": Generator(partial(_native, state.telemetry), 0.65),
    "mixture": Generator(_mixture, 0.7),
    "recording": Generator(_recording, 0.7),
}


def allowed(progress: float) -> list[str]:
    """Generators of a curriculum at `progress` in [0, 1]: difficulty up to 0.3, in the end all."""
    limit = 0.3 + 0.7 * min(max(progress, 0.0), 1.0)
    return [name for name, generator in GENERATORS.items() if generator.difficulty <= limit]


def start_up(rng: Rng, x: np.ndarray, longest: int) -> np.ndarray:
    """A cold start: the first part (up to `longest` samples) settles from another level or gain."""
    time = x.shape[0]
    length = log_uniform(rng, 16.0, max(longest, 17))
    fade = np.exp(-np.arange(time) / (length / 3.0))[:, None]
    spread = x.std(axis=0)
    if rng.uniform() < 0.5:
        return (x + fade * spread * rng.normal(0.0, 1.5, x.shape[1])).astype(np.float32)
    middle = x.mean(axis=0)
    return (middle + (x - middle) * (1.0 - rng.uniform(0.3, 1.0) * fade)).astype(np.float32)


def missing_runs(rng: Rng, x: np.ndarray) -> np.ndarray:
    """NaN runs as transmission makes them: single losses, short runs, now and then a long one."""
    x = x.copy()
    time, channels = x.shape
    for _ in range(int(rng.integers(1, 6))):
        length = int(log_uniform(rng, 1.0, 60.0))
        start = int(rng.integers(0, time - length))
        together = rng.uniform() < 0.5
        x[start : start + length, slice(None) if together else rng.integers(channels)] = np.nan
    return x


def generate(
    rng: Rng, time: int, channels: int = 1, progress: float = 1.0
) -> tuple[np.ndarray, str]:
    """One normal recording of a random allowed family: x (time, channels) float32, its name.

    Values are finite; `missing_runs` and `start_up` are for the caller to add.
    """
    names = allowed(progress)
    name = names[rng.integers(len(names))]
    return GENERATORS[name].function(rng, time, channels), name


def wander(rng: Rng, x: np.ndarray) -> np.ndarray:
    """Slow normal change of level and noise over the whole window, at most about 0.3 spreads."""
    time, channels = x.shape
    spread = x.std(axis=0)
    scales = [log_uniform(rng, 300.0, 1500.0) for _ in range(channels)]
    slow = np.column_stack([smooth_noise(rng, time, scale) for scale in scales])
    noise = rng.uniform(0.0, 0.02) * rng.standard_normal((time, channels))
    return (x + spread * (rng.uniform(0.0, 0.15) * slow + noise)).astype(np.float32)
