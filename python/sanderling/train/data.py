"""Training batches: generated and real recordings, a clean prefix, injected anomalies after it.

A batch is a function of (seed, split, step): a resumed run sees the batches that the first run
would have seen, whatever the prefetching.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import queue
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypedDict

import numpy as np

from sanderling.errors import InputError, ReadError, StateError
from sanderling.signal.blocks import log_uniform
from sanderling.signal.distract import distract
from sanderling.signal.generate import generate, missing_runs, start_up, wander
from sanderling.signal.inject import draw_strength, inject
from sanderling.signal.scale import apply_scale, clean, fit_scale

PATCH = 8
LICENCE_CLASSES = ("permissive", "public-domain", "attribution")
PREFIXES = (512, 768, 1024)
VALID_SHARE = 8  # one real series in 8 and one generator seed in 8 are held out
SPLITS = ("train", "valid")
LONGEST_STRETCH = 3.0
WIDEST_JOINT = 64  # wider tables are collections of series, not one machine
CHANNEL_COUNTS = (1, 1, 1, 1, 2, 3, 4, 6, 8)
ANOMALY_COUNTS = (0, 1, 1, 2, 3)


class Recording(NamedTuple):
    """`name` (set/series[/channel]), `x` (time, channels) float32 with NaN where missing, `kind`.

    `kind` is "joint" (channels belong together) or "single" (one channel).
    """

    name: str
    x: np.ndarray
    kind: str


class Batch(TypedDict):
    """x (B, T, C) float32 scaled and clipped; valid, labels (B, T, C) uint8; prefix; source (B)."""

    x: np.ndarray
    valid: np.ndarray
    labels: np.ndarray
    prefix: int
    source: list[str]


@dataclass(frozen=True)
class LinearProgress:
    """Curriculum progress that reaches 1 at `steps` steps; picklable."""

    steps: int

    def __call__(self, step: int) -> float:
        return min(step / max(self.steps, 1), 1.0)


def _read_npz(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Names and (steps, channels) float32 of one packed file; layout in the data's INDEX.md."""
    with np.load(path, allow_pickle=False) as packed:
        z = dict(packed)
    i16 = np.ascontiguousarray(z["i16"].T).view(np.int16).ravel()
    f32 = np.ascontiguousarray(z["f32"].T).view(np.float32).ravel()
    channel = 0
    for name, length, width in zip(z["names"], z["length"], z["n_channels"], strict=True):
        x = np.empty((int(length), int(width)), np.float32)
        for c in range(int(width)):
            offset = int(z["ch_off"][channel])
            if z["ch_kind"][channel]:
                x[:, c] = f32[offset : offset + len(x)]
            else:
                q = i16[offset : offset + len(x)]
                q = np.cumsum(q, dtype=np.int16) if z["delta"] else q
                value = q * z["ch_scale"][channel] + z["ch_bias"][channel]
                x[:, c] = np.where(q == -32768, np.nan, value)
            channel += 1
        yield str(name), x


def read_recordings(
    root: str | os.PathLike[str] | None, classes: tuple[str, ...] = LICENCE_CLASSES
) -> list[Recording]:
    """Real recordings under `root` (index.json and packed .npz files) that may be trained on.

    Only sets of role "pretrain" whose licence class is in `classes`. A class outside of
    `LICENCE_CLASSES` is an InputError: weights that ship are never trained on anything else. A set
    whose channels are independent samples counts as many univariate ones. None gives [].
    """
    refused = sorted(set(classes) - set(LICENCE_CLASSES))
    if refused:
        raise InputError(
            f"expected licence classes out of {LICENCE_CLASSES}, found {refused}; leave them out"
        )
    if root is None:
        return []
    index = Path(root) / "index.json"
    try:
        entries = json.loads(index.read_text(encoding="utf-8"))["datasets"]
        wanted = [e for e in entries if e["role"] == "pretrain" and e["licence_class"] in classes]
    except (OSError, ValueError, LookupError, TypeError) as error:
        found = f"found: {getattr(error, 'strerror', None) or error!r}"
        raise ReadError(f"{index}: expected an index of data sets, {found}; --data '' is generated signals") from error
    recordings = []
    for entry in wanted:
        apart = "INDEPENDENT" in (entry.get("sampling") or "").upper()
        for name, x in _read_npz(Path(root) / entry["file"]):
            title = f"{entry['name']}/{name}"
            if apart or x.shape[1] == 1 or x.shape[1] > WIDEST_JOINT:
                recordings += [
                    Recording(f"{title}/{c}", x[:, c : c + 1], "single") for c in range(x.shape[1])
                ]
            else:
                recordings.append(Recording(title, x, "joint"))
    return recordings


