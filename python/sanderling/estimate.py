"""Memory and time of a model on a board, by a model of the board: no figure here was measured on one.

Time of a patch = the longer of its multiply-accumulates at the tier's rate and of its bytes at the bandwidth of the
cache that holds them, times OVERHEAD for everything that is no multiply-accumulate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sanderling.boards import Board
from sanderling.errors import InputError

# INT8 multiply-accumulates a cycle of the tier's inner loop: llvm-mca's throughput, cautiously (csrc/bench/record).
MACS_PER_CYCLE = {
    "Cortex-A53": 4.2,
    "Cortex-A57": 7.6,
    "Cortex-A72": 7.6,
    "Carmel": 7.6,
    "Cortex-A76": 31.0,
    "Cortex-A78AE": 31.0,
    "x86-64-v3": 32.0,
}
L2_BYTES_PER_CYCLE = 8.0  # cautious: the slowest of these cores' second-level caches
# Bytes a second that one core reads from memory: half or less of the data sheets' peak of the boards with this core.
DRAM_BYTES_PER_S = {
    "Cortex-A53": 1.8e9,
    "Cortex-A57": 5e9,
    "Cortex-A72": 4e9,
    "Carmel": 10e9,
    "Cortex-A76": 8e9,
    "Cortex-A78AE": 12e9,
    "x86-64-v3": 8e9,
}
OVERHEAD = 2.0
RUNNER_MIB, PYTHON_MIB = 3.0, 45.0  # resident before a model is open: the static runner; Python with numpy
METRIC_WIDTH, RAW_WIDTH = 64, 64 + 16  # bytes of a memory row, both raw windows (docs/model.md section 6)
RAW_ROWS, RAW_BUDGET, METRIC_BUDGET = 4096, 65536, 8192  # rows a channel and in all (docs/model.md section 8)

# Operating system of a profile -> its Python, and the ONNX export that its last onnxruntime reads.
SYSTEMS = {
    "JetPack 4": ("3.6", "jetpack4"),
    "JetPack 5": ("3.8", "modern"),
    "JetPack 6": ("3.10", "modern"),
    "Raspberry Pi OS 12 (64-bit)": ("3.11", "modern"),
    "Raspberry Pi OS 13 (64-bit)": ("3.13", "modern"),
    "Debian 12": ("3.11", "modern"),
    "Linux": ("3.10 or later", "modern"),
}
# What else the same board is sold or flashed with.
OTHER_SYSTEMS = {"Raspberry Pi OS 12 (64-bit)": ("Raspberry Pi OS 13 (64-bit)",)}
WHEEL_PYTHONS, OLDEST_GLIBC = ("3.10", "3.11", "3.12", "3.13", "3.14"), (2, 28)


@dataclass(frozen=True)
class Estimate:
    """Model figures of one stream on one core.

    isa: tier. patch_macs: multiply-accumulates a patch and channel, both memories full, at most: every byte of the
    weights counts as one. patch_us: microseconds a patch, all channels. fastest_hz: samples a second and channel
    that the core can follow. load: share of one core at the asked rate, or None. runner_mib, python_mib: resident
    memory. in_l2: whether weights and memories stay in the second-level cache. wheels: operating system -> tag of the
    wheel that its Python takes, "" where the runner and its client serve. onnx: export profile. notes: what stands in
    the way, one sentence each.
    """

    isa: str
    patch_macs: int
    patch_us: float
    fastest_hz: float
    load: float | None
    runner_mib: float
    python_mib: float
    in_l2: bool
    wheels: dict[str, str]
    onnx: str
    notes: tuple[str, ...]


def estimate(board: Board, info: Mapping[str, Any], *, channels: int = 1, rate_hz: float | None = None) -> Estimate:
    """A model on a board.

    Args:
        board: the profile.
        info: `Detector.info` of the model.
        channels: columns of the recording; a calibrated model's own where `info` has them.
        rate_hz: samples a second and channel.

    Raises:
        InputError: a graph of another runtime, a rate that is not above 0, or no channel.
    """
    if "weight_bytes" not in info:
        raise InputError("expected a native model, found a graph of another runtime; give the .gguf")
    if rate_hz is not None and not (math.isfinite(rate_hz) and rate_hz > 0):
        raise InputError(f"expected a sampling rate above 0 Hz, found {rate_hz}; give samples a second")
    if channels < 1:
        raise InputError(f"expected at least one channel, found {channels}")
    columns = int(info["outputs"]) or channels
    patch = int(info["patch"])
    raw_rows = min(RAW_ROWS, max(64, RAW_BUDGET // columns))
    metric_rows = min(int(info["memory_tokens"]), max(64, METRIC_BUDGET // columns))
    memory = RAW_WIDTH * raw_rows + METRIC_WIDTH * metric_rows
    weights = int(info["weight_bytes"])
    attention = 2 * int(info["n_layers"]) * int(info["window"]) * int(info["d_model"])
    macs = weights + attention + memory
    cycles = columns * macs / MACS_PER_CYCLE[board.core]
    touched = weights + columns * memory
    in_l2 = touched <= board.l2_kib * 1024
    clock = board.clock_mhz * 1e6
    bandwidth = L2_BYTES_PER_CYCLE * clock if in_l2 else DRAM_BYTES_PER_S[board.core]
    seconds = OVERHEAD * max(cycles / clock, touched / bandwidth)
    fastest = patch / seconds
    # The file stays mapped while the packed copies are used.
    model_mib = 2 * touched / 2**20
    wheels, onnx, notes = fitting(board)
    if rate_hz is not None and rate_hz > fastest:
        notes.append(
            f"the board cannot follow {rate_hz:g} Hz on {columns} channel(s): about {fastest:.3g} Hz is the most; "
            "use frames (calibrate --frame-ms), the tiny model, --dynamic or fewer channels"
        )
    if not in_l2:
        notes.append(f"weights and memories ({touched / 2**20:.1f} MiB) leave the {board.l2_kib} KiB cache")
    if RUNNER_MIB + model_mib > board.ram_mib / 2:
        notes.append(f"the runner would take more than half of the {board.ram_mib} MiB")
    return Estimate(
        isa=board.isa,
        patch_macs=macs,
        patch_us=1e6 * seconds,
        fastest_hz=fastest,
        load=None if rate_hz is None else rate_hz / fastest,
        runner_mib=RUNNER_MIB + model_mib,
        python_mib=PYTHON_MIB + model_mib,
        in_l2=in_l2,
        wheels=wheels,
        onnx=onnx,
        notes=tuple(notes),
    )


def estimate_text(board: Board, info: Mapping[str, Any], tokens: int) -> float:
    """Seconds that one core takes to embed a text of `tokens`, by the same model of the board.

    info: `TextEncoder.info` of the encoder; its weights pass once a text. Raises InputError for tokens it cannot take.
    """
    if not 2 <= tokens <= int(info["positions"]):
        raise InputError(f"expected 2 to {info['positions']} tokens, found {tokens}; choose fewer")
    d = int(info["d_model"])
    tables = int(info["vocabulary"]) * (d + 4) + int(info["positions"]) * 4 * d
    matrices = int(info["weight_bytes"]) - tables
    macs = tokens * matrices + 2 * int(info["n_layers"]) * tokens * tokens * d
    clock = board.clock_mhz * 1e6
    bandwidth = L2_BYTES_PER_CYCLE * clock if matrices <= board.l2_kib * 1024 else DRAM_BYTES_PER_S[board.core]
    return OVERHEAD * max(macs / MACS_PER_CYCLE[board.core] / clock, matrices / bandwidth)


def fitting(board: Board) -> tuple[dict[str, str], str, list[str]]:
    """What of the package fits a board: wheels and ONNX profile as in Estimate, and notes on what does not."""
    onnx = SYSTEMS.get(board.os, ("", "modern"))[1]
    if not board.isa.startswith("neon"):
        return {board.os: ""}, onnx, ["no wheel is made for other machines: pip install . builds one there"]
    glibc = tuple(map(int, board.glibc.split(".")))
    wheels, notes = {}, []
    for system in (board.os, *OTHER_SYSTEMS.get(board.os, ())):
        python, _ = SYSTEMS.get(system, ("", ""))
        wheels[system] = ""
        if python in WHEEL_PYTHONS and glibc >= OLDEST_GLIBC:
            tag = "cp" + python.replace(".", "")
            wheels[system] = f"{tag}-{tag}-manylinux_{OLDEST_GLIBC[0]}_{OLDEST_GLIBC[1]}_aarch64"
        else:
            why = f"glibc {board.glibc}" if python in WHEEL_PYTHONS else f"Python {python or 'unknown'}"
            notes.append(f"no wheel for {system} ({why}): use the static runner, which needs neither, and its client")
    notes.append("a 32-bit system runs neither the runner nor a wheel: it must be a 64-bit one")
    return wheels, onnx, notes
