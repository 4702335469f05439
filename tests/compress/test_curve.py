"""The compression curve: one chained gradual run, comparable rows, resuming, the tables' words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from sanderling.compress import curve
from sanderling.compress.curve import Curve, CurveOptions, main
from sanderling.compress.curve_report import markdown, statements, summary
from sanderling.compress.macs import macs
from sanderling.compress.prune import PruneOptions, Run, least_share
from sanderling.evaluate.datasets import Series
from sanderling.model import ModelConfig, Sanderling
from sanderling.train.checkpoint import save_weights
from sanderling.train.quality import stretch_of
from tests.compress.models import SIGNALS
from tests.compress.recordings import generated

# Wide enough that half of its MACs may go: most of the micro size's are the memory's.
CONFIG = ModelConfig(d_model=128, n_heads=(4, 4), ffn=(256, 256), scorer_hidden=64, raw_rows=64)
SHARES = CurveOptions(steps=8, shares=(0.7, 0.5), compared=0.5, batch=1, length=1536, held_out=2)


def series(seed: int) -> Series:
    """A generated recording of two channels whose spike is labelled."""
    x = generated(2400, 2, seed)
    labels = np.zeros(len(x), np.uint8)
    labels[1200:1216] = 1
    return Series("made", str(seed), x, labels, 800)


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    model = Sanderling(CONFIG)
    torch.nn.init.normal_(model.scorer.fc2.weight, std=0.1)  # it starts at 0
    path = tmp_path_factory.mktemp("base") / "base.safetensors"
    save_weights(path, model, {})
    return path


@pytest.fixture
def data(tmp_path, monkeypatch) -> Path:
    """Generated signals only, and three generated recordings in the tuning list's place."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "index.json").write_text('{"datasets": []}')
    stretches = [stretch_of(series(seed), CONFIG) for seed in (1, 2, 3)]
    monkeypatch.setattr(curve, "tuning_stretches", lambda *_: stretches)
    return folder


def share(model: Sanderling) -> float:
    return macs(model.config)["total"] / macs(CONFIG)["total"]


def test_stages_chain_and_the_others_get_their_steps_and_shape(base, data, tmp_path):
    """gradual-50 starts from gradual-70; what it is compared with has the MACs and steps of both stages."""
    seen: list[tuple[int, int]] = []
    curve_ = Curve(base, tmp_path / "out", SHARES, data, lambda step, steps, _: seen.append((step, steps)))
    last = curve_.model("gradual-50")
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)] * 2
    first = curve_.model("gradual-70")
    assert len(seen) == 8, "the first stage was made on the way"
    assert share(last) <= 0.5 < share(first) <= 0.7
    smaller = zip(last.config.ffn + last.config.n_heads, first.config.ffn + first.config.n_heads, strict=True)
    assert all(a <= b for a, b in smaller) and last.config.d_model <= first.config.d_model
    seen.clear()
    assert share(curve_.model("one_shot")) <= 0.5
    assert curve_.model("scratch_distilled").config == last.config
    assert seen == [(k, 8) for k in range(1, 9)] * 2
    assert curve_.model("scratch").config == last.config
    assert not list((tmp_path / "out").glob("*/*.pt")), "a finished row keeps no checkpoint"


