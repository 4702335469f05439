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
    def load(cls, path=None, isa=None, *, false_alarms=1.0, period_s=None, dynamic=False, hindsight=0):
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
    code, text, progress = run(capsys, recordings(tmp_path), "--json", out, "--baselines", "-m", "tiny")
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
        (["absent.npz"], "expected a file or folder, found none"),
        (["raw.npz"], "expected labelled series"),
        (["one.npz", "--list", "other"], "expected a list named"),
        (["one.npz", "--tuning-only"], "expected at least one series"),
        (["one.npz", "--sample", "0"], "at least 1 series"),
        (["one.npz", "--workers", "0"], "at least 1 worker"),
        (["one.npz", "--json", "absent/out.json"], "cannot write"),
        (["one.npz", "--markdown", "absent/out.md"], "cannot write"),
        (["one.npz", "one.npz"], "found one/n0 twice"),
        (["one.npz", "--plot-series", "-1"], "0 or more series"),
        (["one.npz", "--tsb-ad-list", "absent.csv"], "expected a list of files"),
        (["one.npz", "--mode", "adapted", "--adapt-steps", "0"], "at least 1 step"),
        (["one.npz", "--false-alarms-check", "--mode", "cold"], "found cold"),
        (["one.npz", "--false-alarms-check", "--baselines"], "expected --json alone"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(standin, tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(recordings(tmp_path))
    code, _, errors = run(capsys, *arguments)
    assert code == 2 and message in errors.splitlines()[-1] and errors.startswith(("sanderling", "1/", "skipped"))


def interrupt_at(monkeypatch, count):
    """Ctrl-C while the stand-in scores its count-th series; the list of what it has scored."""
    scored = []
    whole = Standin.decision_function

    def decision_function(self, x):
        if len(scored) + 1 == count:
            raise KeyboardInterrupt
        scored.append(len(x))
        return whole(self, x)

    monkeypatch.setattr(Standin, "decision_function", decision_function)
    return scored


def figures(path):
    report = json.loads(path.read_text())
    for part in (*report["series"], *report["sets"].values()):
        part.pop("seconds")
    return report


def test_an_interrupted_run_goes_on(standin, tmp_path, capsys, monkeypatch):
    path = recordings(tmp_path) / "one.npz"
    whole, out = tmp_path / "whole.json", tmp_path / "out.json"
    partial = tmp_path / "out.json.partial.jsonl"
    run(capsys, path, "--json", whole)
    with monkeypatch.context() as patch:
        assert len(interrupt_at(patch, 3)) == 0
        assert run(capsys, path, "--json", out)[0] == 130
    assert partial.exists() and not out.exists()
    with monkeypatch.context() as patch:
        scored = interrupt_at(patch, 99)
        code, _, said = run(capsys, path, "--json", out)
        assert code == 0 and len(scored) == 2  # of four, two were done
    assert "continuing: 2 of 4 series are done" in said and "3/4" in said
    assert figures(out) == figures(whole) and not partial.exists()


@pytest.mark.parametrize("change", [["--false-alarms", "3"], ["--mode", "cold"], ["--baselines"]])
def test_other_options_start_anew(standin, tmp_path, capsys, monkeypatch, change):
    path, out = recordings(tmp_path) / "one.npz", tmp_path / "out.json"
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3)
        run(capsys, path, "--json", out)
    with monkeypatch.context() as patch:
        scored = interrupt_at(patch, 99)
        code, _, said = run(capsys, path, "--json", out, *change)
    assert code == 0 and len(scored) == 4 and "starting anew" in said


def test_markdown_and_plots(standin, tmp_path, capsys, monkeypatch):
    pytest.importorskip("matplotlib")
    path, plots = recordings(tmp_path) / "one.npz", tmp_path / "plots"
    options = ["--json", tmp_path / "out.json", "--markdown", tmp_path / "out.md", "--plots", plots, "--plot-series", 1]
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3)
        run(capsys, path, *options)
    # Scores that were deleted in between are computed again; the others are taken over.
    (plots / "scores" / "one+n0.npy").unlink()
    with monkeypatch.context() as patch:
        scored = interrupt_at(patch, 99)
        assert run(capsys, path, *options)[0] == 0 and len(scored) == 3
    assert "| one | 3 |" in (tmp_path / "out.md").read_text()
    pictures = {file.name for file in plots.glob("*.png")}
    assert "sets.png" in pictures and len(pictures) == 3
    assert pictures < {"sets.png", "one+n0.png", "one+n1.png", "one+n2.png"}
    assert "scores" not in json.loads((tmp_path / "out.json").read_text())["series"][0]