def is_held_out(name: str) -> bool:
    """Does the real series of this name belong to the validation split? A hash of the name."""
    return zlib.crc32(name.encode()) % VALID_SHARE == 0


class Batcher:
    """Batches of windows with a clean prefix and labelled anomalies after it.

    `length`: samples of a window (multiple of 8). `prefix`: the choices of its clean part, one
    drawn for each batch. `channels`: a fixed count, or None to draw one for each batch (mostly 1).
    `progress`: the curriculum's place in [0, 1], or a picklable function of the step.
    `recordings`: real series (`read_recordings`); without usable ones all windows are generated.
    """

    def __init__(
        self,
        seed: int,
        batch: int = 32,
        length: int = 2048,
        prefix: tuple[int, ...] = PREFIXES,
        channels: int | None = None,
        real_fraction: float = 0.5,
        progress: float | Callable[[int], float] = 1.0,
        recordings: list[Recording] | None = None,
        split: str = "train",
    ) -> None:
        if split not in SPLITS:
            raise InputError(f"expected a split out of {SPLITS}, found {split!r}; name one of them")
        if length % PATCH or any(p % PATCH or not 0 < p < length for p in prefix):
            raise InputError(
                f"expected length and prefixes in multiples of {PATCH}, prefix < length, "
                f"found {length} and {prefix}; round them"
            )
        self.seed, self.batch, self.length, self.prefix = seed, batch, length, tuple(prefix)
        self.channels, self.real_fraction = channels, real_fraction
        self.progress, self.split = progress, split
        shortest = length / LONGEST_STRETCH + 1
        self.recordings = [
            r
            for r in recordings or []
            if len(r.x) >= shortest and is_held_out(r.name) == (split == "valid")
        ]
        self._share = _shares(self.recordings)

    def batch_at(self, step: int) -> Batch:
        """The batch of this step, always the same."""
        rng = np.random.default_rng([self.seed, SPLITS.index(self.split), step])
        progress = self.progress(step) if callable(self.progress) else self.progress
        prefix = int(rng.choice(self.prefix))
        channels = self.channels or int(rng.choice(CHANNEL_COUNTS))
        shape = (self.batch, self.length, channels)
        out = Batch(
            x=np.empty(shape, np.float32),
            valid=np.empty(shape, np.uint8),
            labels=np.empty(shape, np.uint8),
            prefix=prefix,
            source=[],
        )
        donor: np.ndarray | None = None
        for b in range(self.batch):
            window = np.random.default_rng(self._window_seed(rng))
            raw, name = self._normal(window, channels, progress)
            raw, labels = self._disturb(window, raw, prefix, progress, donor)
            filled, valid = clean(raw)
            out["x"][b] = apply_scale(filled, *fit_scale(raw[:prefix]))
            out["valid"][b] = valid
            out["labels"][b] = labels
            out["source"].append(name)
            donor = np.nan_to_num(raw)
        return out

    def stream(self, start: int = 0, stop: int | None = None, prefetch: int = 2) -> Iterator[Batch]:
        """Batches from `start` to before `stop` (endless if None), in order.

        `prefetch` > 0 makes that many ahead in a spawned process, which ends with the iterator
        (exhausted, closed or collected); 0 makes them in the caller.
        """
        if prefetch == 0:
            step = start
            while stop is None or step < stop:
                yield self.batch_at(step)
                step += 1
            return
        yield from self._prefetched(start, stop, prefetch)

    def _prefetched(self, start: int, stop: int | None, prefetch: int) -> Iterator[Batch]:
        context = multiprocessing.get_context("spawn")
        ready = context.Queue(prefetch)
        worker = context.Process(target=_produce, args=(self, start, stop, ready), daemon=True)
        worker.start()
        try:
            step = start
            while stop is None or step < stop:
                # Asked first: what a finished process has put is readable after its end.
                alive = worker.is_alive()
                try:
                    item = ready.get(timeout=1.0)
                except queue.Empty:
                    if alive:
                        continue
                    raise StateError(
                        f"expected the batch of step {step}, found the batch process ended with "
                        f"code {worker.exitcode}; run with prefetch=0 to see its error"
                    ) from None
                yield item
                step += 1
        finally:
            worker.terminate()
            worker.join()
            ready.close()

    def _window_seed(self, rng: np.random.Generator) -> int:
        """Seeds divisible by `VALID_SHARE` are the validation split's, the others training's."""
        block = int(rng.integers(1 << 40)) * VALID_SHARE
        return block if self.split == "valid" else block + int(rng.integers(1, VALID_SHARE))

    def _normal(
        self, rng: np.random.Generator, channels: int, progress: float
    ) -> tuple[np.ndarray, str]:
        """A normal window (length, channels), perhaps with missing values, and its source."""
        if self.recordings and rng.uniform() < self.real_fraction:
            return self._real(rng, channels)
        x, name = generate(rng, self.length, channels, progress)
        if rng.uniform() < 0.3:
            x = wander(rng, x)
        if rng.uniform() < 0.15:
            x = missing_runs(rng, x)
        return x, name

    def _real(self, rng: np.random.Generator, channels: int) -> tuple[np.ndarray, str]:
        """A random crop, channels and time stretch of a real recording, perhaps flipped."""
        recording = self.recordings[int(np.searchsorted(self._share, rng.uniform()))]
        stretch = log_uniform(rng, 0.5, LONGEST_STRETCH) if rng.uniform() < 0.5 else 1.0
        have = len(recording.x)
        stretch = max(stretch, self.length / (have - 1))
        need = min(int(np.ceil(self.length / stretch)) + 1, have)
        at = int(rng.integers(0, have - need + 1))
        width = recording.x.shape[1]
        picks = rng.permutation(width)[:channels]
        if len(picks) < channels:
            picks = np.concatenate([picks, rng.integers(0, width, channels - len(picks))])
        crop = recording.x[at : at + need, picks]
        x = _stretch(crop, self.length, stretch)
        x *= np.where(rng.uniform(size=channels) < 0.5, 1.0, -1.0).astype(np.float32)
        x[:, width:] = np.roll(x[:, width:], int(rng.integers(1, 40)), axis=0)
        return x, recording.name

    def _disturb(
        self,
        rng: np.random.Generator,
        raw: np.ndarray,
        prefix: int,
        progress: float,
        donor: np.ndarray | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Start-up, distractors, labelled anomalies; missing samples stay so and unlabelled."""
        missing = ~np.isfinite(raw)
        filled, _ = clean(raw)
        x = np.where(np.isnan(filled), fit_scale(raw)[0], filled)
        if prefix == min(self.prefix) and rng.uniform() < 0.3:
            x = start_up(rng, x, prefix)
        if rng.uniform() < 0.3:
            x = distract(rng, x, prefix)
        count = int(rng.choice(ANOMALY_COUNTS))
        x, labels, _ = inject(rng, x, prefix, draw_strength(rng, progress), count, donor)
        x[missing] = np.nan
        labels[missing] = 0
        return x, labels


def _shares(recordings: list[Recording]) -> np.ndarray:
    """Cumulative chance of each recording: sets by the fourth root of their points, then by size.

    The largest public set has ten times the points of the next one and would drown the others.
    """
    points: dict[str, int] = {}
    sets = [r.name.split("/")[0] for r in recordings]
    for name, recording in zip(sets, recordings, strict=True):
        points[name] = points.get(name, 0) + recording.x.size
    weight = [r.x.size * points[n] ** -0.75 for n, r in zip(sets, recordings, strict=True)]
    total = np.cumsum(weight)
    return total / total[-1] if len(total) else total


def _stretch(crop: np.ndarray, length: int, stretch: float) -> np.ndarray:
    """Resample crop (n, channels) to `length` samples, `stretch` times as slow; NaN stays NaN."""
    if stretch == 1.0:
        return crop[:length].copy()
    position = np.minimum(np.arange(length) / stretch, len(crop) - 1)
    left = np.minimum(position.astype(np.int64), len(crop) - 2)
    fraction = (position - left).astype(np.float32)[:, None]
    return crop[left] * (1.0 - fraction) + crop[left + 1] * fraction


def _produce(batcher: Batcher, start: int, stop: int | None, ready: multiprocessing.Queue) -> None:
    """Body of the prefetching process; ends with the one that wants the batches, killed or not."""
    parent = multiprocessing.parent_process()
    step = start
    while stop is None or step < stop:
        batch = batcher.batch_at(step)
        while True:
            try:
                ready.put(batch, timeout=1.0)
                break
            except queue.Full:
                if parent is not None and not parent.is_alive():
                    ready.cancel_join_thread()  # nobody empties the pipe
                    return
        step += 1
