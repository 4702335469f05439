"""Kinds of anomaly. Each rewrites one segment of one channel: `(rng, view) -> new segment`.

A kind sees a `View` and returns float64 (stop - start,) or None where it doesn't apply (no cycle,
no second series). Whether a change counts is judged afterwards in `inject`, the same way for all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .blocks import Rng, box_smooth, log_uniform, smooth_noise

Segment = np.ndarray


@dataclass
class View:
    """What a kind may look at. `x` (time,) is the channel before the change, in float64."""

    x: np.ndarray
    start: int
    stop: int
    prefix: int
    strength: float  # 0 subtle, 1 large
    spread: float  # robust spread of the clean part
    noise: float  # what the channel does from sample to sample, slopes removed
    period: int  # samples; 0 where no cycle is seen
    donor: np.ndarray | None  # (time,) another series in this channel's units

    @property
    def segment(self) -> Segment:
        return self.x[self.start : self.stop]

    @property
    def length(self) -> int:
        return self.stop - self.start

    def size(self, rng: Rng) -> float:
        """A size in the channel's units: from 3 noises (subtle) to 8 spreads (large), signed."""
        low, high = np.log(3.0 * self.noise), np.log(max(8.0 * self.spread, 6.0 * self.noise))
        value = np.exp(low + (high - low) * self.strength) * rng.uniform(0.7, 1.4)
        return float(value * rng.choice([-1.0, 1.0]))

    def factor(self, rng: Rng, most: float) -> float:
        """A ratio above 1 or below it: 1.4 (subtle) to `most` (large)."""
        value = np.exp(np.log(1.4) + (np.log(most) - np.log(1.4)) * self.strength)
        return float(value if rng.uniform() < 0.6 else 1.0 / value)


def _spike(rng: Rng, v: View) -> Segment:
    decay = np.exp(-np.arange(v.length) / rng.uniform(0.3, 1.5))
    return v.segment + v.size(rng) * decay


def _spikes(rng: Rng, v: View) -> Segment:
    hits = rng.uniform(size=v.length) < rng.uniform(0.05, 0.25)
    hits[[0, -1]] = True
    return v.segment + v.size(rng) * hits * rng.uniform(0.6, 1.4, v.length)


def _level_shift(rng: Rng, v: View) -> Segment:
    return v.segment + v.size(rng)


def _trend(rng: Rng, v: View) -> Segment:
    ramp = np.linspace(0.0, 1.0, v.length)
    if rng.uniform() < 0.4:
        ramp = np.minimum(ramp, ramp[::-1]) * 2.0
    return v.segment + v.size(rng) * ramp


def _transient(rng: Rng, v: View) -> Segment:
    return v.segment + v.size(rng) * np.exp(-np.arange(v.length) / (v.length / 3.0))


def _variance(rng: Rng, v: View) -> Segment:
    trend = box_smooth(v.segment, min(9, v.length))
    return trend + (v.segment - trend) * (v.factor(rng, 8.0) if v.strength < 0.9 else 8.0)


def _noise_burst(rng: Rng, v: View) -> Segment:
    return v.segment + 0.6 * abs(v.size(rng)) * rng.standard_normal(v.length)


def _amplitude(rng: Rng, v: View) -> Segment:
    middle = np.median(v.x[: v.prefix])
    return middle + (v.segment - middle) * v.factor(rng, 4.0)


def _flatline(rng: Rng, v: View) -> Segment:
    return np.full(v.length, v.segment[0])


def _stuck_at(rng: Rng, v: View) -> Segment:
    return np.full(v.length, np.quantile(v.x[: v.prefix], rng.choice([0.0, 0.1, 0.5, 0.9, 1.0])))


def _dropout(rng: Rng, v: View) -> Segment:
    low = v.x[: v.prefix].min()
    return np.full(v.length, rng.choice([0.0, low - (0.2 + 3.0 * v.strength) * v.spread]))


def _clipping(rng: Rng, v: View) -> Segment:
    outer = 0.02 + 0.33 * v.strength
    low, high = np.quantile(v.segment, [outer, 1.0 - outer])
    side = rng.integers(3)
    return np.clip(v.segment, low if side != 1 else -np.inf, high if side != 0 else np.inf)


