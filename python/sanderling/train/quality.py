"""Detection quality of a float network on labelled stretches: what the ablation table and the compression curve state.

Every figure is one stretch's: differences between two networks are paired, stretch by stretch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch

from ..errors import InputError
from ..evaluate.datasets import Series
from ..evaluate.metrics import acf_period, curve_metrics
from ..evaluate.selection import chosen_series, load_list, sampled
from ..model import SIZES, ModelConfig, Sanderling
from ..model.network import aggregate, voices
from ..signal.scale import apply_scale, clean, fit_scale
from .data import Batch as Arrays
from .fusion import Fusion, apply_fusion

MIN_REFERENCE = 256  # samples; a shorter normal part gives way to the first `cold_samples`
METRICS = ("vus_pr", "auc_pr")

Rows = list[dict]  # one a stretch: "set", "name" and METRICS
Key = tuple[str, str]


@dataclass(frozen=True)
class Stretch:
    """A labelled stretch that begins with its reference part.

    x, valid (time, channels) float32: scaled samples and 0/1, time a multiple of the patch; labels (time,) uint8;
    reference: samples at the start; window: of VUS, in samples; raw (time, channels) float32: unscaled, NaN = missing.
    """

    set_name: str
    name: str
    x: np.ndarray
    valid: np.ndarray
    labels: np.ndarray
    reference: int
    window: int
    raw: np.ndarray

    @property
    def live_labels(self) -> np.ndarray:
        """Labels after the reference."""
        return self.labels[self.reference :]


def has_both_classes(stretch: Stretch) -> bool:
    """Whether an area under a curve is defined after the reference."""
    return bool(stretch.live_labels.any() and not stretch.live_labels.all())


def stretch_of(item: Series, config: ModelConfig) -> Stretch:
    """A recording from its reference on.

    Of a longer normal part only the end is kept, as much as the reference memory holds tokens, so that no row is
    thinned away and every implementation of the model sees the same memory.
    """
    if item.labels is None:
        raise InputError(f"{item.set_name}/{item.name}: expected labels, found none; choose labelled series")
    patch, samples = config.patch, len(item.x)
    end = item.train_end if item.train_end >= MIN_REFERENCE else config.cold_samples
    rows, _ = config.memory_shape(end // patch, item.x.shape[1])
    reference = rows * patch
    first = end - reference
    raw = np.asarray(item.x[first : first + (samples - first) // patch * patch], np.float32)
    filled, valid = clean(raw)
    return Stretch(
        item.set_name,
        item.name,
        apply_scale(filled, *fit_scale(raw[:reference]), config.clip),
        valid.astype(np.float32),
        item.labels[first : first + len(raw)],
        reference,
        acf_period(item.x),
        raw,
    )


def tuning_stretches(root: Path, config: ModelConfig, limit: int | None = None) -> list[Stretch]:
    """The committed tuning list's series, at most `limit` a set, from <root>/eval/<set>.npz.

    Raises:
        ReadError: a file is missing. InputError: no series of the list is there.
    """
    names = sampled(load_list("tuning"), limit)
    files = [Path(root) / "eval" / f"{set_name}.npz" for set_name in names]
    found = [stretch_of(item, config) for item in chosen_series(files, names)]
    kept = [stretch for stretch in found if has_both_classes(stretch)]
    if not kept:
        raise InputError(f"{root}: expected series of the tuning list below eval, found none with an anomaly")
    return kept


def injected_stretches(batches: Iterable[Arrays]) -> list[Stretch]:
    """One stretch a window of kept-back batches (`BatchSource.valid`) that holds an injected anomaly."""
    found = []
    for number, arrays in enumerate(batches):
        for k, (x, valid, labels) in enumerate(zip(arrays["x"], arrays["valid"], arrays["labels"], strict=True)):
            name = f"{number}.{k} {arrays['source'][k]}"
            any_channel, present = labels.max(1), valid.astype(np.float32)
            prefix = int(arrays["prefix"])
            found.append(Stretch("injected", name, x, present, any_channel, prefix, acf_period(x), x))
    return [stretch for stretch in found if has_both_classes(stretch)]


@torch.no_grad()
def float_scores(models: Mapping[str, Sanderling], stretch: Stretch) -> dict[str, np.ndarray]:
    """Calibrated scores (time - reference,) by float networks that differ in their scorer alone: one encoding for all.

    models: in eval mode, on the CPU.
    """
    any_model = next(iter(models.values()))
    patch = any_model.config.patch
    reference = stretch.reference // patch
    encoded = any_model.encode(torch.from_numpy(stretch.x)[None], torch.from_numpy(stretch.valid)[None])
    levels = any_model.levels(encoded, reference)
    voice = voices(torch.from_numpy(stretch.x[: stretch.reference]).T)
    found = {}
    for name, model in models.items():
        scores = model.channel_scores(model.token_scores(encoded.z, *levels), reference)[0]
        top = aggregate(scores, voice, model.config.top_k)
        found[name] = top[reference:].repeat_interleave(patch).numpy()
    return found


def measured(stretch: Stretch, scores: np.ndarray) -> dict:
    """One row: the areas of the scores after the reference."""
    areas = curve_metrics(stretch.live_labels, scores, stretch.window)
    return {"set": stretch.set_name, "name": stretch.name, **{key: areas[key] for key in METRICS}}


def quality(models: Mapping[str, Sanderling], stretches: Sequence[Stretch]) -> dict[str, Rows]:
    """A row a stretch, by model; see `float_scores`."""
    rows: dict[str, Rows] = {name: [] for name in models}
    for stretch in stretches:
        for name, scores in float_scores(models, stretch).items():
            rows[name].append(measured(stretch, scores))
    return rows


def values(rows: Rows, metric: str) -> dict[Key, float]:
    """(set, name) -> metric."""
    return {(row["set"], row["name"]): row[metric] for row in rows}


def _by_set(by_key: dict[Key, float]) -> dict[str, np.ndarray]:
    sets = sorted({set_name for set_name, _ in by_key})
    return {name: np.array([v for (of, _), v in by_key.items() if of == name]) for name in sets}


def mean_over_sets(by_key: dict[Key, float]) -> float:
    """The mean over the sets of each set's mean."""
    return float(np.mean([of_set.mean() for of_set in _by_set(by_key).values()]))


