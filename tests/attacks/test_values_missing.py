"""NaN, infinities and empty cells: one event at the start of a bad time, one at its end; the scores are Detector's."""

import numpy as np

from sanderling import Detector
from tests.helpers.live import events_of, rows_text, same, scores_in
from tests.helpers.live_fixtures import make_signal

TEXTS = ("nan", "", "NaN", "inf", "-inf", "null", "Infinity")


def test_missing_values(program, pump) -> None:
    x = make_signal(400)
    rows = rows_text(x).splitlines()
    # A short gap with every way of writing it, one good sample in between, then a long one of both channels.
    for i, text in enumerate(TEXTS):
        x[100 + 2 * i, 0] = np.nan
        rows[100 + 2 * i] = text + "," + rows[100 + 2 * i].split(",")[1]
    x[250:300] = np.nan
    rows[250:300] = ["nan,nan"] * 50
    running = program.start(pump, "--live", every_score=True)
    running.send("".join(row + "\n" for row in rows))
    lines = running.finish()
    want = Detector.load(pump).decision_function(x)
    assert np.isnan(want).any() and not np.isnan(want[-64:]).any()
    if program.is_watch:  # its lines are a patch's: the score of the first sample
        want = np.repeat(want[::8], 8)
    assert same(scores_in(lines), want)
    missing, complete = events_of(lines, "missing"), events_of(lines, "complete")
    assert [(e["sample"], e["channels"]) for e in missing] == [(100, "0"), (250, "0, 1")]
    assert [(e["sample"], e["missing"]) for e in complete] == [(112 + 64, 7), (299 + 64, 50)]
    assert lines[-1]["missing"] == 57 and lines[-1]["bad_lines"] == 0


def test_nothing_but_missing_values(program, pump) -> None:
    running = program.start(pump, "--live", every_score=True)
    running.send("nan,inf\n" * 80)
    lines = running.finish()
    assert np.isnan(scores_in(lines)[40:]).all() and len(events_of(lines, "missing")) == 1
    assert lines[-1]["alarms"] == 0 and lines[-1]["missing"] == 80


def test_alarms_around_missing_values_are_the_same(pump, runner_and_watch) -> None:
    """A gap within an alarm splits it at the sample where the score ends, in the middle of a patch."""
    x = make_signal(400, (100, 150, 200, 250, 300))
    for start in (103, 209, 307):
        x[start : start + 40] = np.nan
    said = []
    for program in runner_and_watch:
        running = program.start(pump, "--live")
        running.send(rows_text(x))
        lines = running.finish()
        ended = events_of(lines, "alarm_off")
        said.append([(e["start"], e["end"], np.float32(e["peak"]), e["channel"]) for e in ended])
    assert said[0] == said[1] and len(said[0]) > 1
    assert any((end + 1) % 8 for _, end, _, _ in said[0])
