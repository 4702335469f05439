"""The same weights in float32 beside INT8: scores, ranks, what the report says of them."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("gguf", reason="the export extra is not installed")

from sanderling.cli.main import main  # noqa: E402
from sanderling.evaluate.float32 import FLOAT32, SPEARMAN, Float32Scorer, float32_lines  # noqa: E402
from sanderling.evaluate.run import evaluate_all  # noqa: E402
from sanderling.evaluate.scorers import DetectorScorer  # noqa: E402
from sanderling.evaluate.series import Series  # noqa: E402


def series(train_end):
    rng = np.random.default_rng(3)
    x = (np.sin(np.arange(1600) / 3) + 0.1 * rng.standard_normal(1600)).astype(np.float32)[:, None]
    x[1200:1230] += 6
    labels = np.zeros(1600, np.uint8)
    labels[1200:1230] = 1
    return Series("s", f"a{train_end}", x, labels, train_end, 1.0)


@pytest.mark.parametrize("mode", ["cold", "calibrated"])
def test_float32_is_near_int8_and_not_the_same(mode):
    int8 = DetectorScorer(None)
    wanted, _, _ = int8.score_series(series(600), mode)
    found, threshold, notes = Float32Scorer(int8).score_series(series(600), mode)
    assert notes["scored"] == mode and threshold is None
    assert 0.99 < notes[SPEARMAN] < 1 and not np.array_equal(found, wanted)


def test_the_report_says_how_the_ranks_agree():
    int8 = DetectorScorer(None)
    results = evaluate_all([series(600), series(100)], {"model": int8, FLOAT32: Float32Scorer(int8)})
    assert [row["scored"] for row in results[FLOAT32]["series"]] == ["calibrated", "cold"]  # 100 samples are too few
    report = {**results["model"], "baselines": {FLOAT32: results[FLOAT32]}}
    ranks = [row[SPEARMAN] for row in results[FLOAT32]["series"]]
    lines = float32_lines(report)
    assert lines[1] == f"s: {np.mean(ranks):.3f} ({min(ranks):.3f})" and "the 2 series" in lines[2]
    assert float32_lines(results["model"]) == []


@pytest.mark.parametrize("other", ["--dynamic", "--hindsight=64", "--mode=adapted", "--false-alarms-check"])
def test_it_stands_alone(other, tmp_path, capsys):
    file = tmp_path / "a.csv"
    file.write_text("value,label\n" + "".join(f"{i % 7},{i // 900}\n" for i in range(1000)))
    assert main(["evaluate", str(file), "--float32", other]) == 2
    assert "expected --float32 with mode cold or calibrated alone" in capsys.readouterr().err
