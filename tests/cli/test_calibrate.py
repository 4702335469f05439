"""`sanderling calibrate`: the file it writes is the one that Python writes."""

import numpy as np
import pytest

from sanderling import Detector
from tests.cli.conftest import csv_text, pump_signal


@pytest.fixture
def normal(tmp_path):
    path = tmp_path / "normal.csv"
    path.write_text(csv_text(pump_signal(600)))
    return path


def test_same_bytes_as_from_python(sanderling, model_path, normal, tmp_path) -> None:
    done = sanderling("calibrate", normal, "-o", "pump.gguf", "-m", model_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "calibrated on 600 samples, 2 channel(s), robust scaling" in done.stdout and "per day" in done.stdout
    Detector.load(model_path).fit(pump_signal(600), period_s=0.5).save(tmp_path / "python.gguf")
    assert (tmp_path / "pump.gguf").read_bytes() == (tmp_path / "python.gguf").read_bytes()


def test_options_are_stored(sanderling, model_path, normal, tmp_path) -> None:
    options = ["--scaling", "standard", "--false-alarms", "4", "--period", "2", "--columns", "flow"]
    assert sanderling("calibrate", normal, "-o", "p.gguf", "-m", model_path, *options).returncode == 0
    info = Detector.load(tmp_path / "p.gguf").info
    wanted = {"scaling": "standard", "false_alarms": 4.0, "period_s": 2.0, "channels": 1, "reference_samples": 600}
    assert {key: info[key] for key in wanted} == wanted


def test_unknown_period_is_said(sanderling, model_path, tmp_path) -> None:
    np.save(tmp_path / "n.npy", pump_signal(300))
    assert "per 10,000 samples" in sanderling("calibrate", "n.npy", "-o", "p.gguf", "-m", model_path).stdout


def test_a_short_reference(sanderling, model_path, tmp_path) -> None:
    (tmp_path / "short.csv").write_text(csv_text(pump_signal(255)))
    done = sanderling("calibrate", "short.csv", "-o", "p.gguf", "-m", model_path)
    assert done.returncode == 2 and "255" in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "p.gguf").exists()


def test_an_output_is_required(sanderling, normal) -> None:
    done = sanderling("calibrate", normal)
    assert done.returncode == 2 and "--output" in done.stderr and done.stderr.count("\n") == 1


def test_an_output_that_cannot_be_written(sanderling, model_path, normal) -> None:
    done = sanderling("calibrate", normal, "-o", "absent/p.gguf", "-m", model_path)
    assert done.returncode == 2 and "absent/p.gguf" in done.stderr and done.stderr.count("\n") == 1
