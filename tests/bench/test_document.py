"""The run from end to end on a small model: schema, absent peers, wrong answers, an interruption."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import sanderling
from sanderling.bench import document, dynamic, measure, peaks, plot, report, wavelet
from sanderling.bench.entries import MODES, PEERS, chosen, native_tiers
from sanderling.errors import InputError
from sanderling.runtime.isa import isa_names

ROW = {"engine": str, "variant": str, "isa": str, "mode": str, "median_us": float, "p10_us": float, "p90_us": float}
SMALL = measure.Plan(rounds=2, turn_ms=0.5, max_calls=2, checked=2, idle_s=0.05)


def small_and_alone(patch: pytest.MonkeyPatch) -> None:
    """Few calls, no data and no packages from outside."""
    patch.setattr(document, "QUICK", SMALL)
    patch.setattr(wavelet, "SIZES", ((512, 1, 1),))
    patch.setattr(measure, "is_installed", lambda module: False)
    for name in (dynamic.DATA, dynamic.WHEEL, peaks.VARIABLE):
        patch.delenv(name, raising=False)
    patch.setenv("PATH", "")


@pytest.fixture(scope="module")
def result(model_path: Path) -> dict:
    """Of every tier that this processor has; all peers are absent. As it comes back from a file."""
    with pytest.MonkeyPatch.context() as patch:
        small_and_alone(patch)
        wanted = document.Wanted(model=str(model_path), quick=True)
        return json.loads(json.dumps(document.run(wanted, lambda _: None)))


def test_the_result_has_its_schema(result):
    assert (result["complete"], result["rounds"], result["quick"]) == (True, 2, True)
    for row in result["rows"]:
        assert {key: type(row[key]) for key in ROW} == ROW
        assert row["checked"] is True and row["mode"] in MODES
        assert 0 < row["p10_us"] <= row["median_us"] <= row["p90_us"]
    ran = {(row["isa"], row["mode"]) for row in result["rows"]}
    assert ran == {(isa, mode) for isa in isa_names() for mode in MODES}
    assert {"processor", "architecture", "isa_flags", "caches_kib", "packages"} <= set(result["machine"])
    labels = {f"native {isa}" for isa in isa_names()}
    assert all(set(result[key]) == labels for key in ("load_ms", "rss_mib", "idle_cpu_ms_per_s"))
    assert {"numpy", "sanderling"} <= set(result["import_ms"])
    assert result["peaks"] is None and "bench_kernels" in result["notes"]["peaks"]
    assert result["dynamic"] is None and dynamic.DATA in result["notes"]["dynamic"]
    assert {bar["name"] for bar in result["bars"]} >= {"wheel without weights"}
    text = report.markdown(result)
    assert "**native reference**" in text and "sanderling bench" in text
    assert report.summary(result)


def test_the_plot_is_a_png(result):
    pytest.importorskip("matplotlib")
    assert plot.png(result).startswith(b"\x89PNG")


def test_tiers_that_cannot_run_are_named(result):
    absent = {row["isa"]: row["why"] for row in result["not_run"] if row["engine"] == "native"}
    assert set(absent) == set(native_tiers()) - set(isa_names())
    assert set(absent.values()) <= {"not compiled into this build", "this processor lacks it"}
    assert all(name in report.markdown(result) for name in absent)


def test_absent_peers_are_named_and_not_hidden(result):
    absent = {(row["engine"], row["variant"], row["mode"]): row["why"] for row in result["not_run"]}
    for entry in PEERS:
        for mode in entry.modes:
            assert absent[entry.engine, entry.variant, mode] == f"the package {entry.module} is not installed"
            assert f"Not run: {entry.engine} {entry.variant}" in report.markdown(result)
    assert {row["engine"] for row in result["rows"]} == {"native"}


def bench(model: Path, folder: Path, **changes: object) -> measure.Bench:
    detector = sanderling.Detector.load(model)
    entries = [entry for entry in chosen(["native"]) if entry.isa == "reference"]
    made = measure.Bench(detector, entries, SMALL, folder, lambda _: None)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def test_wrong_answers_are_found(model_path, tmp_path):
    made = bench(model_path, tmp_path)
    made._expected = np.roll(made._expected, 1, axis=1)
    try:
        made.prepare()
        made.rounds()
        rows = made.rows()
    finally:
        made.close()
    assert [row.checked for row in rows] == [False, False]
    assert all(row.spearman < 1 for row in rows)


def test_one_wrong_bit_is_found_in_a_native_row(model_path, tmp_path):
    made = bench(model_path, tmp_path)
    made._expected[0, 3] = np.nextafter(made._expected[0, 3], np.float32(np.inf))
    try:
        made.prepare()
        assert [row.checked for row in made.open] == [False, False]
    finally:
        made.close()


def test_an_engine_that_fails_is_a_row_with_its_reason(model_path, tmp_path):
    made = bench(model_path, tmp_path)
    entry = made.entries[0]
    made.entries = [type(entry)(**{**vars(entry), "peer": "no_such_peer"}), entry]
    try:
        made.prepare()
        assert {row.mode for row in made.not_run} == set(MODES)
        assert all("no_such_peer" in row.why for row in made.not_run)
        assert [row.mode for row in made.open] == list(MODES)
    finally:
        made.close()


def test_a_worker_that_dies_is_a_reason_too(model_path, tmp_path):
    made = bench(model_path, tmp_path)
    try:
        made.prepare()
        process = made.open[0].process
        process._process.kill()
        with pytest.raises(measure.WorkerError, match="ended with status"):
            process.ask("memory")
    finally:
        made.close()


def test_an_engine_that_dies_between_turns_is_named_and_the_others_go_on(model_path, tmp_path):
    made = bench(model_path, tmp_path)
    made.entries = [entry for entry in chosen(["native"]) if entry.isa in isa_names()[-2:]]
    try:
        made.prepare()
        dead = made.open[0]
        dead.process._process.kill()
        made.rounds()
        assert {(row.isa, row.mode) for row in made.not_run} == {(dead.entry.isa, mode) for mode in MODES}
        assert {row.isa for row in made.rows()} == set(isa_names()[-2:]) - {dead.entry.isa}
    finally:
        made.close()


def test_an_interruption_keeps_the_rounds_so_far(model_path, monkeypatch):
    small_and_alone(monkeypatch)
    slowest = chosen(["native"])[-1:]
    monkeypatch.setattr(document, "chosen", lambda engines: slowest)
    wanted = document.Wanted(model=str(model_path), quick=True)

    def stop_after_one(text: str) -> None:
        if text.startswith("round 1/"):
            raise KeyboardInterrupt

    result = document.run(wanted, stop_after_one)
    assert (result["complete"], result["rounds"]) == (False, 1)
    assert result["rows"] and "INTERRUPTED" in report.markdown(result)


def test_no_engine_is_an_error(model_path, tmp_path):
    made = bench(model_path, tmp_path, entries=[])
    made.prepare()
    with pytest.raises(sanderling.SanderlingError, match="expected an engine that runs"):
        made.rounds()


def test_unknown_engines_are_refused():
    with pytest.raises(InputError, match="tensorflow"):
        chosen(["native", "tensorflow"])


def test_dynamic_mode_is_timed_on_recordings(tmp_path):
    rng = np.random.default_rng(2)
    x = np.sin(np.arange(4096) / 9) + 0.05 * rng.standard_normal(4096)
    path = tmp_path / "pump.csv"
    path.write_text("value,label\n" + "".join(f"{v:.6f},0\n" for v in x))
    found = dynamic.compare("tiny", [path], 1)
    (row,) = found["recordings"]
    assert (row["samples"], row["channels"]) == (3072, 1) and 0 < row["skipped"] < 1
    for how in ("stream", "batch"):
        whole = found[how]
        assert whole["full_ms"] == row[f"{how}_full_ms"] > 0 and whole["dynamic_ms"] == row[f"{how}_dynamic_ms"] > 0
        assert whole["saved"] == pytest.approx(1 - whole["dynamic_ms"] / whole["full_ms"], abs=1e-3)


def test_without_recordings_dynamic_mode_is_not_timed(monkeypatch):
    for name in (dynamic.DATA, dynamic.WHEEL):
        monkeypatch.delenv(name, raising=False)
    assert dynamic.compare("tiny", [], 1) is None


def test_transforms_are_compared_and_checked(monkeypatch):
    pytest.importorskip("pywt")
    monkeypatch.setattr(wavelet, "SIZES", ((512, 1, 1), (64, 3, 1)))
    rows = wavelet.compare(1)
    assert [(row["samples"], row["channels"], row["checked"]) for row in rows] == [(512, 1, True), (64, 3, True)]
    monkeypatch.setattr(wavelet, "TOLERANCE", -1.0)
    assert [row["checked"] for row in wavelet.compare(1)] == [False, False]
