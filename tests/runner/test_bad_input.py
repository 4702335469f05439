"""Bad recordings and bad models: a typed one-line error, or the documented behaviour."""

from pathlib import Path

import numpy as np
import pytest

from tests.runner.driver import Run, assert_refused, calibrated, lines_of, scores_of
from tests.runner.recordings import COLD, recording, to_csv

SAMPLES = COLD + 8 * 20


UNUSABLE = {
    b"": "found an empty input",
    b"a,b\n": "found a header and nothing after it",
    b"a,b\n1,2\n3,x\n": "row 3: expected a number in column 'b', found 'x'",
    b"a,b\n1,2\n3\n": "row 3: expected 2 columns",
    b"t,b\n2,1\n1,1\n": "row 3: expected a time not before the previous row's",
    b"t,b\n2,1\nsoon,1\n": "row 3: expected seconds in time column 't', found 'soon'",
    b"t\n2\n": "expected 1 to 1024 channels",
    b"a\n1\x00\n": "row 2: expected text, found a NUL byte",
    b"a\n\xff\n": "row 2: expected UTF-8 text",
    b"a\n" + b"1" * (1 << 20) + b"1\n": "row 2: expected lines of at most 1048576 bytes",
    b"," * 1024 + b"\n": "row 1: expected at most 1024 columns",
    b'a\n"1\n': "row 2: expected a closing quote",
}


@pytest.mark.parametrize(("text", "part"), UNUSABLE.items(), ids=range(len(UNUSABLE)))
def test_unusable_text(run: Run, model: Path, tmp_path: Path, text: bytes, part: str) -> None:
    target = tmp_path / "out.gguf"
    for arguments in ([model], ["--calibrate", "-", "-o", target, model]):
        assert_refused(run(*arguments, text=text), part)
    assert not target.exists()


@pytest.mark.parametrize("text", UNUSABLE, ids=range(len(UNUSABLE)))
def test_python_says_the_same(run: Run, model: Path, tmp_path: Path, text: bytes) -> None:
    sanderling = pytest.importorskip("sanderling")
    file = tmp_path / "bad.csv"
    file.write_bytes(text)
    with pytest.raises(sanderling.SanderlingError) as raised:
        sanderling.read(file)
    ours = run("--input", file, model).stderr.decode().removeprefix("sanderling-run: ").rstrip("\n")
    assert str(raised.value) == f"{file}: {ours}"


def test_rows_before_a_bad_one_are_scored(run: Run, model: Path) -> None:
    text = to_csv(recording(24, 1)) + "x\n"
    result = run("--scores", model, text=text)
    assert result.returncode == 2 and result.stdout.count(b"\n") == 24


@pytest.mark.parametrize("option", ["--time", "--columns", "--label"])
def test_unknown_columns(run: Run, model: Path, option: str) -> None:
    result = run(option, "zz", model, text="a,b\n1,2\n")
    assert_refused(result, "expected one of the columns (a, b), found 'zz'")


def test_column_choice(run: Run, model: Path, tmp_path: Path) -> None:
    x = recording(SAMPLES, 3)
    label = np.zeros((SAMPLES, 1), np.float32)
    every = to_csv(np.hstack([x, label]))
    want = scores_of(run, model, to_csv(x), tmp_path)
    assert np.array_equal(scores_of(run, model, every, tmp_path, "--label", "c3"), want, equal_nan=True)
    assert np.array_equal(scores_of(run, model, every, tmp_path, "--columns", "c0,c1,c2"), want, equal_nan=True)
    assert not np.array_equal(scores_of(run, model, every, tmp_path), want, equal_nan=True)


