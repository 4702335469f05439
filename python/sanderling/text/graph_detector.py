"""A detector whose encoder the engine doesn't run (ONNX, TFLite): the other views are the engine's, meaning, fusion and
head are numpy's by the same rule (docs/text_model.md). Its file is a zip of `PARTS`."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sanderling._core import TextScorer
from sanderling.errors import FormatError, SanderlingError
from sanderling.files import write_file
from sanderling.text.clean import Rules, clean
from sanderling.text.detector import LEAST, MOST, VIEWS, TextDetector, fuse
from sanderling.text.head import logit
from sanderling.text.native import detector_bytes, detector_parts
from sanderling.text.parts import DAMAGED, read_parts, zip_bytes
from sanderling.text.views import GRID, Meaning, Scale, on_grid

VERSION = 1
PARTS = ("text.json", "views.gguf", "meaning.npz", "encoder")
HEAD = "head."  # before the names of a head's arrays


def others(detector: TextDetector) -> TextDetector:
    """The detector without encoder, meaning and head: what the engine scores."""
    scales = {name: scale for name, scale in detector.scales.items() if name != "meaning"}
    return replace(detector, encoder_bytes=b"", meaning=None, scales=scales, head={}, _encoder=None, _scorer=None)


def scored(detector: TextDetector, texts: Sequence[str | bytes]) -> NDArray[np.float64]:
    """As `TextDetector._scored`: score and nats by `VIEWS`, float64 (texts, 5)."""
    assert detector.meaning is not None
    if detector._scorer is None:
        detector._scorer = TextScorer.parse(detector_bytes(others(detector), texts=False))
    found = np.array(detector._scorer.score(list(texts)))
    cleaned = [clean(text, Rules(detector.rules.mask)) or "" for text in texts]
    if not cleaned:
        return found
    rows = detector.embed(cleaned)
    found[:, 1 + VIEWS.index("meaning")] = detector.scales["meaning"].nats(detector.meaning.distance(rows))
    nats = {name: found[:, 1 + VIEWS.index(name)] for name in detector.scales}
    found[:, 0] = on_grid(logit(detector, cleaned, nats, rows)) if detector.head else fuse(nats)
    return found


def save(detector: TextDetector, path: str | os.PathLike[str], texts: bool) -> bytes:
    """Writes the file, replaced atomically; texts: with the reference's. Returns its bytes."""
    assert detector.meaning is not None
    scale, arrays = detector.scales["meaning"], {HEAD + name: value for name, value in detector.head.items()}
    arrays |= {
        "metric": detector.meaning.whiten.astype(np.float32),
        "memory": detector.meaning.memory.astype(np.float32),
    }
    stored = io.BytesIO()
    np.savez(stored, reference=np.rint(scale.ranks * GRID).astype(np.int64), **arrays)  # type: ignore[arg-type]
    header = {"version": VERSION, "start": scale.start, "excess": scale.excess, "threshold": detector.threshold_}
    contents = (json.dumps(header).encode(), detector_bytes(others(detector), texts), stored.getvalue())
    data = zip_bytes(dict(zip(PARTS, (*contents, detector.encoder_bytes), strict=True)))
    write_file(path, lambda out: out.write(data))
    return data


def load(data: bytes, path: str | os.PathLike[str]) -> TextDetector:
    """Reads what `save` wrote. Raises FormatError (a log's detector, not ours, damaged)."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            names = file.namelist()
            if "log.json" in names:
                raise FormatError(
                    f"expected a detector of texts, found one of logs (a zip) in {path}; give its text.gguf"
                )
            if sorted(names) != sorted(PARTS):
                raise ValueError("its parts are others")
            header, views, stored, encoder = read_parts(file, PARTS)
        TextScorer.parse(views)  # checks every value, so that what follows may believe the file
        found = TextDetector(**detector_parts(views))
        return _with_meaning(found, json.loads(header), dict(np.load(io.BytesIO(stored))), encoder)
    except SanderlingError:
        raise
    except DAMAGED as error:
        raise FormatError(
            f"expected a text detector, found {path} (damaged, or not one: {error}); calibrate again"
        ) from error


def _with_meaning(
    detector: TextDetector, header: dict[str, Any], arrays: dict[str, NDArray[Any]], encoder: bytes
) -> TextDetector:
    if header["version"] != VERSION:
        raise ValueError(f"version {header['version']}")
    numbers = [float(header[name]) for name in ("start", "excess", "threshold")]
    metric, memory, ranks = (arrays.pop(name) for name in ("metric", "memory", "reference"))
    d = metric.shape[-1]
    if metric.shape != (d, d) or memory.ndim != 2 or memory.shape[1] != d or ranks.shape != memory.shape[:1]:
        raise ValueError(f"shapes {metric.shape}, {memory.shape}, {ranks.shape}")
    if not LEAST <= len(memory) <= MOST or len(memory) != len(detector.look.memory):
        raise ValueError(f"{len(memory)} reference texts")
    for values in (metric, memory, ranks, np.array(numbers), *arrays.values()):
        if values.dtype.kind not in "fi" or not np.isfinite(values).all():
            raise ValueError("values that are no finite numbers")
    if numbers[1] <= 0 or (np.diff(ranks) < 0).any():
        raise ValueError("a scale that does not grow")
    head = {name.removeprefix(HEAD): value for name, value in arrays.items()}
    _check_head(head, d)
    scales = {"meaning": Scale(ranks / GRID, *numbers[:2]), **detector.scales}
    meaning = Meaning(metric.astype(np.float64), memory.astype(np.float64))
    return replace(detector, encoder_bytes=encoder, meaning=meaning, scales=scales, head=head, threshold_=numbers[2])


def _check_head(head: dict[str, NDArray[Any]], d: int) -> None:
    if not head:
        return
    if set(head) != {"normal", "anomalous", "weight", "bias"}:
        raise ValueError(f"a head of {sorted(head)}")
    features = len(VIEWS) + 16 + d  # nats, look, embedding
    if any(head[name].ndim != 2 or head[name].shape[1] != d or not len(head[name]) for name in ("normal", "anomalous")):
        raise ValueError("labelled texts of another width")
    if head["weight"].shape != (features,) or head["bias"].shape != (1,):
        raise ValueError(f"a head of {head['weight'].shape}, not {(features,)}")