def test_lists_of_tsb_ad(standin, tmp_path, capsys):
    folder = tmp_path / "TSB-AD-U"
    folder.mkdir()
    for i in range(3):
        labels = [int(20 <= t < 30) for t in range(60)]
        rows = "".join(f"{t + 50 * y},{y}\n" for t, y in enumerate(labels))
        (folder / f"00{i}_NAB_id_{i}_Web_tr_10_1st_20.csv").write_text("Data,Label\n" + rows)
    official = tmp_path / "TSB-AD-U-Eva.csv"
    official.write_text("file_name\n001_NAB_id_1_Web_tr_10_1st_20.csv\n900_NAB_id_9_Web_tr_10_1st_20.csv\n")
    out = tmp_path / "out.json"
    code, _, said = run(capsys, folder, "--tsb-ad-list", official, "--json", out)
    assert code == 0 and "1 of 2 listed files are not there, 900_NAB" in said
    assert [row["name"] for row in json.loads(out.read_text())["series"]] == ["001_NAB_id_1_Web_tr_10_1st_20"]


def test_check_of_false_alarms(standin, tmp_path, capsys):
    out = tmp_path / "out.json"
    code, text, _ = run(capsys, recordings(tmp_path), "--false-alarms-check", "--json", out, "--false-alarms", "2")
    report = json.loads(out.read_text())
    assert code == 0 and report["model"] == "stand-in" and report["false_alarms"] == 2
    of_set = report["false_alarms_check"]["sets"]["one"]
    # Halves of 600 samples: one series of unknown period, two of 30 s; the fourth has 100, the unlabelled set none.
    assert of_set["n"] == 3 and of_set["requested"] == pytest.approx(2 * (300 / 10000 + 2 * 300 * 30 / 86400))
    assert of_set["ratio"] == pytest.approx(of_set["alarms"] / of_set["requested"])
    left_out = {(row["set"], row["name"]) for row in report["false_alarms_check"]["left_out"]}
    assert left_out == {("one", "n2"), ("raw", "u")} and report["false_alarms_check"]["pooled"] is None
    assert "left out: one/n2: half of its normal part: calibration needs 256 samples, found 50" in text


def test_adapted_without_torch_names_the_extra(standin, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    code, _, errors = run(capsys, recordings(tmp_path) / "one.npz", "--mode", "adapted")
    assert code == 2 and "sanderling[train]" in errors and errors.count("\n") == 1


def test_adapted_uses_what_adapting_writes(standin, tmp_path, capsys, monkeypatch):
    pytest.importorskip("torch")
    calls = []

    def adapt_file(model, reference, out, *, seconds, steps, threads):
        calls.append((model, len(reference), out.name, seconds, steps))

    module = ModuleType("sanderling.train.adapt")
    module.adapt_file = adapt_file
    monkeypatch.setitem(sys.modules, "sanderling.train.adapt", module)
    out = tmp_path / "out.json"
    options = ["--mode", "adapted", "--adapt-seconds", "5", "--json", out]
    assert run(capsys, recordings(tmp_path) / "one.npz", *options)[0] == 0
    assert calls == [(None, 600, "adapted.gguf", 5.0, None)] * 3
    report = json.loads(out.read_text())
    assert report["mode"] == "adapted"
    assert [row["scored"] for row in report["series"]] == ["adapted", "adapted", "cold", "adapted"]


def test_dask_gives_the_same_report(tmp_path, capsys):
    pytest.importorskip("sanderling._core", reason="the C++ core is not installed")
    distributed = pytest.importorskip("distributed", reason="the extra distributed is not installed")
    path, serial, shared = recordings(tmp_path) / "one.npz", tmp_path / "serial.json", tmp_path / "shared.json"
    assert run(capsys, path, "--json", serial)[0] == 0
    with distributed.LocalCluster(1, threads_per_worker=2, processes=False, dashboard_address="127.0.0.1:0") as cluster:
        code, _, errors = run(capsys, path, "--json", shared, "--dask", cluster.scheduler_address)
    assert code == 0, errors
    assert figures(shared) == figures(serial)


def test_the_shipped_detector(tmp_path, capsys):
    pytest.importorskip("sanderling._core", reason="the C++ core is not installed")
    out = tmp_path / "out.json"
    code, _, errors = run(capsys, recordings(tmp_path) / "one.npz", "--json", out, "--baselines", "--workers", "2")
    assert code == 0, errors
    report = json.loads(out.read_text())
    assert len(report["sha256"]) == 64 and report["sets"]["one"]["n"] == 3
    assert report["mean_vus_pr"] > 2 * report["baselines"]["random"]["mean_vus_pr"]
