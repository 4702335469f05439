"""Frames in the runner: Python's file and Python's scores, byte for byte, also on emulated ARM processors."""

from pathlib import Path

import numpy as np
import pytest

from sanderling import Detector
from sanderling.runtime.frames import output_names
from tests.runner.driver import Run, assert_refused, lines_of, scores_of
from tests.runner.recordings import to_csv

LENGTH = 16  # samples a frame: the least
PERIOD = "0.0001"
OPTIONS = ("--period", PERIOD, "--frame-ms", "1.6")


def vibration(frames: int, burst: bool = False) -> np.ndarray:
    """float32 (time, 2): noise with gaps, and in channel c1 a burst of six frames near the end."""
    rng = np.random.default_rng(frames)
    x = rng.standard_normal((frames * LENGTH + 5, 2))
    if burst:
        x[-24 * LENGTH : -18 * LENGTH, 1] *= 50
    x[100:103, 0] = x[500:540, 1] = np.nan
    return x.astype(np.float32)


def calibrate(run: Run, model: Path, folder: Path) -> Path:
    target = folder / "framed.gguf"
    done = run("--calibrate", "-", "-o", target, *OPTIONS, model, text=to_csv(vibration(300)))
    assert lines_of(done)[-1]["frame_samples"] == LENGTH
    return target


def test_file_and_scores_equal_pythons(run: Run, model: Path, tmp_path: Path) -> None:
    file = calibrate(run, model, tmp_path)
    detector = Detector.load(model).fit(vibration(300), period_s=float(PERIOD), frame_ms=1.6)
    detector.save(tmp_path / "python.gguf")
    assert file.read_bytes() == (tmp_path / "python.gguf").read_bytes()
    x = vibration(120, burst=True)
    assert scores_of(run, file, to_csv(x), tmp_path).tobytes() == detector.decision_function(x).tobytes()
    cold = Detector.load(model, period_s=float(PERIOD), frame_ms=1.6)
    y = vibration(530)
    assert scores_of(run, model, to_csv(y), tmp_path, *OPTIONS).tobytes() == cold.decision_function(y).tobytes()
    assert run("--selftest", file).returncode == 0


def test_an_alarm_names_the_feature(run: Run, model: Path, tmp_path: Path) -> None:
    *alarms, summary = lines_of(run(calibrate(run, model, tmp_path), text=to_csv(vibration(120, burst=True))))
    assert summary["samples"] == 120 * LENGTH + 5 and summary["cold"] == 0 and len(alarms) == summary["alarms"] > 0
    assert {alarm["channel"] for alarm in alarms} <= set(output_names(("c0", "c1"), LENGTH))


def test_the_time_column_tells_the_rate(run: Run, model: Path, tmp_path: Path) -> None:
    x = vibration(300)[:, :1]
    times = [f"{i / 8000:.7f}" for i in range(len(x))]
    target = tmp_path / "out.gguf"
    done = run("--calibrate", "-", "-o", target, model, text=to_csv(x, times))
    assert_refused(done, "(256 frames)")  # 15 ms at 8 kHz
    done = run("--calibrate", "-", "-o", target, "--frame-ms", "0", model, text=to_csv(x, times))
    assert "frame_samples" not in lines_of(done)[-1]
    done = run("--calibrate", "-", "-o", target, "--frame-ms", "2", model, text=to_csv(x, times))
    assert lines_of(done)[-1]["frame_samples"] == LENGTH
    assert_refused(run("--period", "0.001", target, text=to_csv(x)), "rate of the model's frames")


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "ten", "1e39", ""])
def test_frame_ms_is_checked(run: Run, model: Path, value: str) -> None:
    assert_refused(run("--frame-ms", value, model), "--frame-ms: expected")


def test_arm_equals_this_machine(arm: tuple[str, Run], run: Run, model: Path, tmp_path: Path) -> None:
    _, run_arm = arm
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    ours, theirs = calibrate(run, model, here), calibrate(run_arm, model, there)
    assert ours.read_bytes() == theirs.read_bytes()
    text = to_csv(vibration(120, burst=True))
    assert scores_of(run, ours, text, here).tobytes() == scores_of(run_arm, ours, text, there).tobytes()
