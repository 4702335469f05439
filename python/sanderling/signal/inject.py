"""Inject anomalies into a recording after its clean prefix, with labels that can be believed.

An injection only stays (and is only labelled) when the changed segment is unlike the clean prefix:
its change is at least `MIN_CHANGE` of the noise, and either its nearest window in the prefix is
clearly further away than the original's was, or its roughness is outside of what the prefix shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .anomalies import ANOMALIES, Anomaly, View
from .blocks import Rng

MIN_CHANGE = 0.3  # of the noise, root mean square over the segment
NEAREST_RATIO = 1.3  # the nearest clean window must be this much further than the original's
ROUGHNESS_RATIO = 1.5  # roughness outside [min / ratio, max * ratio] of the prefix counts
PROBE_SHORTEST, PROBE_LONGEST = 8, 64
SEAM_LONGEST = 128  # in a segment up to this long, a strange start or end speaks for all of it
MARGIN = 8  # samples kept free around a segment
LONGEST = 400
HOLE = 8  # unchanged holes up to one patch inside a segment are labelled with it
ATTEMPTS = 4
SHARED = 0.35  # how often a fault shows in several channels


@dataclass
class Injection:
    """What was injected: kind, channel, first and one-past-last changed sample."""

    kind: str
    channel: int
    start: int
    stop: int


def strength_range(progress: float) -> tuple[float, float]:
    """Strengths allowed at `progress` in [0, 1]: first only strong ones, then also subtle."""
    p = min(max(progress, 0.0), 1.0)
    return 0.6 * (1.0 - p), 1.0


def draw_strength(rng: Rng, progress: float) -> float:
    low, high = strength_range(progress)
    return float(rng.uniform(low, high))


def find_period(x: np.ndarray) -> int:
    """Main cycle length of x (n,) in samples by autocorrelation; 0 where there is none."""
    n = len(x)
    centred = x - x.mean()
    size = 1 << int(2 * n - 1).bit_length()
    power = np.abs(np.fft.rfft(centred, size)) ** 2
    correlation = np.fft.irfft(power, size)[: n // 2]
    if correlation[0] <= 0.0:
        return 0
    correlation = correlation / correlation[0] * n / (n - np.arange(n // 2))
    below = np.flatnonzero(correlation < 0.1)
    if len(below) == 0:
        return 0
    first = int(below[0])
    peak = first + int(np.argmax(correlation[first:]))
    if correlation[peak] < 0.35:
        return 0
    inner = correlation[1:-1]
    crest = (inner >= correlation[:-2]) & (inner >= correlation[2:])
    crest &= inner > 0.9 * correlation[peak]
    crest[: max(first - 1, 0)] = False
    peaks = np.flatnonzero(crest)
    return int(peaks[0] + 1) if len(peaks) else peak


def measure(reference: np.ndarray) -> tuple[float, float]:
    """Spread (robust, never zero) and sample-to-sample noise of a clean channel (n,)."""
    middle = np.median(reference)
    spread = 1.4826 * float(np.median(np.abs(reference - middle)))
    deviation = float(reference.std())
    spread = max(spread, 0.5 * deviation)
    if spread <= 1e-9 * max(abs(float(middle)), 1e-3):
        spread = max(0.01 * abs(float(middle)), 1e-3)
    curve = np.diff(reference, 2)
    noise = 1.4826 * float(np.median(np.abs(curve))) / np.sqrt(6.0)
    return spread, min(max(noise, 0.05 * spread), spread)


def _nearest(reference: np.ndarray, query: np.ndarray) -> float:
    """Root mean square distance of query (w, k) to its nearest window in reference (n, k)."""
    width = len(query)
    squared = np.zeros(len(reference) - width + 1)
    for k in range(reference.shape[1]):
        r, q = reference[:, k], query[:, k]
        total = np.concatenate([[0.0], np.cumsum(r * r)])
        squared += total[width:] - total[:-width] - 2.0 * np.correlate(r, q, "valid") + q @ q
    return float(np.sqrt(max(squared.min(), 0.0) / query.size))


def _roughness(x: np.ndarray, width: int) -> np.ndarray:
    """Root mean square step of every window of `width` samples of x (n,)."""
    steps = np.concatenate([[0.0], np.cumsum(np.square(np.diff(x)))])
    return np.sqrt(np.maximum(steps[width - 1 :] - steps[: -(width - 1)], 0.0) / (width - 1))


def _probe(change: np.ndarray, start: int, stop: int, time: int) -> tuple[int, int]:
    """The window of 8 to 64 samples of [start, stop) where the change is largest."""
    width = int(np.clip(stop - start, PROBE_SHORTEST, PROBE_LONGEST))
    if stop - start <= width:
        first = min(max((start + stop - width) // 2, 0), time - width)
        return first, first + width
    energy = np.concatenate([[0.0], np.cumsum(np.square(change[start:stop]))])
    first = start + int(np.argmax(energy[width:] - energy[:-width]))
    return first, first + width


def is_novel(clean: np.ndarray, changed: np.ndarray, channel: int, view: View, joint: bool) -> bool:
    """Does `changed` (time, channels) at view's segment differ from what the prefix shows?"""
    start, stop, prefix = view.start, view.stop, view.prefix
    before, after = clean[:, channel], changed[:, channel]
    change = after - before
    if np.sqrt(np.mean(np.square(change[start:stop]))) < MIN_CHANGE * view.noise:
        return False
    first, last = _probe(change, start, stop, len(clean))
    columns = np.arange(clean.shape[1]) if joint else np.array([channel])
    reference = clean[:prefix, columns]
    middle, scale = reference.mean(axis=0), reference.std(axis=0) + 1e-12
    reference = (reference - middle) / scale
    least = MIN_CHANGE * min(view.noise / scale[channel if joint else 0], 0.5)
    width = last - first
    probes = {first}
    if stop - start <= SEAM_LONGEST:
        probes |= {min(max(edge - width // 2, 0), len(clean) - width) for edge in (start, stop)}
    for at in sorted(probes):
        old = _nearest(reference, (clean[at : at + width, columns] - middle) / scale)
        new = _nearest(reference, (changed[at : at + width, columns] - middle) / scale)
        if new > NEAREST_RATIO * old + least:
            return True
    if stop - start < 16:
        return False
    normal = _roughness(before[:prefix], stop - start) if stop - start < prefix // 2 else None
    if normal is None:
        return False
    rough = _roughness(after[start:stop], stop - start)[0]
    return bool(rough < normal.min() / ROUGHNESS_RATIO or rough > normal.max() * ROUGHNESS_RATIO)


def _label(change: np.ndarray, tolerance: float) -> np.ndarray:
    """Changed samples of a segment (n,), holes of up to `HOLE` samples between them closed."""
    label = np.abs(change) > tolerance
    where = np.flatnonzero(label)
    for a, b in zip(where[:-1], where[1:], strict=True):
        if 1 < b - a <= HOLE + 1:
            label[a:b] = True
    return label


def _draw_length(rng: Rng, kind: Anomaly, strength: float, period: int) -> int:
    unit = period if kind.cycles else 1
    bias = np.clip(0.7 * rng.uniform() + 0.3 * strength, 0.0, 1.0)
    length = unit * np.exp(np.log(kind.shortest) + bias * np.log(kind.longest / kind.shortest))
    return int(np.clip(round(length), 1, LONGEST))


def _draw_kind(rng: Rng, channels: int, kinds: tuple[str, ...] | None) -> str:
    names = [n for n in (kinds or ANOMALIES) if channels > 1 or not ANOMALIES[n].joint]
    weights = np.cumsum([ANOMALIES[n].weight for n in names])
    return names[int(np.searchsorted(weights, rng.uniform() * weights[-1]))]


@dataclass
class _Work:
    """A recording under change, and what is known of its clean part (per channel, on demand)."""

    x: np.ndarray  # (time, channels) float64
    labels: np.ndarray  # (time, channels) uint8
    prefix: int
    stats: dict[int, tuple[float, float, int]]

    def known(self, channel: int) -> tuple[float, float, int]:
        """Spread, noise and period of the channel's prefix."""
        if channel not in self.stats:
            clean = self.x[: self.prefix, channel]
            self.stats[channel] = (*measure(clean), find_period(clean))
        return self.stats[channel]

    def donor_for(self, channel: int, rng: Rng, donor: np.ndarray | None) -> np.ndarray | None:
        """A column of `donor` in this channel's level and spread."""
        if donor is None:
            return None
        column = donor[:, int(rng.integers(donor.shape[1]))].astype(np.float64)
        ratio = self.known(channel)[0] / measure(column)[0]
        return (column - np.median(column)) * ratio + np.median(self.x[: self.prefix, channel])

    def attempt(
        self,
        rng: Rng,
        name: str,
        channel: int,
        at: slice,
        strength: float,
        donor: np.ndarray | None,
    ) -> Injection | None:
        """Change one segment; None (and nothing done) where that isn't worth a label."""
        kind = ANOMALIES[name]
        spread, noise, period = self.known(channel)
        other = self.donor_for(channel, rng, donor if kind.needs_donor else None)
        view = View(
            self.x[:, channel],
            at.start,
            at.stop,
            self.prefix,
            strength,
            spread,
            noise,
            period,
            other,
        )
        segment = kind.function(rng, view)
        if segment is None or not np.isfinite(segment).all():
            return None
        changed = self.x.copy()
        changed[at, channel] = segment
        if not is_novel(self.x, changed, channel, view, kind.joint):
            return None
        hit = _label(segment - self.x[at, channel], 0.05 * noise)
        self.labels[at, channel] = hit
        self.x[at, channel] = np.where(hit, segment, self.x[at, channel])
        first, last = np.flatnonzero(hit)[[0, -1]]
        return Injection(name, channel, at.start + int(first), at.start + int(last) + 1)


def inject(
    rng: Rng,
    x: np.ndarray,
    prefix: int,
    strength: float,
    count: int = 1,
    donor: np.ndarray | None = None,
    kinds: tuple[str, ...] | None = None,
) -> tuple[np.ndarray, np.ndarray, list[Injection]]:
    """Up to `count` anomalies after `prefix` in x (time, channels) float32, finite.

    `strength` in [0, 1]: 0 subtle and short, 1 large and long, relative to the clean part's spread
    and sample-to-sample noise. `donor` (time, any): another recording to copy from. `kinds`: names
    of `ANOMALIES` to draw from (all). Returns the new x, labels (time, channels) uint8 and what was
    injected; attempts that change nothing worth a label are undone.
    """
    time, channels = x.shape
    work = _Work(x.astype(np.float64), np.zeros(x.shape, np.uint8), prefix, {})
    taken = np.zeros(time, bool)
    done: list[Injection] = []
    found = 0
    for _ in range(count * ATTEMPTS):
        if found >= count:
            break
        name = _draw_kind(rng, channels, kinds)
        kind = ANOMALIES[name]
        channel = int(rng.integers(channels))
        period = work.known(channel)[2] if kind.cycles else 0
        if kind.cycles and period == 0:
            continue
        length = _draw_length(rng, kind, strength, period)
        if prefix + 2 * MARGIN + length >= time:
            continue
        start = int(rng.integers(prefix + MARGIN, time - length))
        if taken[start - MARGIN : start + length + MARGIN].any():
            continue
        hit = work.attempt(rng, name, channel, slice(start, start + length), strength, donor)
        if hit is None:
            continue
        found += 1
        done.append(hit)
        taken[start : start + length] = True
        if kind.joint or rng.uniform() > SHARED:
            continue
        for other in np.flatnonzero(rng.uniform(size=channels) < 0.4):
            if other != channel:
                late = int(rng.integers(0, 6))
                at = slice(min(start + late, time - length), min(start + late + length, time))
                again = work.attempt(rng, name, int(other), at, strength, donor)
                done += [again] if again else []
                taken[at] = True
    changed = work.labels.astype(bool)
    return np.where(changed, work.x, x).astype(np.float32), work.labels, done
