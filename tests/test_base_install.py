"""The wheel in an environment with numpy alone: it scores and calibrates a recording with the shipped model."""

import json
import subprocess

from tests.programs import environment

SCRIPT = """
import json, sys
import numpy as np
import sanderling

t = np.arange(2000)
x = np.sin(2 * np.pi * t / 50) + 0.05 * np.random.default_rng(0).standard_normal(t.size)
x = x.astype(np.float32)[:, None]
x[1700:1716] += 3.0  # two patches

cold = sanderling.Detector.load().decision_function(x)
det = sanderling.Detector.load().fit(x[:1200])
warm = det.decision_function(x)
det.save(sys.argv[1])
again = sanderling.Detector.load(sys.argv[1]).decision_function(x)
print(json.dumps({
    "cold": [int(cold.size), float(cold[:512].max()), float(cold[512:].max())],
    "peak": int(warm.argmax()),
    "alarms": int(det.predict(x)[1700:1720].sum()),
    "same": bool(np.array_equal(warm, again)),
    "heavy": sorted({"torch", "scipy", "matplotlib", "pandas"} & set(sys.modules)),
}))
"""


def run(*arguments: str) -> str:
    command = [environment("SANDERLING_BASE_PYTHON"), "-I", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_environment_holds_numpy_alone():
    listed = json.loads(run("-m", "pip", "list", "--format=json", "--disable-pip-version-check"))
    names = {package["name"].lower() for package in listed}
    assert names - {"pip", "setuptools", "wheel", "tomli"} == {"numpy", "sanderling"}


def test_scores_and_calibrates(tmp_path):
    result = json.loads(run("-c", SCRIPT, str(tmp_path / "calibrated.gguf")))
    assert result["cold"][0] == 2000
    assert result["cold"][1] == 0.0 and result["cold"][2] > 0.0
    # Smoothing looks back over 4 patches, so the peak may come up to 4 patches after the fault began.
    assert 1696 <= result["peak"] < 1752
    assert result["alarms"] > 0
    assert result["same"]
    assert result["heavy"] == []


def test_console_script_and_import(tmp_path):
    run("-c", "import sanderling, sys; assert 'torch' not in sys.modules")
    assert "score" in run("-m", "sanderling", "--help")
