"""sanderling-run: command line, scores, alarms, streaming, calibration, selftest."""

import json
import os
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.runner.driver import Run, assert_refused, calibrated, isas, lines_of, scores_of
from tests.runner.recordings import COLD, recording, to_csv

SAMPLES = COLD + 8 * 40 + 5  # past the cold part, with an incomplete last patch


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype == np.float32 and a.tobytes() == b.tobytes()


def test_help_version_and_isa(run: Run) -> None:
    assert b"sanderling-run --calibrate NORMAL.csv" in run("--help").stdout
    assert run("--version").stdout.startswith(b"sanderling-run ")
    names = run("--list-isa").stdout.decode().splitlines()
    assert names[-1] == "reference" and run("--list-isa").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "expected a model file, found none"),
        (["--nope"], "expected an option, found '--nope'"),
        (["--scores=1", "m"], "expected no value"),
        (["m", "n"], "expected one model file"),
        (["m", "--isa"], "expected a value, found none"),
        (["m", "--period", "0"], "expected a number above 0"),
        (["m", "--period", "1e99x"], "expected a number above 0"),
        (["m", "--false-alarms", "nan"], "expected a number above 0"),
        (["m", "--false-alarms", "1e39"], "expected a number above 0"),
        (["m", "--period", "1e-300"], "expected a number above 0"),
        (["m", "--scaling", "minmax"], "expected robust or standard"),
        (["m", "--columns", "a,,b"], "expected names like a,b"),
        (["--calibrate", "x.csv", "m"], "expected -o OUT.gguf"),
        (["-o", "x", "m"], "expected -o with --calibrate only"),
        (["--calibrate", "x.csv", "--selftest", "-o", "y", "m"], "found two"),
        (["--calibrate", "x.csv", "-o", "y", "--scores", "m"], "calibrate first"),
        (["no-such-model.gguf"], "no-such-model.gguf: expected a readable file"),
        (["--selftest", "--isa", "z80"], "found 'z80' (unknown)"),
    ],
)
def test_mistakes_in_the_command(run: Run, arguments: list[str], part: str) -> None:
    result = run(*arguments)
    assert_refused(result, part)
    assert result.stdout == b""


def test_missing_input_and_folders(run: Run, model: Path, tmp_path: Path) -> None:
    for arguments in (["--input", tmp_path / "none.csv", model], ["--input", tmp_path, model]):
        result = run(*arguments)
        assert_refused(result, "expected a readable file")


@pytest.mark.parametrize("channels", [1, 3])
def test_scores_equal_the_detector(run: Run, model: Path, tmp_path: Path, channels: int) -> None:
    sanderling = pytest.importorskip("sanderling")
    x = recording(SAMPLES, channels)
    cold = scores_of(run, model, to_csv(x), tmp_path)
    assert same_bits(cold, sanderling.Detector.load(model).decision_function(x))
    assert np.ptp(cold[COLD:][np.isfinite(cold[COLD:])]) > 0 and not cold[:COLD].any()
    file = calibrated(run, model, tmp_path, channels)
    warm = scores_of(run, file, to_csv(x), tmp_path)
    assert same_bits(warm, sanderling.Detector.load(file).decision_function(x))
    assert not same_bits(warm, cold)


def test_lines_alarms_and_summary_agree(run: Run, model: Path, tmp_path: Path) -> None:
    # Often enough that a model with random weights alarms too.
    file = calibrated(run, model, tmp_path, 2, "--false-alarms", 500)
    x = recording(SAMPLES, 2)
    times = [f"{i * 0.5:.1f}" for i in range(SAMPLES)]
    times[7] = times[6]
    text = to_csv(x, times)
    scores = scores_of(run, file, text, tmp_path)
    *samples, summary = lines_of(run("--scores", file, text=text))
    threshold = np.float32(summary["threshold"])
    assert [line["i"] for line in samples] == list(range(SAMPLES))
    assert [line["t"] for line in samples] == [float(t) for t in times]
    printed = np.array([np.nan if s["score"] is None else s["score"] for s in samples], np.float32)
    assert np.array_equal(printed, scores, equal_nan=True)
    alarming = np.array([line["alarm"] for line in samples])
    assert np.array_equal(alarming, scores > threshold) and alarming.any() and not alarming.all()

    *alarms, summary_again = lines_of(run(file, text=text))
    assert summary_again == summary
    edges = np.flatnonzero(np.diff(np.concatenate(([0], alarming.astype(np.int8), [0]))))
    assert [(a["start"], a["end"]) for a in alarms] == [
        (int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)
    ]
    for number, alarm in enumerate(alarms, 1):
        start, end = alarm["start"], alarm["end"]
        assert alarm["alarm"] == number and alarm["channel"] in {"c0", "c1"}
        assert np.float32(alarm["peak"]) == scores[start : end + 1].max()
        assert (alarm["t_start"], alarm["t_end"]) == (float(times[start]), float(times[end]))
    nan = int(np.isnan(scores).sum())
    assert summary["samples"] == SAMPLES and summary["nan"] == nan and summary["cold"] == 0
    assert summary["scored"] == SAMPLES - nan and summary["alarms"] == len(alarms)
    assert summary["equal_timestamps"] == 1 and summary["isa"] in isas(run)


def test_every_isa_scores_the_same(run: Run, model: Path, tmp_path: Path) -> None:
    text = to_csv(recording(SAMPLES, 2))
    names = isas(run)
    want = scores_of(run, model, text, tmp_path, "--isa", "reference")
    for name in names:
        assert same_bits(scores_of(run, model, text, tmp_path, "--isa", name), want), name
    environment = {**os.environ, "SANDERLING_ISA": "reference"}
    summary = lines_of(run(model, text=text, env=environment))[-1]
    assert summary["isa"] == "reference"


