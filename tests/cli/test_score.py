"""`sanderling score`: what it prints, what it writes, how it fails."""

import csv
import hashlib
import json
import os
import struct

import numpy as np
import pytest

from sanderling import Detector
from tests.cli.conftest import csv_text, pump_signal

SAMPLES, FAULT = 800, 700


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "pump.csv"
    path.write_text(csv_text(pump_signal(SAMPLES, FAULT)))
    return path


def test_summary(sanderling, pump_path, recording) -> None:
    done = sanderling("score", recording, "--model", pump_path)
    assert (done.returncode, done.stderr) == (0, "")
    first, second, *table = done.stdout.splitlines()
    assert "pump.csv: 800 samples, 2 channel(s), calibrated" in first
    assert "threshold" in second and "alarm(s)" in second
    assert table[0].split()[:5] == ["start", "end", "peak", "score", "channel"]
    assert any("pressure" in line for line in table[1:])


def test_cold_summary_says_so(sanderling, model_path, recording, tmp_path) -> None:
    done = sanderling("score", recording, "--model", model_path)
    assert done.returncode == 0 and "cold" in done.stdout and "first 512 samples" in done.stdout
    short = tmp_path / "short.csv"
    short.write_text(csv_text(pump_signal(20)))
    done = sanderling("score", short, "--model", model_path)
    assert done.returncode == 0 and "no threshold" in done.stdout


def test_json(sanderling, pump_path, recording) -> None:
    done = sanderling("score", recording, "--model", pump_path, "--json", "-")
    result = json.loads(done.stdout)
    scores = Detector.load(pump_path).decision_function(pump_signal(SAMPLES, FAULT))
    assert np.array(result["scores"], np.float32).tobytes() == scores.tobytes()
    assert result["mode"] == "calibrated" and result["period_s"] == 0.5 and result["channels"] == ["flow", "pressure"]
    assert result["model_sha256"] == hashlib.sha256(pump_path.read_bytes()).hexdigest()
    worst = max(result["alarms"], key=lambda alarm: alarm["score"])
    assert worst["channel"] == "pressure" and FAULT - 4 <= worst["peak"] < FAULT + 48
    assert worst["t_start"] == worst["start"] / 2
    assert sum(channel["alarms"] for channel in result["blame"]) == len(result["alarms"])


def test_missing_scores_are_null(sanderling, pump_path, tmp_path) -> None:
    x = pump_signal(200)
    x[50:150] = np.nan
    path = tmp_path / "gap.csv"
    path.write_text(csv_text(x))
    done = sanderling("score", path, "--model", pump_path, "--json", "-")
    result = json.loads(done.stdout, parse_constant=pytest.fail)
    assert result["scores"][100] is None and result["unscored"] == 68  # 100 missing less max_gap
    assert "68 samples have no score" in sanderling("score", path, "--model", pump_path).stdout


def test_files(sanderling, pump_path, recording, tmp_path) -> None:
    done = sanderling("score", recording, "-m", pump_path, "--json", "out.json", "--csv", "out.csv")
    assert done.returncode == 0 and "alarm(s)" in done.stdout
    scores = json.loads((tmp_path / "out.json").read_text())["scores"]
    rows = list(csv.DictReader((tmp_path / "out.csv").open()))
    assert [row["time"] for row in rows[:3]] == ["0.0", "0.5", "1.0"]
    assert np.array([row["score"] for row in rows], np.float32).tolist() == np.array(scores, np.float32).tolist()
    assert {row["label"] for row in rows} == {"0", "1"}


@pytest.mark.parametrize("name", ["out.png", "out.svg"])
def test_plot(sanderling, pump_path, recording, tmp_path, name: str) -> None:
    pytest.importorskip("matplotlib")
    done = sanderling("score", recording, "-m", pump_path, "--plot", name)
    assert (done.returncode, done.stderr) == (0, "")
    magic = {"out.png": b"\x89PNG", "out.svg": b"<?xml"}[name]
    assert (tmp_path / name).read_bytes().startswith(magic)


def test_names_are_drawn_letter_by_letter(sanderling, pump_path, recording, tmp_path) -> None:
    pytest.importorskip("matplotlib")
    header, rows = recording.read_text().split("\n", 1)
    odd = tmp_path / os.fsdecode(b"price $\\frac{$ \xff.csv")  # a formula that is none, a byte that is no UTF-8
    odd.write_text(f"{header.replace(',', ',$x_{$', 1)}\n{rows}")
    done = sanderling("score", odd, "-m", pump_path, "--plot", "x.svg")
    assert done.returncode == 0, done.stderr


def test_a_plot_without_its_package_names_the_extra(sanderling, pump_path, recording, tmp_path) -> None:
    (tmp_path / "hidden" / "matplotlib").mkdir(parents=True)
    (tmp_path / "hidden" / "matplotlib" / "__init__.py").write_text("raise ImportError('hidden')")
    done = sanderling("score", recording, "-m", pump_path, "--plot", "x.png", PYTHONPATH=str(tmp_path / "hidden"))
    assert done.returncode == 2 and "sanderling[plot]" in done.stderr and done.stderr.count("\n") == 1


