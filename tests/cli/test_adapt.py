"""`sanderling adapt`: an adapted and calibrated file, or one line that says why not."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra (torch)")
pytest.importorskip("gguf", reason="needs the train extra (gguf)")

from sanderling import Detector  # noqa: E402
from tests.cli.conftest import csv_text, pump_signal  # noqa: E402


def test_adapts_and_calibrates(sanderling, model_path, tmp_path) -> None:
    x = pump_signal(1200)
    (tmp_path / "normal.csv").write_text(csv_text(x))
    options = ("--steps", "10", "--threads", "1", "--false-alarms", "4", "-m", model_path)
    done = sanderling("adapt", "normal.csv", "-o", "pump.gguf", *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert "pump.gguf: adapted with" in done.stdout and "calibrated on 1200 samples, 2 channel(s)" in done.stdout
    detector = Detector.load(tmp_path / "pump.gguf")
    assert detector.calibrated and detector.channels == 2 and detector.info["false_alarms"] == 4.0
    plain = Detector.load(model_path).fit(x, period_s=0.5)
    assert not np.array_equal(detector.decision_function(x), plain.decision_function(x))


@pytest.mark.parametrize(
    ("samples", "options", "message"),
    [
        (255, ("--steps", "1"), "255"),
        (300, ("--steps", "0"), "steps"),
        (300, ("--seconds", "0"), "seconds"),
    ],
)
def test_mistakes_end_in_one_line(sanderling, model_path, tmp_path, samples, options, message) -> None:
    (tmp_path / "n.csv").write_text("\n".join(["flow", *(f"{v}" for v in pump_signal(samples)[:, 0])]))
    done = sanderling("adapt", "n.csv", "-o", "p.gguf", "-m", model_path, *options)
    assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "p.gguf").exists()


def test_a_high_rate_recording_is_adapted_on_its_frames(sanderling, model_path, tmp_path) -> None:
    np.save(tmp_path / "n.npy", pump_signal(90_000)[:, :1])  # 9 s at 10 kHz: frames enough to train on and to judge by
    options = ("--period", "0.0001", "--steps", "5", "--threads", "1")
    done = sanderling("adapt", "n.npy", "-o", "p.gguf", "-m", model_path, *options)
    assert done.returncode == 0 and "adapted with" in done.stdout, done.stderr
    detector = Detector.load(tmp_path / "p.gguf")
    assert detector.info["frame_samples"] and detector.channels == 1


def test_too_short_to_adapt_is_calibrated_and_said(sanderling, model_path, tmp_path) -> None:
    x = pump_signal(256)
    np.save(tmp_path / "n.npy", x)
    done = sanderling("adapt", "n.npy", "-o", "p.gguf", "-m", model_path)
    assert done.returncode == 0 and "not adapted" in done.stdout
    plain = Detector.load(model_path).fit(x)
    adapted = Detector.load(tmp_path / "p.gguf")
    assert np.array_equal(adapted.decision_function(x), plain.decision_function(x))
