"""Log mode: a sequence that breaks is seen though every line is known; an unknown text is seen too."""

import numpy as np
import pytest

pytest.importorskip("drain3", reason="the extra text is not installed")

from sanderling.errors import CalibrationError  # noqa: E402
from sanderling.text.detector import TextDetector  # noqa: E402
from sanderling.text.logs import LEAST, UNSEEN, LogDetector, Templates, TemplateSignal  # noqa: E402

STEPS = ("connect from {}", "login of user {} accepted", "transfer of {} bytes done", "session {} closed")


def log(n: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [STEPS[i % 4].format(rng.integers(100, 9999)) for i in range(n)]


@pytest.fixture(scope="module")
def detector() -> LogDetector:
    lines = log(2 * LEAST, 0)
    return LogDetector.calibrate(lines, TextDetector.calibrate(lines, None))


def test_templates():
    templates = Templates(log(400, 1))
    assert len(templates.counts) == 4
    assert "<*>" in templates.text(templates.find("connect from 77"))
    assert templates.find("segfault in module nine at address unknown") == UNSEEN and templates.text(UNSEEN) == ""


def test_the_signal_marks_the_break():
    signal = TemplateSignal(Templates(log(400, 1)))
    rows = signal.rows([*log(40, 2), STEPS[2].format(7)])
    assert rows.dtype == np.float32
    assert rows[-1, 0] > 2 * rows[8:-1, 0].max()


def test_a_flood_of_known_lines_and_an_unknown_text(detector):
    usual = log(400, 3)
    flood = [*usual, *[STEPS[1].format(i) for i in range(64)]]
    scores = detector.decision_function(flood)
    alone = detector.text.decision_function(flood)
    assert (scores >= alone).all()
    assert scores[400:].max() > detector.threshold_
    assert scores[400:].max() - alone[400:].max() > 1
    strange = detector.decision_function([*usual, "kernel: Oops: 0002 [#1] SMP"])
    assert strange[-1] > detector.threshold_
    assert detector.decision_function([]).shape == (0,)


def test_too_short():
    with pytest.raises(CalibrationError, match=f"at least {LEAST}"):
        LogDetector.calibrate(log(99, 0), TextDetector.calibrate(log(99, 0), None))