def test_other_formats_give_the_same_scores(sanderling, pump_path, recording, tmp_path) -> None:
    np.save(tmp_path / "pump.npy", pump_signal(SAMPLES, FAULT))
    np.savez(tmp_path / "pump.npz", values=pump_signal(SAMPLES, FAULT))
    results = [
        json.loads(sanderling("score", tmp_path / f"pump.{suffix}", "-m", pump_path, "--json", "-").stdout)
        for suffix in ("csv", "npy", "npz")
    ]
    assert results[0]["scores"] == results[1]["scores"] == results[2]["scores"]


def test_wav(sanderling, model_path, tmp_path) -> None:
    import wave

    with wave.open(str(tmp_path / "r.wav"), "wb") as file:
        file.setparams((1, 2, 1000, 0, "NONE", ""))
        file.writeframes(b"".join(struct.pack("<h", int(9000 * np.sin(i / 4))) for i in range(700)))
    result = json.loads(sanderling("score", "r.wav", "-m", model_path, "--json", "-").stdout)
    assert result["samples"] == 700 and result["period_s"] == pytest.approx(0.001) and result["mode"] == "cold"


def test_columns_label_and_period(sanderling, model_path, recording) -> None:
    done = sanderling(
        "score", recording, "-m", model_path, "--columns", "pressure", "--label", "flow", "--period", "9", "--json", "-"
    )
    result = json.loads(done.stdout)
    assert result["channels"] == ["pressure"] and result["period_s"] == 9.0


def test_isa(sanderling, pump_path, recording) -> None:
    forced = sanderling("score", recording, "-m", pump_path, "--isa", "reference", "--json", "-")
    by_environment = sanderling("score", recording, "-m", pump_path, "--json", "-", SANDERLING_ISA="reference")
    best = sanderling("score", recording, "-m", pump_path, "--json", "-")
    assert json.loads(forced.stdout)["isa"] == json.loads(by_environment.stdout)["isa"] == "reference"
    assert json.loads(forced.stdout)["scores"] == json.loads(best.stdout)["scores"]


BAD = {
    "empty": ("", "an empty input"),
    "header only": ("time,flow,pressure\n", "a header and nothing after it"),
    "text": ("time,flow,pressure\n0,1,2\n1,oops,2\n", "row 3: expected a number in column 'flow', found 'oops'"),
    "ragged": ("time,flow,pressure\n0,1\n", "row 2: expected 3 columns"),
    "unsorted": ("time,flow,pressure\n1,1,1\n0,1,1\n", "row 3: expected a time not before"),
    "channels": ("flow\n1\n2\n", "expected 2 channel(s)"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_recordings_exit_2_with_one_line(sanderling, pump_path, tmp_path, case: str) -> None:
    text, words = BAD[case]
    (tmp_path / "bad.csv").write_text(text)
    done = sanderling("score", "bad.csv", "-m", pump_path)
    assert done.returncode == 2 and done.stdout == ""
    assert words in done.stderr and done.stderr.startswith("sanderling: ") and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [(["--isa", "mmx"], "found mmx"), (["--model", "absent.gguf"], "found nothing at 'absent.gguf'"),
     (["--model", "pump.csv"], "expected"), (["--columns", "x"], "found 'x'"), (["--columns", "a,,b"], "names like"),
     (["--period", "-1"], "above 0"), (["--period", "x"], "above 0"), (["--bogus"], "--bogus"),
     (["--csv", "absent/out.csv"], "to write absent/out.csv"), (["--json", "absent/out.json"], "to write absent/")],
)  # fmt: skip
def test_bad_options_exit_2_with_one_line(sanderling, pump_path, recording, options: list, words: str) -> None:
    done = sanderling("score", recording, "-m", pump_path, *options)
    assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1


def test_a_missing_recording(sanderling, pump_path) -> None:
    done = sanderling("score", "absent.csv", "-m", pump_path)
    assert done.returncode == 2 and "no such file" in done.stderr


def test_warnings_are_one_line(sanderling, pump_path, tmp_path) -> None:
    (tmp_path / "twice.csv").write_text("time,flow,pressure\n0,1,1\n0,1,1\n")
    done = sanderling("score", "twice.csv", "-m", pump_path)
    assert done.returncode == 0
    assert done.stderr.startswith("sanderling: warning: 1 row(s)") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("option", ["--json", "--csv", "--plot"])
def test_what_cannot_be_written(sanderling, pump_path, recording, tmp_path, option: str) -> None:
    if option == "--plot":
        pytest.importorskip("matplotlib")
    done = sanderling("score", recording, "-m", pump_path, option, tmp_path / "absent" / "out.png")
    assert done.returncode == 2 and "absent" in done.stderr and done.stderr.count("\n") == 1


def test_a_plot_needs_a_suffix(sanderling, pump_path, recording, tmp_path) -> None:
    pytest.importorskip("matplotlib")
    for name in ("picture", "picture.xyz"):
        done = sanderling("score", recording, "-m", pump_path, "--plot", name)
        assert done.returncode == 2 and "expected a picture's suffix" in done.stderr and done.stderr.count("\n") == 1
        assert not list(tmp_path.glob("picture*"))
