"""Which series are drawn, and that the pictures hold what they should."""

import numpy as np
import pytest

from sanderling.evaluate import plots
from sanderling.evaluate.baselines import amplitude, random_scores
from sanderling.evaluate.run import evaluate_all
from sanderling.evaluate.series import Series

pytest.importorskip("matplotlib")


def recordings():
    for i in range(3):
        x = np.random.default_rng(i).normal(size=(900, 5)).astype(np.float32)
        x[::50, 1] = np.nan
        labels = np.zeros(900, np.uint8)
        labels[700:720] = i < 2
        x[700:720, 3] += 8
        yield Series("s", f"group/{i}", x, labels, 500, 60.0)


def reported():
    results = evaluate_all(recordings(), {"model": amplitude, "random": random_scores})
    return {**results.pop("model"), "model": "m", "mode": "cold", "sha256": "", "baselines": results}


def ranked(*values):
    rows = [{"set": "s", "name": str(i), "vus_pr": value} for i, value in enumerate(values)]
    return {"sets": {"s": {}}, "series": rows}


@pytest.mark.parametrize(
    ("values", "count", "expected"),
    [
        ((0.5, 0.1, 0.9, 0.3, 0.7), 2, {"1": "worst", "3": "worst", "4": "best", "2": "best"}),
        ((0.5, 0.1, float("nan")), 2, {"1": "worst", "0": "best"}),
        ((0.5,), 1, {"0": "best"}),
        ((0.5, 0.6), 0, {}),
    ],
)
def test_best_and_worst(values, count, expected):
    assert plots.extremes(ranked(*values), count) == {("s", name): kind for name, kind in expected.items()}


def test_pictures_of_sets_and_series(tmp_path):
    report = reported()
    kept = plots.KeptScores(tmp_path)
    items = list(recordings())[:2]
    for item in items:
        kept.put("s", item.name, amplitude(item.x, 500, "calibrated"))
    np.testing.assert_array_equal(kept.get("s", "group/0"), amplitude(items[0].x, 500, "calibrated"))
    files = plots.write_plots(report, items, kept, tmp_path)
    assert [file.name for file in files] == ["sets.png", "s+group%2F0.png", "s+group%2F1.png"]
    from matplotlib.image import imread

    for file in files:
        picture = imread(file)
        # Something is drawn: the darkest colours of lines and letters beside the white ground.
        assert picture.shape[1] > 800 and picture[..., :3].min() < 0.3 and picture[..., :3].max() == 1


def test_names_are_drawn_letter_by_letter(tmp_path):
    report, item = reported(), next(iter(recordings()))
    report["sets"]["$\\frac{$"] = report["sets"]["s"]
    for result in report["baselines"].values():
        result["sets"]["$\\frac{$"] = result["sets"]["s"]
    plots.plot_sets(report, tmp_path / "sets.png")
    named = Series("$x_{$", "a\udcff", item.x, item.labels, 500, 60.0)
    plots.plot_series(named, item.x[:, 0], {"vus_pr": 0.5}, tmp_path / "series.png")


def test_bars_are_the_report(tmp_path, monkeypatch):
    report, drawn = reported(), []
    monkeypatch.setattr(plots, "_save", lambda figure, path: drawn.append(figure))
    plots.plot_sets(report, tmp_path / "sets.png")
    (axis,) = drawn[0].axes
    heights = [bar.get_height() for bar in axis.patches]
    results = (report, report["baselines"]["random"])
    expected = [(result["sets"]["s"]["vus_pr"], result["mean_vus_pr"]) for result in results]
    assert heights == pytest.approx(np.ravel(expected))
    assert [label.get_text() for label in axis.get_xticklabels()] == ["s\nn = 2", "mean"]


def test_the_channel_with_the_anomaly_is_shown(tmp_path, monkeypatch):
    report, drawn = reported(), []
    monkeypatch.setattr(plots, "_save", lambda figure, path: drawn.append(figure))
    item = next(recordings())
    row = {**report["series"][0], "threshold": 4.0}
    plots.plot_series(item, np.arange(900.0), row, tmp_path / "x.png")
    *signals, score = drawn[0].axes
    assert len(signals) == plots.CHANNELS and "channel 3" in [axis.get_ylabel() for axis in signals]
    assert [line.get_label() for line in score.lines] == ["score", "threshold"]
    assert "3 of 5 channels" in signals[0].get_title(loc="left")


def test_names_of_files_differ():
    pairs = [("s", "a/b"), ("s", "a%2Fb"), ("s", "a.b"), ("s.a", "b"), ("s+a", "b"), ("s", "a+b"), ("s", "..")]
    names = {plots.figure_name(*pair) for pair in pairs}
    assert len(names) == len(pairs) and not any("/" in name for name in names)


def test_scores_that_cannot_be_kept(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="expected to make the folder"):
        plots.KeptScores(tmp_path / "file")