@pytest.mark.parametrize(
    "dialect",
    [
        lambda t: t.replace(",", ";"),
        lambda t: t.replace(",", "\t"),
        lambda t: "\ufeff" + t.replace("\n", "\r\n"),
        lambda t: t.replace(",", " , ").replace("c0", '"c0"'),
        lambda t: t.split("\n", 1)[1],
    ],
    ids=["semicolon", "tab", "bom-crlf", "blanks-quotes", "no-header"],
)
def test_dialects(run: Run, model: Path, tmp_path: Path, dialect: object) -> None:
    text = to_csv(recording(SAMPLES, 2))
    assert callable(dialect)
    want = scores_of(run, model, text, tmp_path)
    got = scores_of(run, model, dialect(text), tmp_path)
    assert want.tobytes() == got.tobytes()


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("one row", lambda x: x[:1]),
        ("all missing", lambda x: np.full_like(x, np.nan)),
        ("all infinite", lambda x: np.full_like(x, np.inf)),
        ("constant", lambda x: np.ones_like(x)),
        ("1e30", lambda x: np.where(np.arange(len(x))[:, None] == COLD + 40, np.float32(1e30), x)),
        ("missing first", lambda x: np.where(np.arange(len(x))[:, None] < 100, np.nan, x)),
    ],
)
def test_odd_recordings_score(run: Run, model: Path, tmp_path: Path, name: str, make: object) -> None:
    assert callable(make)
    x = make(recording(SAMPLES, 1)).astype(np.float32)
    scores = scores_of(run, model, to_csv(x), tmp_path)
    assert scores.shape == (len(x),) and not np.isinf(scores).any()
    assert not scores[:COLD].any()
    if name in {"all missing", "all infinite"}:
        assert np.isnan(scores[COLD:]).all()
    if name in {"constant", "1e30"}:
        assert not np.isnan(scores).any()


def test_too_short_without_calibration_is_said(run: Run, model: Path) -> None:
    result = run(model, text=to_csv(recording(100, 1)))
    summary = lines_of(result)[-1]
    assert summary["threshold"] is None and summary["scored"] == 0 and summary["cold"] == 100
    assert b"100 samples are fewer than the 512" in result.stderr


def test_reference_too_short(run: Run, model: Path, tmp_path: Path) -> None:
    text = to_csv(recording(255, 1))
    result = run("--calibrate", "-", "-o", tmp_path / "x.gguf", model, text=text)
    assert result.returncode == 2 and b"256" in result.stderr and b"255" in result.stderr


def test_wrong_number_of_channels(run: Run, model: Path, tmp_path: Path) -> None:
    file = calibrated(run, model, tmp_path, 2)
    result = run(file, text=to_csv(recording(64, 3)))
    assert result.returncode == 2 and b"2" in result.stderr and b"3" in result.stderr


def test_unwritable_target(run: Run, model: Path, tmp_path: Path) -> None:
    text = to_csv(recording(300, 1))
    result = run("--calibrate", "-", "-o", tmp_path / "no" / "x.gguf", model, text=text)
    assert_refused(result, "expected")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda b: b"",
        lambda b: b[: len(b) // 2],
        lambda b: b[:-1],
        lambda b: b"GGUX" + b[4:],
        lambda b: b[:4] + b"\x02" + b[5:],
        lambda b: b.replace(b"sanderling.version\x04\x00\x00\x00\x01", b"sanderling.version\x04\x00\x00\x00\x02"),
        lambda b: b.replace(b"sanderling.d_model", b"sanderling.d_modem"),
        lambda b: b + b"\x00",
    ],
    ids=["empty", "half", "a byte short", "magic", "container", "schema", "key", "tail"],
)
def test_spoiled_models(run: Run, model: Path, tmp_path: Path, spoil: object) -> None:
    assert callable(spoil)
    good = model.read_bytes()
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(spoil(good))
    assert bad.read_bytes() != good
    result = run(bad, text=to_csv(recording(64, 1)))
    assert_refused(result, "expected")


def test_unknown_isa(run: Run, model: Path) -> None:
    result = run("--isa", "z80", model, text="1\n")
    assert_refused(result, "z80")
