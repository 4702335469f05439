"""The native file (docs/format.md): a GGUF container, checked before it is written; same model, same bytes."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sanderling.errors import FormatError
from sanderling.extras import require
from sanderling.sizes import LARGEST, MAX_LAYERS

VERSION = 1
# What the loader admits; every value of the forward pass stays finite under them.
WEIGHT_LIMIT = 1e4
TAP_LIMIT = 16.0
NAME_LIMIT = 63  # bytes

# key: (default or None for required, least, most, multiple)
_U32: dict[str, tuple[int | None, int, int, int]] = {
    "patch": (8, 8, 8, 1),
    "levels": (5, 1, 8, 1),
    "window": (16, 1, 64, 1),
    "d_model": (None, 16, LARGEST["d_model"], 16),
    "head_dim": (32, 32, 32, 1),
    "n_heads": (None, 1, LARGEST["n_heads"], 1),
    "ffn": (None, 16, LARGEST["ffn"], 16),
    "graph_heads": (None, 1, LARGEST["graph_heads"], 1),
    "metric_heads": (2, 2, 2, 1),
    "scorer_hidden": (None, 16, LARGEST["scorer_hidden"], 16),
    "raw_window": (64, 64, 64, 1),
    "smooth": (4, 1, 64, 1),
    "top_k": (1, 1, 2**32 - 1, 1),
    "max_gap": (32, 0, 2**32 - 2, 1),
    "cold_samples": (512, 256, 65536, 8),
    "memory_tokens": (512, 1, 65536, 1),
    "memory_budget": (8192, 1, 2**24, 1),
    "raw_rows": (4096, 1, 65536, 1),
    "raw_budget": (65536, 1, 2**24, 1),
    "loo_block": (16, 1, 65536, 1),
    "probe_every": (8, 1, 65536, 1),
}
_LAYERED = ("n_heads", "ffn")
# key: (default, least, most)
_F32 = {
    "clip": (20.0, 1.0, 1e4),
    "metric_tau": (0.05, 1e-4, 1e4),
    "raw_tau": (0.02, 1e-4, 1e4),
    "skip_level": (1.3, 1e-4, 1e4),
}
# Optional, all or none: frames of raw samples for a cold start (docs/frames.md); least and most.
_FRAME_SAMPLES = (16, 8192)
_FRAME_PERIOD = (1e-9, 1e6)  # seconds a raw sample
FRAME_LEVELS = 5
_FRAME = {"frame.samples", "frame.period_s", "frame.levels"}
_LINEAGE = ("base_sha256", "plan", "data")


def complete_config(config: Mapping) -> dict:
    """The `sanderling.*` keys (without prefix) in file order, defaults filled in, ranges checked.

    Required: d_model, n_heads, ffn, graph_heads, scorer_hidden. Raises FormatError.
    """
    if "encoder" in config:
        raise FormatError(
            f"expected a transformer, which the native engine runs, found the encoder {config['encoder']!r}; "
            "export it to onnx or tflite"
        )
    unknown = sorted(set(config) - set(_U32) - set(_F32) - _FRAME - {"variant", "version"})
    if unknown:
        raise FormatError(f"expected the keys of docs/format.md, found {unknown}; remove them")
    if config.get("version", VERSION) != VERSION:
        raise FormatError(f"expected version {VERSION}, found {config['version']}; remove the key")
    variant = str(config.get("variant", "unnamed"))
    if not re.fullmatch(rf"[ -~]{{1,{NAME_LIMIT}}}", variant):
        raise FormatError(
            f"expected a variant of 1 to {NAME_LIMIT} ASCII characters, found {variant!r}; rename it"
        )
    full: dict = {"version": VERSION, "variant": variant}
    for key, (default, least, most, multiple) in _U32.items():
        value = config.get(key, default)
        if value is None:
            raise FormatError(f"expected the key {key}, found none; add it")
        if key in _LAYERED:
            full[key] = [_integer(key, v, least, most, multiple) for v in _sequence(key, value)]
        else:
            full[key] = _integer(key, value, least, most, multiple)
    if len(full["n_heads"]) != len(full["ffn"]):
        raise FormatError(
            f"expected as many ffn as n_heads ({len(full['n_heads'])}), found {len(full['ffn'])}; "
            "give one of each a layer"
        )
    for key, (default_f, least_f, most_f) in _F32.items():
        value = float(config.get(key, default_f))
        if not least_f <= value <= most_f:
            raise FormatError(f"expected {key} in [{least_f}, {most_f}], found {value}; change it")
        full[key] = value
    return full | _frame_keys(config)


def _frame_keys(config: Mapping) -> dict:
    """The frame.* keys, checked; none where the config has none."""
    if not _FRAME & set(config):
        return {}
    missing = sorted(_FRAME - {"frame.levels"} - set(config))
    if missing:
        raise FormatError(f"expected the frame keys together, found {missing} missing; add them")
    period = float(np.float32(config["frame.period_s"]))
    if not np.float32(_FRAME_PERIOD[0]) <= period <= _FRAME_PERIOD[1]:
        raise FormatError(f"expected frame.period_s in {_FRAME_PERIOD}, found {period}; change it")
    levels = config.get("frame.levels", FRAME_LEVELS)
    return {
        "frame.samples": _integer("frame.samples", config["frame.samples"], *_FRAME_SAMPLES, 1),
        "frame.period_s": period,
        "frame.levels": _integer("frame.levels", levels, FRAME_LEVELS, FRAME_LEVELS, 1),
    }


def _sequence(key: str, value: object) -> Sequence:
    if isinstance(value, (list, tuple, np.ndarray)) and 1 <= len(value) <= MAX_LAYERS:
        return list(value)
    raise FormatError(f"expected {key} as a list of 1 to {MAX_LAYERS}, found {value!r}; change it")


def _integer(key: str, value: object, least: int, most: int, multiple: int) -> int:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if whole and least <= int(value) <= most and int(value) % multiple == 0:  # type: ignore[call-overload]
        return int(value)  # type: ignore[call-overload]
    raise FormatError(
        f"expected {key} between {least} and {most} in multiples of {multiple}, found {value!r}; "
        "change it"
    )


def tensor_specs(config: Mapping) -> dict[str, tuple[type, tuple[int, ...]]]:
    """Name -> (numpy dtype, row-major shape) of every tensor of a complete config, in file order."""
    d, graph = config["d_model"], config["graph_heads"] * config["head_dim"]
    specs: dict[str, tuple[type, tuple[int, ...]]] = {}

    def linear(name: str, rows: int, columns: int) -> None:
        specs[f"{name}.weight"] = (np.int8, (rows, columns))
        specs[f"{name}.scale"] = (np.float32, (rows,))
        specs[f"{name}.bias"] = (np.float32, (rows,))

    def f32(name: str, *shape: int) -> None:
        specs[name] = (np.float32, shape)

    def norm(name: str) -> None:
        f32(f"{name}.weight", d)
        f32(f"{name}.bias", d)

    f32("wavelet.taps", -1)  # 2 to 8
    f32("embed.weight", config["patch"] * (config["levels"] + 3), d)
    f32("embed.bias", d)
    for i, (heads, ffn) in enumerate(zip(config["n_heads"], config["ffn"], strict=True)):
        width = heads * config["head_dim"]
        norm(f"blk.{i}.attn_norm")
        linear(f"blk.{i}.qkv", 3 * width, d)
        f32(f"blk.{i}.attn_bias", heads, config["window"])
        linear(f"blk.{i}.out", d, width)
        norm(f"blk.{i}.ffn_norm")
        linear(f"blk.{i}.ffn_up", ffn, d)
        linear(f"blk.{i}.ffn_down", d, ffn)
    norm("norm")
    linear("metric", config["metric_heads"] * config["head_dim"], d)
    linear("graph.qkv", 3 * graph, d)
    linear("graph.out", d, graph)
    norm("graph.norm")
    f32("head.weight", d, 2 * config["patch"] + 1)
    f32("head.bias", 2 * config["patch"] + 1)
    linear("scorer.fc1", config["scorer_hidden"], d + 16)
    linear("scorer.fc2", 1, config["scorer_hidden"])
    f32("fusion.weight", 8)
    return specs


def check_tensors(config: Mapping, tensors: Mapping[str, np.ndarray]) -> None:
    """FormatError unless `tensors` are those of the complete config, with its shapes, dtypes and ranges."""
    specs = tensor_specs(config)
    missing, unknown = sorted(set(specs) - set(tensors)), sorted(set(tensors) - set(specs))
    if missing or unknown:
        raise FormatError(
            f"expected the tensors of docs/format.md, found {missing or 'none'} missing and "
            f"{unknown or 'none'} unknown; export the whole model"
        )
    for name, (dtype, shape) in specs.items():
        tensor = np.asarray(tensors[name])
        found = tensor.shape
        right = 2 <= tensor.size <= 8 and tensor.ndim == 1 if shape == (-1,) else found == shape
        if not right or tensor.dtype != dtype:
            wanted = "(2 to 8,)" if shape == (-1,) else shape
            raise FormatError(
                f"expected {name} as {np.dtype(dtype)} {wanted}, found {tensor.dtype} {found}; "
                "export the model again"
            )
        _check_range(name, tensor)


def _check_range(name: str, tensor: np.ndarray) -> None:
    if tensor.dtype == np.int8:
        least, most = -127.0, 127.0
    elif name == "wavelet.taps":
        least, most = -TAP_LIMIT, TAP_LIMIT
    else:
        least, most = (0.0 if name.endswith(".scale") else -WEIGHT_LIMIT), WEIGHT_LIMIT
    # NaN compares false, so it is refused too.
    if not np.all((tensor >= least) & (tensor <= most)):
        raise FormatError(
            f"expected {name} within [{least:g}, {most:g}], found {tensor.min()} to {tensor.max()}; "
            "quantise or train the model again"
        )


def write_native(
    path: str | os.PathLike[str],
    config: Mapping,
    tensors: Mapping[str, np.ndarray],
    lineage: Mapping[str, str] | None = None,
) -> str:
    """Writes a native file and returns its sha256 (hex).

    config: the `sanderling.*` keys without prefix (see `complete_config`); tensors: name -> array as in
    docs/format.md (int8 or float32, row-major); lineage: any of base_sha256, plan, data. The file appears
    whole or not at all and its bytes depend on the arguments only. Raises FormatError before anything is
    written, DependencyError when the package gguf is missing, OSError when the disk refuses.
    """
    full = complete_config(config)
    check_tensors(full, tensors)
    lineage = dict(lineage or {})
    if not set(lineage) <= set(_LINEAGE):
        raise FormatError(
            f"expected lineage keys of {_LINEAGE}, found {sorted(lineage)}; rename them"
        )

    def keys(writer: Any) -> None:
        for key, value in full.items():
            name = f"sanderling.{key}"
            if key == "variant":
                writer.add_string(name, value)
            elif key in _LAYERED:
                writer.add_array(name, value)
            elif key in _F32 or key == "frame.period_s":
                writer.add_float32(name, value)
            else:
                writer.add_uint32(name, value)
        for key in _LINEAGE:
            if key in lineage:
                writer.add_string(f"sanderling.lineage.{key}", str(lineage[key]))

    return write_container(path, keys, {name: tensors[name] for name in tensor_specs(full)})


def write_container(
    path: str | os.PathLike[str], keys: Callable[[Any], None], tensors: Mapping[str, np.ndarray]
) -> str:
    """Writes a GGUF file of architecture `sanderling`, whole or not at all; returns its sha256 (hex).

    keys(writer) adds the keys to a gguf.GGUFWriter. Raises DependencyError (gguf), OSError.
    """
    gguf = require("gguf", "export")
    target = Path(path)
    temporary = target.with_name(f"{target.name}.tmp.{os.getpid()}")
    writer = gguf.GGUFWriter(temporary, "sanderling")
    try:
        keys(writer)
        for name, tensor in tensors.items():
            writer.add_tensor(name, np.ascontiguousarray(tensor))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        _sync(temporary)
        digest = hashlib.sha256(temporary.read_bytes()).hexdigest()
        os.replace(temporary, target)
        _sync(target.parent)
    finally:
        temporary.unlink(missing_ok=True)
    return digest


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