def _smoothing(rng: Rng, v: View) -> Segment:
    return box_smooth(v.segment, 2 + int(v.strength * min(24, v.length // 2)))


def _read(x: np.ndarray, position: np.ndarray) -> Segment:
    return np.interp(np.clip(position, 0, len(x) - 1), np.arange(len(x)), x)


def _frequency(rng: Rng, v: View) -> Segment:
    return _read(v.x, v.start + np.arange(v.length) * v.factor(rng, 2.5))


def _time_warp(rng: Rng, v: View) -> Segment:
    u = np.linspace(0.0, 1.0, v.length)
    shift = rng.choice([-1.0, 1.0]) * v.length * (0.08 + 0.22 * v.strength)
    return _read(v.x, v.start + np.arange(v.length) + shift * np.sin(np.pi * u))


def _phase_shift(rng: Rng, v: View) -> Segment | None:
    if v.period < 4:
        return None
    shift = v.period * (0.1 + 0.4 * v.strength) * rng.choice([-1.0, 1.0])
    return _read(v.x, v.start + np.arange(v.length) + round(shift))


def _missed_cycle(rng: Rng, v: View) -> Segment | None:
    if v.period < 4:
        return None
    u = np.linspace(0.0, 1.0, v.length)
    bridge = v.segment[0] * (1.0 - u) + v.segment[-1] * u
    # The channel's own grain, so that a noisy channel's gap isn't betrayed by being too clean.
    grain = 0.6 * float(np.median(np.abs(np.diff(v.x[: v.prefix], 2))))
    return bridge + grain * rng.standard_normal(v.length)


def _doubled_cycle(rng: Rng, v: View) -> Segment | None:
    if v.period < 8:
        return None
    return _read(v.x, v.start + 2.0 * (np.arange(v.length) % (v.length // 2 + 1)))


def _reversed(rng: Rng, v: View) -> Segment:
    return v.segment[::-1].copy()


def _mirrored(rng: Rng, v: View) -> Segment:
    return v.segment.min() + v.segment.max() - v.segment


def _other_time(rng: Rng, v: View) -> Segment:
    at = int(rng.integers(0, max(v.start - v.length, 1)))
    return v.x[at : at + v.length].copy()


def _other_series(rng: Rng, v: View) -> Segment | None:
    if v.donor is None:
        return None
    at = int(rng.integers(0, len(v.donor) - v.length + 1))
    piece = v.donor[at : at + v.length]
    middle = v.segment.mean() if rng.uniform() < 0.7 else piece.mean()
    return middle + (piece - piece.mean())


def _contextual(rng: Rng, v: View) -> Segment:
    """The level moves to one that is normal at another time; never outside the normal range."""
    low, high = np.quantile(v.x[: v.prefix], [0.02, 0.98])
    target = low + (high - low) * rng.uniform()
    moved = v.segment + (target - v.segment.mean()) * (0.4 + 0.6 * v.strength)
    return np.clip(moved, low, high)


def _oscillation(rng: Rng, v: View) -> Segment:
    period = log_uniform(rng, 3.0, max(v.length / 2.0, 4.0))
    wave = np.sin(2.0 * np.pi * (np.arange(v.length) / period + rng.uniform()))
    return v.segment + 0.5 * v.size(rng) * wave


def _wobble(rng: Rng, v: View) -> Segment:
    return v.segment + 0.5 * v.size(rng) * smooth_noise(rng, v.length, max(v.length / 5.0, 3.0))


def _coarse(rng: Rng, v: View) -> Segment:
    step = v.spread * (0.3 + 2.0 * v.strength)
    return np.round(v.segment / step) * step


def _sample_hold(rng: Rng, v: View) -> Segment:
    hold = 2 + int(rng.uniform(1.0, 3.0) * (1.0 + 6.0 * v.strength))
    return v.segment[(np.arange(v.length) // hold) * hold]


def _intermittent(rng: Rng, v: View) -> Segment:
    lost = rng.uniform(size=v.length) < rng.uniform(0.2, 0.7)
    lost[[0, -1]] = True
    low, high = v.x[: v.prefix].min(), v.x[: v.prefix].max()
    return np.where(lost, rng.choice([0.0, low, high]), v.segment)


def _delayed(rng: Rng, v: View) -> Segment:
    lag = int(log_uniform(rng, 4.0, 20.0 + 60.0 * v.strength))
    return _read(v.x, v.start + np.arange(v.length) - lag)


class Anomaly(NamedTuple):
    """`function`; segment length from `shortest` to `longest` samples (`cycles`: in periods).

    `joint`: only the relation to other channels breaks; needs at least two channels.
    `weight`: how often it is drawn. `needs_donor`: copies from another series.
    """

    function: Callable[[Rng, View], Segment | None]
    shortest: float
    longest: float
    weight: float = 1.0
    cycles: bool = False
    joint: bool = False
    needs_donor: bool = False


ANOMALIES: dict[str, Anomaly] = {
    "spike": Anomaly(_spike, 1, 3, 1.5),
    "spikes": Anomaly(_spikes, 12, 120, 0.7),
    "level_shift": Anomaly(_level_shift, 4, 400, 1.5),
    "trend": Anomaly(_trend, 32, 400, 0.8),
    "transient": Anomaly(_transient, 6, 120),
    "variance": Anomaly(_variance, 24, 300),
    "noise_burst": Anomaly(_noise_burst, 6, 200),
    "amplitude": Anomaly(_amplitude, 16, 400, 1.2),
    "flatline": Anomaly(_flatline, 8, 300, 1.2),
    "stuck_at": Anomaly(_stuck_at, 6, 300, 0.7),
    "dropout": Anomaly(_dropout, 1, 80),
    "clipping": Anomaly(_clipping, 32, 400, 0.7),
    "smoothing": Anomaly(_smoothing, 24, 300, 0.8),
    "frequency": Anomaly(_frequency, 1, 6, 1.5, cycles=True),
    "time_warp": Anomaly(_time_warp, 24, 300),
    "phase_shift": Anomaly(_phase_shift, 0.3, 1, 1.0, cycles=True),
    "missed_cycle": Anomaly(_missed_cycle, 0.5, 2, 1.2, cycles=True),
    "doubled_cycle": Anomaly(_doubled_cycle, 1, 2, 0.8, cycles=True),
    "reversed": Anomaly(_reversed, 16, 300),
    "mirrored": Anomaly(_mirrored, 16, 300),
    "other_time": Anomaly(_other_time, 24, 300, 1.2),
    "other_series": Anomaly(_other_series, 24, 300, 1.2, needs_donor=True),
    "contextual": Anomaly(_contextual, 6, 120, 1.5),
    "oscillation": Anomaly(_oscillation, 16, 300),
    "wobble": Anomaly(_wobble, 16, 300),
    "coarse": Anomaly(_coarse, 24, 300, 0.5),
    "sample_hold": Anomaly(_sample_hold, 24, 300, 0.5),
    "intermittent": Anomaly(_intermittent, 8, 120, 0.6),
    "delayed": Anomaly(_delayed, 48, 400, 3.0, joint=True),
    "decoupled": Anomaly(_other_time, 48, 400, 3.0, joint=True),
}
