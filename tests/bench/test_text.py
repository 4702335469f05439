"""The text encoder's bench: its bars, and the recorded run."""

from __future__ import annotations

import ctypes
import json
import platform
from pathlib import Path

import numpy as np
import pytest

from sanderling.bench.apart import Apart
from sanderling.bench.text import LEAST_COSINE, TOKENS, TextRow, bars, markdown, random_ids, timed

RECORD = Path(__file__).resolve().parents[2] / "csrc" / "bench" / "record" / "text.json"


def row(engine: str, variant: str, isa: str, times: list[float], cosine: float = 1.0) -> TextRow:
    return TextRow(engine, variant, isa, 32, lambda ids: ids, cosine, times)


def test_bars_take_the_peers_best_that_agrees():
    rows = [
        row("native", "int8", "amx", [1.0, 2.0, 4.0]),
        row("onnxruntime", "int8 per channel", "", [5.0, 6.0, 12.0]),
        row("onnxruntime", "int8 per tensor", "", [0.1, 0.1, 0.1], cosine=LEAST_COSINE - 0.01),
        row("onnxruntime", "int8 per channel, no AMX", "", [7.0, 8.0, 14.0]),
        row("native", "int8", "avx512vnni", [2.0, 4.0, 7.0]),
        row("onnxruntime", "fp32", "", [1.0, 1.0, 1.0]),
        row("openvino", "bf16", "", [1.0, 2.8, 4.0]),
    ]
    found = {(bar["isa"], bar["peer"]): bar for bar in bars(rows)}
    vnni = ("avx512vnni", "onnxruntime int8"), ("avx512vnni", "onnxruntime int8, no AMX")
    assert set(found) == {("amx", "onnxruntime int8"), ("amx", "openvino"), *vnni}
    assert [found[key]["median_ratio"] for key in vnni] == [1.71, 2.0]
    ort, ov = found["amx", "onnxruntime int8"], found["amx", "openvino"]
    assert (ort["median_ratio"], ort["min_ratio"], ort["met"]) == (3.0, 5.0, True)
    assert (ov["median_ratio"], ov["min_ratio"], ov["met"]) == (1.0, 1.0, False)


def test_a_turn_warms_up_first():
    asked = []
    assert timed(lambda ids: asked.append(ids), random_ids(1, 8)[0]) >= 0
    assert len(asked) > 2


def test_ids_are_sentences():
    ids = random_ids(3, 16)
    assert ids.shape == (3, 16) and set(ids[:, 0]) == {101} and set(ids[:, -1]) == {102}


def tiles_granted(model, folder, tokens):
    """A peer that says what the kernel answers to a process that asks for AMX: 0, or -1 for no."""
    if model == "broken":
        raise ValueError("no such engine")
    arch_prctl, request_permission, tile_data = 158, 0x1023, 18
    answer = ctypes.CDLL(None).syscall(arch_prctl, request_permission, tile_data)
    return lambda ids: np.array([answer, len(ids)])


@pytest.mark.skipif(platform.machine() != "x86_64", reason="AMX is x86's")
def test_a_peer_apart_gets_no_amx_and_answers_as_if_it_were_here():
    peer = Apart(tiles_granted, None, Path(), 32)
    assert peer(random_ids(1, 8)[0]).tolist() == [-1, 8]
    assert timed(peer, random_ids(1, 8)[0]) > 0
    with pytest.raises(RuntimeError, match="ValueError: no such engine"):
        Apart(tiles_granted, "broken", Path(), 32)


@pytest.fixture(scope="module")
def record() -> dict:
    return json.loads(RECORD.read_text())


def test_the_record_is_whole_and_the_page_is_made_from_it(record):
    assert {(r["engine"], r["tokens"]) for r in record["rows"]} >= {
        (engine, tokens) for engine in ("native", "onnxruntime", "openvino") for tokens in TOKENS
    }
    assert all(r["checked"] for r in record["rows"] if r["engine"] == "native") and record["rounds"] >= 30
    assert RECORD.with_suffix(".md").read_text() == markdown(record)
