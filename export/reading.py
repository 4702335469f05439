"""Reads a native file back: keys, tensors and calibration as numpy arrays, for the other formats."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sanderling import _core
from sanderling.errors import FormatError
from sanderling.extras import require
from sanderling.runtime.graph_frames import Frames
from sanderling.runtime.graph_spec import PATCH, GraphConfig, reach_of
from sanderling.runtime.weights import resolve

_PREFIX = "sanderling."
_FRAMES = "frame."


@dataclass(frozen=True)
class NativeModel:
    """A native file (docs/format.md).

    keys: `sanderling.*` without the prefix; tensors: name -> array as stored (int8 or float32), `cal.*` included;
    path, sha256: of the file.
    """

    path: Path
    keys: dict[str, Any]
    tensors: dict[str, np.ndarray]
    sha256: str

    @property
    def config(self) -> GraphConfig:
        reach = reach_of(len(self.tensors["wavelet.taps"]), self.keys["levels"])
        return GraphConfig.from_keys({**self.keys, "reach": reach})

    @property
    def calibrated(self) -> bool:
        return "cal.channels" in self.keys

    @property
    def frames(self) -> Frames | None:
        """Those that come before the model, where the file has some."""
        keys = {name: self.keys.get(_FRAMES + name) for name in ("samples", "period_s")}
        return None if keys["samples"] is None else Frames.of_keys(keys)

    @property
    def lineage(self) -> dict[str, str]:
        """Where the weights come from."""
        start = "lineage."
        return {k.removeprefix(start): v for k, v in self.keys.items() if k.startswith(start)}

    def weight(self, name: str) -> np.ndarray:
        """float32 (N, K): the dequantised matrix `name`."""
        t = self.tensors
        return t[f"{name}.weight"].astype(np.float32) * t[f"{name}.scale"][:, None]

    def embedding(self) -> np.ndarray:
        """float32 (reach + 8 + 8, d): the embedding with the wavelet folded in, for [the last samples | valid].

        Features of a patch are linear in its samples and the `reach` ones before it, and with Haar taps every
        coefficient is a power of two.
        """
        config, taps = self.config, self.tensors["wavelet.taps"].astype(np.float64)
        weight = self.tensors["embed.weight"].astype(np.float64)
        smooth = np.eye(config.reach + PATCH)
        planes = [smooth]
        for level in range(config.levels):
            # Rows before the first sample are never looked at: reach is as long as the taps together.
            shifted = [np.roll(smooth, k * 2**level, axis=0) for k in range(len(taps))]
            lower = np.tensordot(taps, np.stack(shifted), axes=1)
            planes.append(smooth - lower)
            smooth = lower
        planes.append(smooth)
        features = np.concatenate([plane[-PATCH:] for plane in planes])
        folded = features.T @ weight[: len(features)]
        return np.concatenate([folded, weight[len(features) :]]).astype(np.float32)

    def calibration_inputs(self) -> dict[str, np.ndarray]:
        """The graph's calibration tensors (`runtime.graph_spec.CALIBRATION`) of a calibrated file."""
        t, config = self.tensors, self.config
        metric = t["cal.metric"].astype(np.float32) * t["cal.metric.scale"][..., None]
        raw, short = (t[f"cal.{k}"].astype(np.float32) * t[f"cal.{k}.scale"][..., None] for k in ("raw", "short"))
        return {
            "metric_memory": augmented(metric, np.ones(metric.shape[:-1], np.float32), config.metric_tau),
            "raw_memory": augmented(raw, np.square(raw).sum(-1), config.raw_tau),
            "short_memory": augmented(short, np.square(short).sum(-1), config.raw_tau),
            "level": t["cal.level"],
            "voice": t["cal.voice"],
            "center": t["cal.comp_center"],
            "spread": t["cal.comp_spread"],
            "offset": t["cal.offset"],
            "tail": t["cal.tail"],
        }


def augmented(rows: np.ndarray, norms: np.ndarray, tau: float) -> np.ndarray:
    """Memory rows (..., n, k) and squared norms (..., n) as the graph takes them: (..., k + 1, n)."""
    columns = np.concatenate([2 * rows, -norms[..., None]], axis=-1) / np.float32(tau)
    return np.ascontiguousarray(columns.swapaxes(-1, -2), np.float32)


def read_native(model: str | os.PathLike[str] | None) -> NativeModel:
    """Reads a native file, or a shipped model by name, after the core has checked every byte of it.

    Raises ModelError (not found, damaged, other version), FormatError (a window of 1, which the graphs do not
    cover), DependencyError (gguf).
    """
    file = resolve(model)
    _core.Model.open(os.fsencode(file), "")
    gguf = require("gguf", "export")
    reader = gguf.GGUFReader(file)
    keys = {
        name.removeprefix(_PREFIX): _value(gguf, field)
        for name, field in reader.fields.items()
        if name.startswith(_PREFIX)
    }
    if keys["window"] < 2:
        raise FormatError(f"expected a window of at least 2 tokens, found {keys['window']}; run it natively")
    tensors = {t.name: np.array(t.data) for t in reader.tensors}
    return NativeModel(file, keys, tensors, hashlib.sha256(Path(file).read_bytes()).hexdigest())


def _value(gguf: Any, field: Any) -> Any:
    if field.types[0] == gguf.GGUFValueType.STRING:
        return bytes(field.parts[field.data[0]]).decode()
    values = [field.parts[i].tolist()[0] for i in field.data]
    return values if field.types[0] == gguf.GGUFValueType.ARRAY else values[0]
