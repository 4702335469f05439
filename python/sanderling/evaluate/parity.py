"""The engines against one another on real recordings: differences of their scores, of the ranks, of detection quality.

    python -m sanderling.evaluate.parity --write docs/runtimes.md

FP32 engines are compared with the torch module that they were exported from, INT8 engines with the native one. Every
engine scores every recording of the list `parity` as one sequence and as a stream in chunks of 13 samples, cold and
fitted on the part before train_end. Differences count over the samples behind the reference whose score is not NaN;
VUS-PR is that part's, where it has labels. Needs SANDERLING_DATA or paths (of an aeon wheel: parts of its three
recordings), and the extras export and train (torch).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from sanderling.errors import InputError
from sanderling.evaluate.metrics import rank_correlation
from sanderling.evaluate.selection import chosen_series, load_list
from sanderling.evaluate.series import Series
from sanderling.evaluate.vus import acf_period, vus
from sanderling.runtime.onnx_op import has_operator

CHUNK = 13  # samples: neither a patch nor a divisor of one
STARTS = ("cold", "calibrated")
WAYS = ("sequence", "stream")
BEGIN, END = "<!-- parity: begin -->", "<!-- parity: end -->"
SETS = ("nab", "skab")
OTHER_PYTHON = "SANDERLING_TFLITE_PYTHON"  # a Python with sanderling, tflite-runtime and NumPy 1

# Of an aeon wheel's recordings: first sample, train_end and end, short and with what is labelled.
WHEEL = {
    "KDD-TSAD_135": (2600, 3400, 4600),
    "ecg-diff-count-3": (10500, 11300, 12500),
    "Daphnet_S06R02E0": (0, 600, 1200),
}

# (native model, channels) -> detector
Make = Callable[[Any, int], Any]


@dataclass(frozen=True)
class Engine:
    """A row's engine. reference: the others of its precision are compared with it."""

    name: str
    precision: str
    make: Make
    reference: bool = False


@dataclass(frozen=True)
class Row:
    """One engine, start and way over all recordings.

    largest, mean: difference of the scores from the reference; least_rank, mean_rank: correlation of the ranks with it
    (Spearman); vus_pr: mean; threshold: the largest relative difference.
    """

    engine: str
    precision: str
    start: str
    way: str
    largest: float
    mean: float
    least_rank: float
    mean_rank: float
    vus_pr: float
    threshold: float


def engines(folder: Path) -> list[Engine]:
    """Those that are installed here; exported files go to `folder`."""
    from sanderling.runtime.detector import Detector

    def exported(format: str, precision: str, **options: Any) -> Make:
        def make(native: Any, channels: int) -> Detector:
            target = options.get("target", "")
            path = folder / f"{precision}-{target}-{channels}.{format}"
            if not path.exists():
                if format == "onnx":
                    from sanderling.export.onnx import write_onnx

                    write_onnx(path, native, precision=precision, **options)
                else:
                    from sanderling.export.tflite import write_tflite

                    write_tflite(path, native, precision=precision, channels=channels, **options)
            return Detector.load(path, threads=1)

        return make

    def by_torch(native: Any, channels: int) -> Detector:
        from sanderling.export.network import TorchEngine
        from sanderling.runtime.graph_model import GraphModel

        return Detector(GraphModel(TorchEngine(native)))

    def by_core(native: Any, channels: int) -> Detector:
        return Detector.load(native.path)

    def by_operator(native: Any, channels: int) -> Detector:
        from sanderling.runtime.onnx_op import op_model_bytes

        path = folder / "operator.onnx"
        path.write_bytes(op_model_bytes(native.path.read_bytes()))
        return Detector.load(path)

    def in_other_python(precision: str) -> Make:
        def make(native: Any, channels: int) -> Detector:
            from sanderling.evaluate.other_python import OtherPython
            from sanderling.export.tflite import write_tflite
            from sanderling.runtime.graph_model import GraphModel

            path = folder / f"{precision}-tflite-runtime-{channels}.tflite"
            if not path.exists():
                write_tflite(path, native, precision=precision, channels=channels, target="tflite-runtime")
            return Detector(GraphModel(OtherPython(os.environ[OTHER_PYTHON], path)))

        return make

    found = [Engine("torch", "fp32", by_torch, reference=True), Engine("native", "int8", by_core, reference=True)]
    if find_spec("onnxruntime"):
        for target in ("modern", "jetpack4"):
            for precision in ("fp32", "int8"):
                make = exported("onnx", precision, target=target)
                found.append(Engine(f"onnxruntime, {target}", precision, make))
        if has_operator():
            found.append(Engine("onnxruntime, operator", "int8", by_operator))
    if find_spec("ai_edge_litert"):
        # In FP32 both profiles hold the same graph.
        for target, precisions in (("litert", ("fp32", "int8")), ("tflite-runtime", ("int8",))):
            for precision in precisions:
                found.append(Engine(f"litert, {target}", precision, exported("tflite", precision, target=target)))
        if os.environ.get(OTHER_PYTHON):
            found += [Engine("tflite-runtime", precision, in_other_python(precision)) for precision in ("fp32", "int8")]
    return found