def paired_difference(a: dict[Key, float], b: dict[Key, float]) -> tuple[float, float]:
    """a - b over the same stretches: mean over the sets of the mean differences, and its standard error.

    The error is over series (the sets are what they are, series within them a sample); NaN where a set has one series.
    """
    if a.keys() != b.keys():
        raise InputError(f"expected figures of the same stretches, found {len(a)} and {len(b)} that differ")
    sets = _by_set({key: a[key] - b[key] for key in a}).values()
    of_means = [d.var(ddof=1) / len(d) if len(d) > 1 else np.nan for d in sets]
    return float(np.mean([d.mean() for d in sets])), float(np.sqrt(np.sum(of_means)) / len(of_means))


@cache
@torch.no_grad()
def network_free() -> tuple[bool, ...]:
    """Which components of the score the network's weights do not enter (raw distance, amplitude, variation).

    Found by asking: they are the ones on which two networks agree.
    """
    generator = np.random.default_rng(0)
    x = torch.from_numpy(generator.standard_normal((1, 1024, 2)).cumsum(1).astype(np.float32) * 0.1)
    found = []
    with torch.random.fork_rng(devices=[]):
        for seed in (1, 2):
            torch.manual_seed(seed)
            model = Sanderling(SIZES["micro"]).eval()
            found.append(model.compressed(model.encode(x), 64))
    same = (found[0] - found[1]).abs().flatten(0, -2).amax(0) < 1e-5
    return tuple(bool(s) for s in same)


def deployed(model: Sanderling) -> Sanderling:
    """A copy with the chosen fusion (train/fusion.py), as it ships."""
    return apply_fusion(deepcopy(model)).eval()


def network_only(model: Sanderling) -> Sanderling:
    """A copy whose fusion counts only components that the network computes.

    The raw-window distance carries most of the deployed score and hides what a part of the training does.
    """
    own = model.scorer.fusion.tolist()
    weights = tuple(0.0 if free else w for w, free in zip(own, network_free(), strict=True))
    found = apply_fusion(deepcopy(model), Fusion(weights, mlp=1.0, smooth=model.config.smooth)).eval()
    found.scorer.erratic[list(network_free())] = 0.0
    return found
