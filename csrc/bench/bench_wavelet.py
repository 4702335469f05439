"""The decimated transform beside PyWavelets: one thread, one run, interleaved, answers checked, results in numpy.

    python csrc/bench/bench_wavelet.py [--rounds 30] [--record csrc/bench/record]

Every time includes the call from Python. The two are called in turn, call by call, so that other load on the machine
meets both; the ratio is that of the medians. Both get the same array, so the same layout.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from pathlib import Path
from time import perf_counter_ns

import numpy as np
import pywt

import sanderling

WAVELET, MODE, LEVEL = "db4", "symmetric", 3
# name, shape, axis of time, calls for each of --rounds, the bar
CASES = (
    ("one signal", (512,), 0, 200, 5.0),
    ("32 channels, (time, channels)", (65536, 32), 0, 1, 3.0),
    ("32 channels, (channels, time)", (32, 65536), 1, 1, 3.0),
    ("3 channels, (time, channels)", (65536, 3), 0, 10, None),
)
TOLERANCE = 4e-6  # of the largest coefficient: float32 rounding of 8 taps over 3 levels


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def agree(ours: list[np.ndarray], theirs: list[np.ndarray]) -> bool:
    pairs = zip(ours, theirs, strict=True)
    return all(a.shape == b.shape and np.abs(a - b).max() <= TOLERANCE * np.abs(b).max() for a, b in pairs)


def case(shape: tuple[int, ...], axis: int, calls: int, rounds: int, dtype: str, inverse: bool) -> dict:
    x = np.random.default_rng(1).standard_normal(shape).astype(dtype)
    coeffs = pywt.wavedec(x, WAVELET, MODE, LEVEL, axis)
    if inverse:
        engines = {
            "sanderling": lambda: sanderling.waverec(coeffs, WAVELET, MODE, axis),
            "pywavelets": lambda: pywt.waverec(coeffs, WAVELET, MODE, axis),
        }
        checked = agree([engines["sanderling"]()], [engines["pywavelets"]()])
    else:
        engines = {
            "sanderling": lambda: sanderling.wavedec(x, WAVELET, MODE, LEVEL, axis),
            "pywavelets": lambda: pywt.wavedec(x, WAVELET, MODE, LEVEL, axis),
        }
        checked = agree(engines["sanderling"](), coeffs)
    times: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(rounds * calls):
        for name, call in engines.items():
            start = perf_counter_ns()
            call()
            times[name].append((perf_counter_ns() - start) / 1000)
    median = {name: float(np.median(values)) for name, values in times.items()}
    fastest = {name: min(values) for name, values in times.items()}
    return {
        "median_us": {name: round(value, 2) for name, value in median.items()},
        "fastest_us": {name: round(value, 2) for name, value in fastest.items()},
        "ratio": round(median["pywavelets"] / median["sanderling"], 1),
        "ratio_of_fastest": round(fastest["pywavelets"] / fastest["sanderling"], 1),
        "checked": bool(checked),
    }


def measure(rounds: int) -> dict:
    rows = []
    for name, shape, axis, calls, bar in CASES:
        for what in ("wavedec", "waverec"):
            for dtype in ("float32", "float64"):
                found = case(shape, axis, calls, rounds, dtype, what == "waverec")
                wanted = bar if (what, dtype) == ("wavedec", "float32") else None
                about = {"case": name, "shape": shape, "axis": axis, "call": what, "dtype": dtype, "bar": wanted}
                rows.append({**about, **found})
    return {
        "transform": {"wavelet": WAVELET, "level": LEVEL, "mode": MODE},
        "machine": {"processor": processor(), "cpus": os.cpu_count(), "isa": sanderling.selected_isa()},
        "versions": {"sanderling": sanderling.__version__, "pywavelets": pywt.__version__, "numpy": np.__version__},
        "rounds": rounds,
        "rows": rows,
    }


def table(result: dict) -> str:
    machine, versions = result["machine"], result["versions"]
    lines = [
        f"# `wavedec` and `waverec` beside PyWavelets {versions['pywavelets']}",
        "",
        f"{WAVELET}, {LEVEL} levels, {MODE}. {machine['processor']}, ISA {machine['isa']}, one thread;",
        "medians of calls made in turn, the way through Python included, answers compared.",
        "Written by `python csrc/bench/bench_wavelet.py --record csrc/bench/record`.",
        "",
        "| case | call | dtype | sanderling, us | PyWavelets, us | ratio | of the fastest | bar | checked |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        median = row["median_us"]
        cells = [
            f"{row['case']} {tuple(row['shape'])}",
            row["call"],
            row["dtype"],
            f"{median['sanderling']:,.1f}",
            f"{median['pywavelets']:,.1f}",
            f"{row['ratio']}x",
            f"{row['ratio_of_fastest']}x",
            f">= {row['bar']:g}x" if row["bar"] else "",
            "yes" if row["checked"] else "NO",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--record", type=Path, help="folder for wavelet.json and wavelet.md")
    options = parser.parse_args()
    result = measure(options.rounds)
    print(table(result))
    if options.record:
        options.record.mkdir(parents=True, exist_ok=True)
        (options.record / "wavelet.json").write_text(json.dumps(result, indent=1) + "\n")
        (options.record / "wavelet.md").write_text(table(result))
    return 0 if all(row["checked"] for row in result["rows"]) else 1


if __name__ == "__main__":
    raise SystemExit(main())
