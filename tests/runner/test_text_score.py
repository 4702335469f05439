"""`sanderling-run text` with a calibrated detector: the Python module's scores, the same bytes on ARM, mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.runner.driver import Run, assert_refused, lines_of

NORMAL = [f"pump {i % 17} reported {('ready', 'stopped', 'warm')[i % 3]} at {10 + i % 9}:0{i % 6}" for i in range(60)]
LINES = [
    b"pump 3 reported ready at 12:01",
    b"",
    b'kernel panic: "not" \\ syncing \x1b[31m',
    b"\xff\xfe broken \xc3",
    b"nul\0in the middle",
    "\u05e9\u05dc\u05d5\u05dd \u202eabc \U0001f525 \u96fb\u6e90".encode(),
    b"URGENT!!! Call 0800-555-1234 NOW and win $$$",
    b"word " * 60_000,
]


@pytest.fixture(scope="module", params=["encoder", "none"])
def detector_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Calibrated with a small random encoder, and without one."""
    from sanderling.text.detector import TextDetector

    folder, encoder = tmp_path_factory.mktemp("text"), None
    if request.param == "encoder":
        pytest.importorskip("gguf")
        from sanderling.export.bert import write_bert

        from tests.helpers.random_bert import random_bert

        encoder = folder / "tiny.gguf"
        write_bert(encoder, random_bert(), smooth=False)
    TextDetector.calibrate(NORMAL, encoder).export(folder / "detector.gguf")
    return folder / "detector.gguf"


def test_a_line_is_a_text(run: Run, detector_path: Path) -> None:
    from sanderling import _core

    engine = _core.TextScorer.parse(detector_path.read_bytes())
    *rows, summary = lines_of(run("text", detector_path, text=b"\r\n".join(LINES)))
    wanted = engine.score(LINES)
    for i, (row, score) in enumerate(zip(rows, wanted, strict=True)):
        assert row["i"] == i and row["text"] == engine.cleaned(LINES[i]).decode()
        assert row["alarm"] == (score[0] > engine.info()["threshold"])
        nats = [row.get(view, 0.0) for view in ("meaning", "characters", "words", "look")]
        assert [row["score"], *nats] == pytest.approx(score.tolist(), rel=1e-6, abs=1e-6)
    alarms = [row for row in rows if row["alarm"]]
    assert (summary["texts"], summary["alarms"]) == (len(LINES), len(alarms)) and 0 < len(alarms) < len(LINES)
    *only, _ = lines_of(run("text", "--alarms", detector_path, text=b"\n".join(LINES)))
    assert only == alarms


def test_arm_gives_the_same(arm: tuple[str, Run], run: Run, detector_path: Path) -> None:
    data = b"\n".join(LINES[:7])
    device, host = (r("text", detector_path, text=data).stdout.splitlines() for r in (arm[1], run))
    assert device[:-1] == host[:-1] and len(host) == 8


def test_mistakes(run: Run, detector_path: Path, model: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(detector_path.read_bytes()[:-900])
    for arguments, part in [
        ([damaged], "complete GGUF"),
        (["--score", model], "calibrated text detector"),
        (["--alarms", "--tokens", detector_path], "found both"),
        (["--score", "--embeddings", tmp_path / "rows", detector_path], "found both"),
    ]:
        assert_refused(run("text", *arguments, text=b"a"), part)
