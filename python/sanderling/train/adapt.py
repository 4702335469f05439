"""Adapt a native file to one machine: low-rank adapters on a normal recording, merged and re-quantised.

Starts from the deployed INT8 file, not from the base model: what adapting changes is what runs. The scorer and its
fusion stay; calibrate afterwards.
"""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import CalibrationError, InputError
from ..runtime.detector import Detector
from ..runtime.signals import as_signal
from ..runtime.weights import resolve
from .adapt_data import Segments
from .adapt_loop import AdaptOptions, Clock, Fit, Progress, fit
from .adapt_native import TRANSPOSED, Native, linear_layers, read_native, to_torch, write_native
from .adapters import LEVELS, attach, merge, row_steps

SCALINGS = ("robust", "standard")
WRITING = 1.0  # seconds kept for merging and writing the file


@dataclass(frozen=True)
class AdaptReport:
    """What `adapt_file` did.

    trained: adapter parameters; share: of the network's; steps: of training; loss_before, loss_after: on the kept-back
    part, NaN where it was too short; adapted: whether the file holds adapted weights; reason: why not, or "";
    lineage: sha256 of the file it began with; seconds: wall clock.
    """

    trained: int
    share: float
    steps: int
    loss_before: float
    loss_after: float
    adapted: bool
    reason: str
    lineage: str
    seconds: float


def adapt_file(
    model: str | os.PathLike[str] | None,
    reference: np.ndarray,
    out: str | os.PathLike[str],
    *,
    seconds: float = 60.0,
    steps: int | None = None,
    threads: int | None = None,
    seed: int = 0,
    scaling: str = "robust",
    options: AdaptOptions | None = None,
    progress: Progress | None = None,
) -> AdaptReport:
    """Adapt `model` to a normal recording and write it, uncalibrated, to `out`.

    The first 80 % of the recording train, the last 20 % judge: if their loss did not fall, the unadapted weights are
    written and the report says so.

    Args:
        model: a native file, a shipped name, or None for the default; a calibration in it is dropped.
        reference: float32 (time, channels); NaN = missing. At least 256 samples, or CalibrationError. Of a signal that
            calibration turns into frames (docs/frames.md): its frames, as `sanderling._core.frames` gives them.
        seconds: wall clock of the whole call, at most; it needs a second or two of them to read and write.
            `options.most_steps` may end it earlier.
        steps: train this many steps instead, whatever they take: the same file each time.
        threads: of torch; None: torch's choice.
        scaling: as calibration will scale, "robust" or "standard".
        progress: called with (share done, training loss, best kept-back loss).

    Raises:
        ModelError, CalibrationError, ShapeError, DtypeError, InputError, StorageError. An interrupt or an error leaves
        no file behind.
    """
    begin = time.monotonic()
    options = options or AdaptOptions()
    _check(seconds, steps, threads, scaling)
    x = as_signal(reference)
    source = resolve(model)
    info = Detector.load(source).info
    # Of a file with frames it is told in samples of the recording, and `reference` is frames.
    least = int(str(info["min_reference"])) // max(1, int(str(info["frame_samples"])))
    if len(x) < least:
        raise CalibrationError(f"expected a normal recording of at least {least} samples, found {len(x)}; record more")
    native = read_native(source)
    with torch_threads(threads), torch.random.fork_rng(devices=[]):
        network, grid = to_torch(native)
        network.requires_grad_(False)
        layers = linear_layers(network)
        segments = Segments(x, network.config, scaling, seed)
        if not segments.usable:
            result, trained, reason = Fit(0, math.nan, math.nan), 0, _unusable(segments)
        else:
            adapters = attach(layers, grid, int(options.share * native.parameters), seed)
            trained = sum(p.numel() for p in adapters)
            clock = Clock(begin, None, steps) if steps else Clock(begin, seconds, options.most_steps)
            result = fit(network, adapters, segments, options, clock, WRITING, progress)
            merge(layers.values())
            reason = _unhelped(result)
    tensors = {} if reason else merged_tensors(layers, grid, native.tensors)
    write_native(Path(out), native, tensors, _lineage(native, x, result, trained, not reason))
    return AdaptReport(
        trained=trained,
        share=trained / native.parameters,
        steps=result.steps,
        loss_before=result.before,
        loss_after=result.after,
        adapted=not reason,
        reason=reason,
        lineage=native.sha256,
        seconds=time.monotonic() - begin,
    )


def _check(seconds: float, steps: int | None, threads: int | None, scaling: str) -> None:
    if not (math.isfinite(seconds) and seconds > 0):
        raise InputError(f"expected seconds above 0, found {seconds!r}; give 60, for example")
    for name, value in (("steps", steps), ("threads", threads)):
        if value is not None and value < 1:
            raise InputError(f"expected {name} of at least 1, found {value!r}; leave it out for the default")
    if scaling not in SCALINGS:
        raise InputError(f"expected scaling 'robust' or 'standard', found {scaling!r}")


def _unhelped(result: Fit) -> str:
    if not result.steps:
        return "the time was too short for a step"
    return "" if result.after < result.before else "the kept-back loss did not fall"


def _unusable(segments: Segments) -> str:
    if not len(segments.channels):
        return "no channel has an observed sample"
    return f"{segments.tokens} patches are too few to train on and to judge by"


@contextmanager
def torch_threads(threads: int | None) -> Iterator[None]:
    """Torch's CPU threads within the block; None leaves them."""
    previous = torch.get_num_threads()
    if threads:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(previous)


@torch.no_grad()
def merged_tensors(
    layers: Mapping[str, nn.Linear], grid: Mapping[str, Tensor], before: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The file's tensors of the merged layers, on the grid of the file; a matrix without a delta keeps its bytes."""
    tensors: dict[str, np.ndarray] = {}
    for name, layer in layers.items():
        weight = layer.weight.detach()
        if name in TRANSPOSED:
            tensors[f"{name}.weight"] = weight.T.contiguous().numpy()
            continue
        steps = row_steps(weight, grid[name])
        safe = torch.where(steps > 0, steps, torch.ones_like(steps))
        integers = torch.round(weight / safe[:, None]).clamp(-LEVELS, LEVELS)
        tensors[f"{name}.weight"] = integers.to(torch.int8).numpy()
        tensors[f"{name}.scale"] = steps.numpy()
    return {name: value for name, value in tensors.items() if not np.array_equal(value, before[name])}


def _lineage(native: Native, x: np.ndarray, result: Fit, trained: int, adapted: bool) -> dict[str, Any]:
    return {
        "source_sha256": native.sha256,
        "reference_sha256": hashlib.sha256(x.tobytes()).hexdigest(),
        "steps": result.steps if adapted else 0,
        "trained": trained if adapted else 0,
    }