def scored(detector: Any, x: np.ndarray, way: str) -> tuple[np.ndarray, float]:
    """Scores (time,) and threshold."""
    if way == "sequence":
        return detector.decision_function(x), detector.threshold_
    stream = detector.stream()
    parts = [stream.update(x[i : i + CHUNK]) for i in range(0, len(x), CHUNK)]
    return np.concatenate([*parts, stream.flush()]), stream.threshold


def compare(
    native: Any,
    series: Iterable[Series],
    chosen: Sequence[Engine],
    starts: Sequence[str] = STARTS,
    ways: Sequence[str] = WAYS,
) -> list[Row]:
    """A row for each engine, start and way."""
    cells: dict[tuple[str, str, str, str], list[tuple[float, ...]]] = {}
    for item in series:
        for start in starts:
            for way in ways:
                for key, cell in _cells(native, item, chosen, start, way):
                    cells.setdefault(key, []).append(cell)
    rows = []
    for (name, precision, start, way), values in cells.items():
        largest, mean, rank, quality, threshold = np.array(values).T
        figures = (largest.max(), mean.mean(), rank.min(), rank.mean(), np.nanmean(quality), threshold.max())
        rows.append(Row(name, precision, start, way, *(float(f) for f in figures)))
    return rows


def _cells(
    native: Any, item: Series, chosen: Sequence[Engine], start: str, way: str
) -> Iterator[tuple[tuple[str, str, str, str], tuple[float, ...]]]:
    first = max(item.train_end, native.config.cold_samples)
    labels, window = (None if item.labels is None else item.labels[first:]), acf_period(item.x)
    references: dict[str, tuple[np.ndarray, float]] = {}
    for engine in sorted(chosen, key=lambda e: not e.reference):
        detector = engine.make(native, item.x.shape[1])
        if start == "calibrated":
            detector.fit(item.x[: item.train_end])
        scores, threshold = scored(detector, item.x, way)
        if engine.reference:
            references[engine.precision] = scores, threshold
        expected, wanted = references[engine.precision]
        a, b = scores[first:], expected[first:]
        if not np.array_equal(np.isnan(a), np.isnan(b)):
            raise InputError(
                f"expected {engine.name} to score what the reference scores of {item.name}, found other gaps"
            )
        there = ~np.isnan(a)
        difference = np.abs(a - b)[there]
        cell = (
            difference.max(),
            difference.mean(),
            rank_correlation(a[there], b[there]),
            np.nan if labels is None or not labels.any() else vus(labels, a, window)["vus_pr"],
            abs(threshold / wanted - 1),
        )
        yield (engine.name, engine.precision, start, way), cell


def table(rows: Sequence[Row]) -> str:
    """Markdown."""
    columns = "engine, profile|weights|start|way|largest difference|mean|Spearman, least|mean|VUS-PR|threshold"
    lines = ["| " + columns.replace("|", " | ") + " |", "|" + "---|" * (columns.count("|") + 1)]
    for r in sorted(rows, key=lambda r: (r.precision, STARTS.index(r.start), WAYS.index(r.way))):
        lines.append(
            f"| {r.engine} | {r.precision.upper()} | {r.start} | {r.way} | {r.largest:.2g} | {r.mean:.2g} "
            f"| {r.least_rank:.4f} | {r.mean_rank:.4f} | {r.vus_pr:.4f} | {100 * r.threshold:.2g} % |"
        )
    return "\n".join(lines)


def write_table(path: Path, text: str) -> None:
    """Puts the table between the file's two marks. InputError where they are missing."""
    whole = path.read_text()
    before, begin, rest = whole.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InputError(f"expected the lines {BEGIN} and {END} in {path}, found none; add them")
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def listed_series(paths: Sequence[str], limit: int | None = None) -> list[Series]:
    """The recordings of the list `parity`, at most `limit` a set. InputError where there are none."""
    names = {key: value[:limit] for key, value in {**load_list("parity"), "aeon": list(WHEEL)}.items()}
    found = [_part(item) if item.set_name == "aeon" else item for item in chosen_series(paths, names)]
    if not found:
        raise InputError(f"expected recordings of the list parity, found none in {', '.join(paths) or 'no path'}")
    return found


def _part(item: Series) -> Series:
    first, train_end, end = WHEEL[item.name]
    labels = None if item.labels is None else item.labels[first:end]
    return replace(item, x=item.x[first:end], labels=labels, train_end=train_end - first)


def known_paths() -> list[str]:
    """Where recordings are: the sets of $SANDERLING_DATA, else the wheel that $SANDERLING_AEON_WHEEL names."""
    root, wheel = os.environ.get("SANDERLING_DATA"), os.environ.get("SANDERLING_AEON_WHEEL")
    if root:
        return [str(Path(root, "eval", f"{name}.npz")) for name in SETS]
    return [wheel] if wheel else []


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table, or writes it."""
    from sanderling.export.reading import read_native

    parser = argparse.ArgumentParser(prog="python -m sanderling.evaluate.parity", description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", default=known_paths(), help="sets (default: of $SANDERLING_DATA)")
    parser.add_argument("--model", help="a native file or shipped name (default: the shipped one)")
    parser.add_argument("--limit", type=int, help="recordings a set")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the table between the marks of a page")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        series = listed_series(options.paths, options.limit)
        rows = compare(read_native(options.model), series, engines(Path(folder)))
    if options.write:
        write_table(options.write, table(rows))
    else:
        print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
