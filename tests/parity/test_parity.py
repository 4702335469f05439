"""Every engine against the reference of its precision on real recordings: sequence and stream, cold and calibrated.

`make test` runs a family of engines a stage (-k onnxruntime, -k litert); all recordings: sanderling.evaluate.parity.
"""

import os

import numpy as np
import pytest

pytest.importorskip("torch")

from sanderling.export.reading import read_native  # noqa: E402

from sanderling.evaluate.parity import (  # noqa: E402
    OTHER_PYTHON,
    STARTS,
    WAYS,
    compare,
    engines,
    known_paths,
    listed_series,
)
from sanderling.runtime.onnx_op import has_operator  # noqa: E402

# family -> its package, its engines' first words, how many they are
FAMILIES = {"onnxruntime": ("onnxruntime", ("onnxruntime",), 4), "litert": ("ai_edge_litert", ("litert", "tflite"), 3)}
FP32_DIFFERENCE = 1e-4
INT8_VUS_PR = 0.01
PER_SET = 2  # recordings of $SANDERLING_DATA: of one channel and of eight; of one alone VUS-PR may move by 0.014


@pytest.fixture(scope="module", params=FAMILIES)
def rows(request, tmp_path_factory):
    """The rows of a family's engines and of the references."""
    package, names, count = FAMILIES[request.param]
    pytest.importorskip(package)
    paths = known_paths()
    if not paths:
        pytest.skip("SANDERLING_DATA and SANDERLING_AEON_WHEEL are unset: no recordings")
    folder = tmp_path_factory.mktemp(request.param)
    chosen = [e for e in engines(folder) if e.reference or e.name.startswith(names)]
    count += "onnxruntime" in names and has_operator()
    elsewhere = 2 if "tflite" in names and OTHER_PYTHON in os.environ else 0  # tflite-runtime ends at Python 3.11
    assert len(chosen) == 2 + count + elsewhere
    series = listed_series(paths, PER_SET if len(paths) > 1 else None)
    assert {item.x.shape[1] > 1 for item in series} == {False, True}
    return compare(read_native(None), series, chosen)


def test_every_cell_is_there(rows):
    cells = {(r.engine, r.precision, r.start, r.way) for r in rows}
    names = {(r.engine, r.precision) for r in rows}
    assert len(names) >= 5 and len(cells) == len(rows) == len(names) * len(STARTS) * len(WAYS)


def test_fp32_engines_are_the_torch_module(rows):
    found = {(r.engine, r.start, r.way): r.largest for r in rows if r.precision == "fp32"}
    assert max(found.values()) <= FP32_DIFFERENCE, found


def test_int8_engines_detect_alike(rows):
    for start in STARTS:
        for way in WAYS:
            found = [r for r in rows if (r.precision, r.start, r.way) == ("int8", start, way)]
            qualities = {r.engine: r.vus_pr for r in found}
            assert np.ptp(list(qualities.values())) <= INT8_VUS_PR, (start, way, qualities)
            ranks = {r.engine: r.mean_rank for r in found}
            assert min(ranks.values()) >= 0.99, (start, way, ranks)


def test_the_operator_is_the_native_engine(rows):
    found = [r for r in rows if r.engine == "onnxruntime, operator"]
    assert all(r.largest == r.mean == r.threshold == 0 for r in found)


def test_streams_detect_as_sequences(rows):
    quality = {(r.engine, r.precision, r.start, r.way): r.vus_pr for r in rows}
    for (engine, precision, start, way), value in quality.items():
        assert abs(value - quality[engine, precision, start, "sequence"]) < 1e-3, (engine, precision, start, way)