@pytest.mark.parametrize("scaling", ["robust", "standard"])
@pytest.mark.parametrize("step", [None, 0.1, 60.0])
def test_calibration_writes_the_detectors_bytes(
    run: Run, model: Path, tmp_path: Path, scaling: str, step: float | None
) -> None:
    sanderling = pytest.importorskip("sanderling")
    x = recording(700, 2, seed=9)
    times = None if step is None else [repr(i * step) for i in range(700)]
    source, ours, theirs = (tmp_path / n for n in ("normal.csv", "runner.gguf", "python.gguf"))
    source.write_text(to_csv(x, times))
    options = ("--scaling", scaling, "--false-alarms", "2.5")
    told = lines_of(run("--calibrate", source, "-o", ours, *options, model))[0]
    period = None
    if times is not None:
        steps = np.diff(np.array(times, np.float64))
        period = float(np.float32(np.sort(steps[steps > 0])[(len(steps) - 1) // 2]))
    detector = sanderling.Detector.load(model)
    detector.fit(x, scaling=scaling, false_alarms=2.5, period_s=period).save(theirs)
    assert ours.read_bytes() == theirs.read_bytes()
    assert np.float32(told["threshold"]) == np.float32(detector.threshold_)
    assert told["channels"] == 2 and told["samples"] == 700 and told["scaling"] == scaling


def test_calibration_reads_as_the_python_reader(run: Run, model: Path, tmp_path: Path) -> None:
    sanderling = pytest.importorskip("sanderling")
    times = [f"2024-02-29T23:{i // 60 % 60:02d}:{i % 60:02d}.{i * 7 % 1000:03d}Z" for i in range(700)]
    source, ours, theirs = (tmp_path / n for n in ("normal.csv", "runner.gguf", "python.gguf"))
    source.write_text(to_csv(recording(700, 3, seed=11), times))
    lines_of(run("--calibrate", source, "-o", ours, model))
    sanderling.Detector.load(model).fit(sanderling.read(source)).save(theirs)
    assert ours.read_bytes() == theirs.read_bytes()


def test_period_option_wins(run: Run, model: Path, tmp_path: Path) -> None:
    text = to_csv(recording(300, 1), [str(i) for i in range(300)])
    target = tmp_path / "c.gguf"
    told = lines_of(run("--calibrate", "-", "-o", target, "--period", "0.25", model, text=text))[0]
    assert told["period_s"] == 0.25


def test_lines_come_before_the_input_ends_and_sigterm_is_clean(program: str, model: Path) -> None:
    text = to_csv(recording(17, 1)).encode()
    process = subprocess.Popen([program, "--scores", str(model)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(text)
    process.stdin.flush()
    try:
        # Two complete patches; the 17th sample waits.
        assert [json.loads(process.stdout.readline())["i"] for _ in range(16)] == list(range(16))
    finally:
        process.send_signal(signal.SIGTERM)
    rest = process.stdout.read().splitlines()
    process.stdin.close()
    assert process.wait(timeout=60) == 0
    assert len(rest) == 1 and json.loads(rest[0])["samples"] == 17


def test_a_reader_that_leaves_is_no_error(program: str, model: Path) -> None:
    process = subprocess.Popen(
        [program, "--scores", str(model)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    process.stdout.close()
    process.stdin.write(to_csv(recording(64, 1)).encode())
    process.stdin.close()
    assert process.wait(timeout=60) == 0 and process.stderr.read() == b""
    process.stderr.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_is_told(run: Run, program: str, model: Path) -> None:
    result = run("--scores-bin", "/dev/full", model, text=to_csv(recording(64, 1)))
    assert_refused(result, "/dev/full: expected to write")
    for arguments in (["--help"], ["--version"], ["--list-isa"], ["--selftest"], [model]):
        with open("/dev/full", "wb") as full:
            line = [program, *map(str, arguments)]
            done = subprocess.run(line, input=b"1\n" * 9, stdout=full, stderr=subprocess.PIPE)
        assert_refused(done, "standard output: expected to write")


def test_closed_streams(program: str, model: Path, tmp_path: Path) -> None:
    """A file opened in the place of a closed stream must not get that stream's lines."""
    (tmp_path / "x.csv").write_text(to_csv(recording(64, 1)))
    target = tmp_path / "scores.bin"
    for closed in (">&-", "<&- >&-"):
        line = f"{program} --input {tmp_path / 'x.csv'} --scores-bin {target} {model} {closed}"
        done = subprocess.run(["sh", "-c", line], capture_output=True)
        assert_refused(done, "standard output")
        assert target.stat().st_size == 64 * 4
    done = subprocess.run(["sh", "-c", f"{program} {model} <&-"], capture_output=True)
    assert_refused(done, "input: expected to read")


def test_selftest(run: Run, model: Path, tmp_path: Path) -> None:
    names = isas(run)
    for arguments in ([], [model], [calibrated(run, model, tmp_path, 2)]):
        result = run("--selftest", *arguments)
        lines = result.stdout.decode().splitlines()
        assert result.returncode == 0 and lines[-1] == f"selftest passed: ISA {', '.join(names)}"
        assert sum("scores equal the reference" in line for line in lines) == len(names) * len(arguments)
    only = run("--selftest", "--isa", "reference").stdout.decode().splitlines()
    assert only[-1] == "selftest passed: ISA reference"
