"""Bars: the right rows over the right rows, and nothing where a side is missing or wrong."""

from __future__ import annotations

from typing import Any

import pytest

from sanderling.bench.bars import Bar, bars


def row(engine: str, variant: str, mode: str, us: float, isa: str = "auto", cpu: float | None = None) -> dict[str, Any]:
    return {
        "engine": engine,
        "variant": variant,
        "isa": isa,
        "mode": mode,
        "median_us": us,
        "cpu_us": us if cpu is None else cpu,
        "checked": True,
    }


def document(**changes: Any) -> dict[str, Any]:
    rows = [
        row("native", "int8", "window", 400.0, "amx"),
        row("native", "int8", "window", 800.0, "avx512vnni"),
        row("native", "int8", "window", 2000.0, "avx2"),
        row("native", "int8", "stream", 50.0, "amx"),
        row("native", "int8", "stream", 40.0, "avx2"),
        row("onnxruntime", "fp32", "window", 3600.0),
        row("onnxruntime", "int8-qdq", "window", 1600.0),
        row("onnxruntime", "fp32", "stream", 200.0),
        row("openvino", "bf16", "window", 1100.0),
        row("litert", "fp32", "window", 1000.0),
        row("litert", "int8-dynamic", "window", 900.0),
    ]
    return {
        "rows": rows,
        "import_ms": {"numpy": 100.0, "sanderling": 2.0, "sanderling.Detector": 25.0},
        "wheel_bytes": 1 << 20,
        "idle_cpu_ms_per_s": {"native amx": 0.0, "runner": 0.02, "torch eager": 40.0},
        "runner": {"rss_mib": 5.0},
        "dynamic": {"stream": {"saved": 0.4}, "batch": {"saved": 0.1}},
        "wavelet": [{"samples": 512, "channels": 1, "ratio": 6.0, "checked": True}],
        "peaks": {
            "gemm": [
                {"isa": "avx2", "name": "model", "M": 64, "of_peak": 0.8, "of_l2": 0.1, "checked": True},
                {"isa": "avx2", "name": "blk.0.qkv", "M": 64, "of_peak": 0.9, "of_l2": 0.1, "checked": True},
                {"isa": "avx2", "name": "model", "M": 1, "of_peak": 0.1, "of_l2": 0.6, "checked": True},
            ]
        },
        **changes,
    }


def named(found: list[Bar], *words: str) -> Bar:
    (bar,) = [bar for bar in found if all(word in bar.name for word in words)]
    return bar


EXPECTED = [
    (("window: amx", "onnxruntime"), 1600 / 400, True),
    (("window: amx", "openvino"), 1100 / 400, True),
    (("window: amx", "litert"), 900 / 400, True),
    (("window: avx512vnni", "openvino"), 1100 / 800, False),
    (("window: avx2", "onnxruntime fp32"), 3600 / 2000, True),
    (("window: avxvnni",), None, None),
    (("GEMM", "avx2"), 0.8, True),
    (("GEMV", "avx2"), 0.6, False),
    (("GEMM", "avx512vnni"), None, None),
    (("running the window again",), 1600 / 40, True),
    (("step graph",), 200 / 40, True),
    (("dynamic",), 0.4, True),
    (("wavedec: 512",), 6.0, True),
    (("wavedec: 65,536",), None, None),
    (("wheel",), 1.0, True),
    (("import",), 0.25, True),
    (("runner",), 5.0, True),
    (("idle",), 0.02, True),
]


@pytest.mark.parametrize("words, measured, met", EXPECTED)
def test_each_bar(words, measured, met):
    bar = named(bars(document()), *words)
    assert bar.measured == (pytest.approx(measured, abs=1e-3) if measured is not None else None)
    assert bar.met is met


def test_every_bar_is_expected_once():
    assert len(bars(document())) == len(EXPECTED) + 5  # the other tiers of a shape, the other peers of a tier


def test_a_row_that_does_not_agree_is_no_rival():
    rows = document()["rows"]
    wrong = [r | {"checked": r["variant"] != "int8-qdq"} for r in rows]
    assert named(bars(document(rows=wrong)), "window: amx", "onnxruntime").measured == pytest.approx(9.0)


def test_nor_is_a_native_one():
    wrong = [r | {"checked": r["engine"] != "native"} for r in document()["rows"]]
    assert {bar.measured for bar in bars(document(rows=wrong)) if bar.name.startswith(("window", "stream"))} == {None}


def test_a_busy_machine_flatters_nobody():
    waited = [row("native", "int8", "window", 400.0, "amx"), row("onnxruntime", "fp32", "window", 8000.0, cpu=1000.0)]
    bar = named(bars(document(rows=waited)), "window: amx", "onnxruntime")
    assert (bar.measured, bar.by_cpu, bar.met) == (20.0, 2.5, False)


def test_a_product_with_a_wrong_answer_does_not_count():
    wrong = {"gemm": [row | {"checked": False} for row in document()["peaks"]["gemm"]]}
    assert named(bars(document(peaks=wrong)), "GEMM", "avx2").measured is None


def test_without_anything_measured_beside_the_rows():
    bare = {key: None for key in ("runner", "dynamic", "wavelet", "peaks")}
    found = bars(document(rows=[], import_ms={}, idle_cpu_ms_per_s={}, **bare))
    assert [bar.name for bar in found if bar.met is not None] == ["wheel without weights"]