def test_end_to_end_resumes_and_refuses_other_options(base, data, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    command = [str(base), "-o", str(out), "--data", str(data), "--rows", "base", "--threads", "1"]
    command += ["--steps", "8", "--batch", "1", "--length", "1536", "--held-out", "2"]
    assert main(command) == 0
    text = (out / "curve.md").read_text()
    assert text in capsys.readouterr().out and "| base |" in text
    rows = json.loads((out / "curve.json").read_text())["rows"]
    assert [row["row"] for row in rows] == ["base"]
    assert rows[0]["of_base"] == 1 and rows[0]["macs"] == macs(CONFIG)["total"]
    for row in rows:
        assert row["file_bytes"] == (out / row["row"] / "model.gguf").stat().st_size
        assert row["spearman"] > 0.9 and abs(row["int8_difference"][0]) < 0.1
        assert set(row["kept_back"]) == {"float", "int8_engine", "int8_layers_row", "int8_layers_static"}
    assert (out / "curve.png").stat().st_size > 1000
    monkeypatch.setattr(curve, "quantised_steps", None)  # a finished row is not measured again
    assert main(command) == 0
    assert (out / "curve.md").read_text() == text
    assert main([*command, "--lr", "0.1"]) == 2
    assert "use another folder" in capsys.readouterr().err


def test_mistakes_end_in_one_line(base, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("SANDERLING_DATA", raising=False)
    for arguments, message in (
        ([str(base), "-o", str(tmp_path)], "--data: expected a folder"),
        ([str(tmp_path / "none"), "-o", str(tmp_path), "--data", str(tmp_path)], "found no such file"),
    ):
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1


def test_a_share_below_the_floors_becomes_the_least(base, data, tmp_path):
    low = CurveOptions(steps=2, shares=(0.01,), compared=0.01, batch=1, length=1536, held_out=1)
    curve_ = Curve(base, tmp_path / "out", low, data, lambda *_: None)
    assert share(curve_.model("gradual-1")) == pytest.approx(least_share(CONFIG))


def test_a_stage_cuts_from_where_its_student_is():
    """Shares fall from the start to the target; a cut never asks for more than is there."""
    shares = list(PruneOptions(start=0.5, target=0.3, steps=40, events=4).cuts().values())
    assert shares == sorted(shares, reverse=True) and shares[0] < 0.5 and shares[-1] == pytest.approx(0.3)
    small = Sanderling(CONFIG.replace(d_model=64))
    run = Run(Sanderling(CONFIG), PruneOptions(target=share(small), steps=1), SIGNALS.training(8), student=small)
    assert run.share == share(small)
    run.cut(run.options.target)
    assert run.plan == [] and run.student.config == small.config


def result(row: str, macs_share: float, vus: list[float], int8: list[float], ranks: float = 0.995) -> dict:
    """A measured row with these VUS-PR on three series of one set."""

    def rows(found: list[float]) -> list[dict]:
        return [{"set": "s", "name": str(i), "vus_pr": v, "auc_pr": v, "spearman": ranks} for i, v in enumerate(found)]

    figures = {"auc_pr": 0.4, "auc_roc": 0.8, "spearman_to_pruned": 0.99, "anomalous_error": 0.01}
    kinds = ("float", "int8_engine", "int8_layers_row", "int8_layers_static")
    return {
        "row": row,
        **{"macs": int(1000 * macs_share), "macs_share": macs_share, "weights": 10, "file_bytes": 20, "config": {}},
        "kept_back": {kind: figures for kind in kinds},
        "tuning": {"float": rows(vus), "network": rows(vus), "int8": rows(int8)},
    }


def test_the_words_follow_the_figures():
    exact = [0.50, 0.40, 0.60]
    good = [
        result("base", 1.0, exact, exact),
        result("gradual-20", 0.2, exact, [0.505, 0.40, 0.60]),
        result("scratch", 0.2, [0.40, 0.31, 0.50], exact),
        result("one_shot", 0.2, [0.51, 0.39, 0.60], exact),
    ]
    content = summary(good, 0.2)
    bars, int8, scratch, one_shot = statements(content["rows"], content["compared"])
    assert "keep 100.0%" in bars and "is reached" in bars
    assert "+0.0017" in int8 and int8.count(": reached") == 2
    assert "behind gradual" in scratch and "not distinguishable" in one_shot
    table = markdown({**content, "options": vars(CurveOptions()), "series": 3, "windows": 4})
    assert "**-0.097" in table and "static (NNCF)" in table

    worse = result("gradual-20", 0.2, [0.40, 0.3, 0.5], [0.30, 0.3, 0.5], 0.9)
    bad = [good[0], worse, result("scratch", 0.2, exact, exact)]
    content = summary(bad, 0.2)
    bars, int8, scratch = statements(content["rows"], content["compared"])
    assert "**not reached**" in bars and int8.count("**not reached**") == 2 and "ahead of" in scratch
    assert summary(good[:1], 0.2)["compared"] is None
