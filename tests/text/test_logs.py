"""Log mode: a sequence that breaks is seen though every line is known; an unknown text is seen too; files; live."""

import json
import zipfile

import numpy as np
import pytest

pytest.importorskip("drain3", reason="the extra text is not installed")

from sanderling.errors import CalibrationError, FormatError  # noqa: E402
from sanderling.text.logs import LEAST, PARTS, LogDetector, TemplateSignal, load  # noqa: E402
from sanderling.text.templates import UNSEEN, Templates  # noqa: E402

STEPS = ("connect from {}", "login of user {} accepted", "transfer of {} bytes done", "session {} closed")


def log(n: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [STEPS[i % 4].format(rng.integers(100, 9999)) for i in range(n)]


@pytest.fixture(scope="module")
def detector() -> LogDetector:
    return LogDetector.calibrate(log(1024, 0), None)


def test_templates():
    templates = Templates.mine(log(400, 1))
    assert len(templates.counts) == 4
    assert "<*>" in templates.text(templates.find("connect from 77"))
    assert templates.find("segfault in module nine at address unknown") == UNSEEN and templates.text(UNSEEN) == ""


def test_the_signal_marks_the_break():
    signal = TemplateSignal(Templates.mine(log(400, 1)))
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
        LogDetector.calibrate([*log(LEAST - 1, 0), "", "\x00"], None)


def test_a_lines_template_is_the_most_specific_one():
    templates = Templates([("a", "<*>", "c"), ("a", "b", "<*>"), ("a", "b", "c"), ("<*>", "<*>", "<*>")], {}, {})
    found = [templates.find(line) for line in ("a x c", "a b x", "a b c", "x y z", "a b", "")]
    assert found == [0, 1, 2, 3, UNSEEN, UNSEEN]


def test_the_file_holds_everything(detector, tmp_path):
    detector.save(tmp_path / "a.log")
    again = load(tmp_path / "a.log")
    lines = [*log(100, 4), STEPS[2].format(1), "out of memory"]
    np.testing.assert_array_equal(again.decision_function(lines), detector.decision_function(lines))
    assert again.threshold_ == detector.threshold_
    again.save(tmp_path / "b.log")
    assert (tmp_path / "a.log").read_bytes() == (tmp_path / "b.log").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.log") as file:
        file.extract("text.gguf", tmp_path)
    np.testing.assert_array_equal(
        load(tmp_path / "text.gguf").decision_function(lines), again.text.decision_function(lines)
    )


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"threshold": "none"},
        {"threshold": float("nan")},
        {"scale": {"ranks": [], "start": 0, "excess": 1}},
        {"scale": {"ranks": [1.0], "start": 0, "excess": 0}},
        {"templates": 7},
        {"counts": [[99, 1]]},
        {"counts": [[0, 0]]},
        {"pairs": [[0, 99, 1]]},
        {"pairs": None},
    ],
)
def test_damaged_files_are_refused(detector, tmp_path, change):
    path = tmp_path / "a.log"
    detector.save(path)
    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name) for name in PARTS}
    parts["log.json"] = json.dumps({**json.loads(parts["log.json"]), **change}).encode()
    with zipfile.ZipFile(path, "w") as file:
        for name, data in parts.items():
            file.writestr(name, data)
    with pytest.raises(FormatError, match="calibrate again"):
        load(path)


def test_cut_and_swapped_parts_are_refused(detector, tmp_path):
    path = tmp_path / "a.log"
    detector.save(path)
    data = path.read_bytes()
    for bad in (data[:9], data[: len(data) // 2], data[:-40], data.replace(b"log.json", b"dog.json")):
        path.write_bytes(bad)
        with pytest.raises(FormatError):
            load(path)
    with zipfile.ZipFile(path, "w") as file:
        for name in PARTS:
            file.writestr(name, b"{}")
    with pytest.raises(FormatError):
        load(path)


def test_live_scores_are_the_batchs(detector):
    flood = [STEPS[1].format(1000 + i) for i in range(50)]
    lines = [line.encode() for line in [*log(66, 5), "kernel: Oops", *log(9, 6), *flood]]
    found = list(detector.watch(lines))
    wanted, text = detector.decision_function(lines), detector.text.decision_function(lines)
    assert sorted(line for line, _ in found) == sorted(lines)
    expected = np.where(text > detector.threshold_, text, wanted)
    at_once = [line for line, score in found if line == b"kernel: Oops" and score > detector.threshold_]
    assert len(at_once) == 1
    np.testing.assert_allclose(sorted(score for _, score in found), sorted(expected), rtol=1e-6)
    place = next(i for i, (line, _) in enumerate(found) if line == b"kernel: Oops")
    assert place < 66  # before the others of its patch


def test_any_bytes_are_a_line(detector):
    hostile = [
        b"",
        b"\x00\x00",
        b"\xff\xfe \xc3",
        "\u202e\u05e9\u05dc\u05d5\u05dd \U0001f525".encode(),
        b"x" * (1 << 20),
        b"a " * (1 << 19),
    ]
    scores = detector.decision_function(hostile)
    assert scores.shape == (6,) and np.isfinite(scores).all()
    assert len(list(detector.watch(hostile))) == 6
