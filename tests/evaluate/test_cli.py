"""`sanderling evaluate`: what it selects, prints and writes; with a stand-in detector, and with the shipped one."""

import hashlib
import json
import sys
from types import ModuleType

import numpy as np
import pytest

from sanderling.cli.main import main
from tests.evaluate.packed import pack

FITTED: list[tuple] = []


class Standin:
    """Absolute deviation from the reference's mean, with the surface of `Detector` that the verb uses."""

    info = {"variant": "stand-in", "min_reference": 256}

    @classmethod
    def load(cls, path=None, isa=None, *, false_alarms=1.0, period_s=None):
        detector = cls()
        detector.path, detector.mean, detector.threshold_ = path, 0.0, 3.0
        return detector

    def fit(self, reference, *, scaling="robust", false_alarms=1.0, period_s=None):
        FITTED.append((len(reference), false_alarms, period_s))
        self.mean = float(reference.mean())
        return self

    def decision_function(self, x):
        return np.abs(x - self.mean).max(axis=1)

    def sha256(self):
        return hashlib.sha256(b"stand-in").hexdigest()


@pytest.fixture
def standin(monkeypatch):
    module = ModuleType("sanderling.runtime.detector")
    module.Detector = Standin
    monkeypatch.setitem(sys.modules, "sanderling.runtime.detector", module)
    FITTED.clear()


def recordings(folder):
    """Set "one": three series with an anomaly (the third: too short a reference), one without; set "raw": no labels."""
    rows = []
    for i, train_end in enumerate((600, 600, 100, 600)):
        x = np.random.default_rng(i).normal(10, 1, (1400, 2))
        labels = np.zeros(1400)
        if i < 3:
            labels[1000:1040] = 1
            x[1000:1040] += 2.5
        rows.append((f"n{i}", x, ("f32", "f32"), 1.0, labels, train_end, 30.0 if i else float("nan")))
    pack(folder / "one.npz", rows)
    pack(folder / "raw.npz", [("u", np.ones((50, 1)), ("f32",), 1.0, None, -1, 1.0)])
    return folder


def run(capsys, *arguments):
    code = main(["evaluate", *map(str, arguments)])
    return code, *capsys.readouterr()


def test_report_and_table(standin, tmp_path, capsys):
    out = tmp_path / "out.json"
    code, text, progress = run(capsys, recordings(tmp_path), "--json", out, "--baselines")
    assert code == 0
    report = json.loads(out.read_text())
    assert report["model"] == "stand-in" and report["mode"] == "calibrated"
    assert report["sha256"] == hashlib.sha256(b"stand-in").hexdigest()
    of_set = report["sets"]["one"]
    assert (of_set["n"], of_set["n_normal"]) == (3, 1) and set(report["sets"]) == {"one"}
    assert {"vus_pr", "vus_roc", "auc_pr", "event_f1"} <= of_set.keys()
    assert of_set["ucr_top1"] is None and of_set["event_f1"] > 0.5
    assert report["mean_vus_pr"] == of_set["vus_pr"] > 0.5
    baselines = report["baselines"]
    assert {"random", "amplitude", "raw_knn_64"} <= baselines.keys()
    assert baselines["random"]["mean_vus_pr"] < 0.2 < baselines["amplitude"]["mean_vus_pr"]
    assert f"mean VUS-PR over 1 sets: {report['mean_vus_pr']:.3f}" in text and "raw_knn_64: " in text
    assert "4/5" in progress and "one/n3" in progress and "skipped raw/u: no labels" in progress


def test_calibration_takes_the_part_before_the_test_and_falls_back_to_cold(standin, tmp_path, capsys):
    run(capsys, recordings(tmp_path), "--false-alarms", "2")
    assert FITTED == [(600, 2.0, None), (600, 2.0, 30.0), (600, 2.0, 30.0)]
    FITTED.clear()
    run(capsys, recordings(tmp_path), "--mode", "cold")
    assert FITTED == []


def test_sample_limits_each_set(standin, tmp_path, capsys):
    out = tmp_path / "out.json"
    run(capsys, recordings(tmp_path) / "one.npz", "--sample", "2", "--json", out)
    assert [row["name"] for row in json.loads(out.read_text())["series"]] == ["n0", "n2"]


@pytest.mark.parametrize(("option", "names"), [("--tuning-only", ["T"]), ("--held-out", ["H"])])
def test_tuning_list_splits_the_series(standin, tmp_path, capsys, monkeypatch, option, names):
    from sanderling.evaluate import selection

    monkeypatch.setattr(selection, "load_list", lambda name: {"nab": ["T"]})
    x, labels = np.random.default_rng(0).random((600, 1)), np.eye(600)[500]
    pack(tmp_path / "nab.npz", [(n, x, ("f32",), 1.0, labels, 300, 1.0) for n in "TH"])
    out = tmp_path / "out.json"
    assert run(capsys, tmp_path / "nab.npz", option, "--json", out)[0] == 0
    assert [row["name"] for row in json.loads(out.read_text())["series"]] == names


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.npz"], "no such file"),
        (["raw.npz"], "expected labelled series"),
        (["one.npz", "--list", "other"], "expected a list named"),
        (["one.npz", "--tuning-only"], "expected at least one series"),
        (["one.npz", "--sample", "0"], "at least 1 series"),
        (["one.npz", "--workers", "0"], "at least 1 worker"),
        (["one.npz", "--json", "absent/out.json"], "cannot write"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(standin, tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(recordings(tmp_path))
    code, _, errors = run(capsys, *arguments)
    assert code == 2 and message in errors.splitlines()[-1] and errors.startswith(("sanderling", "1/", "skipped"))


def test_the_shipped_detector(tmp_path, capsys):
    pytest.importorskip("sanderling._core", reason="the C++ core is not installed")
    out = tmp_path / "out.json"
    code, _, errors = run(capsys, recordings(tmp_path) / "one.npz", "--json", out, "--baselines", "--workers", "2")
    assert code == 0, errors
    report = json.loads(out.read_text())
    assert len(report["sha256"]) == 64 and report["sets"]["one"]["n"] == 3
    assert report["mean_vus_pr"] > 2 * report["baselines"]["random"]["mean_vus_pr"]
