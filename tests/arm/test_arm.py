"""The aarch64 build on emulated processors: kernels, engine and runner, and the scores' bits against this machine's."""

import hashlib
import json
import math
import os
import random
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.programs import ROOT, environment, programs, run_program

# Raspberry Pi 3, 4 and 5; the first two have no dot product extension.
CPUS = {"cortex-a53": "neon", "cortex-a72": "neon", "cortex-a76": "neon_dotprod"}
CHANNELS = (1, 3)
MODEL = ROOT / "python" / "sanderling" / "weights" / "sanderling.gguf"
COLD = 512  # samples that a model without calibration learns from
SAMPLES = COLD + 8 * 24 + 5  # cold, past the attention window of 16 patches, and a tail


def emulated(cpu: str, *command: str) -> list[str]:
    return [environment("SANDERLING_QEMU"), "-cpu", cpu, *command]


def run(command: list[str], stdin: str | None = None, **environ: str) -> str:
    env = {key: value for key, value in os.environ.items() if key != "SANDERLING_ISA"}
    done = subprocess.run(
        command, input=stdin, env={**env, **environ}, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def recording(channels: int, samples: int, fault: bool) -> str:
    """CSV text: sines with noise, gaps, and a burst in one channel when it has a fault."""
    random_ = random.Random(channels)
    lines = [",".join(f"c{c}" for c in range(channels))]
    for i in range(samples):
        row = []
        for c in range(channels):
            value = math.sin(2 * math.pi * i / (25 + 9 * c)) + random_.gauss(0.0, 0.1)
            burst = fault and c == 0 and samples - 60 <= i < samples - 40
            value = value * 6 if burst else value
            row.append("nan" if i % 101 in (50, 51) else repr(value))
        lines.append(",".join(row))
    return "\n".join(lines) + "\n"


def sha256_of_scores(command: list[str], model: Path, text: str, folder: Path) -> tuple[str, str]:
    """The sha256 of the float32 scores that the runner writes, and the instruction set it names."""
    scores = folder / "scores.f32"
    summary = run([*command, str(model), "--scores-bin", str(scores)], text).splitlines()[-1]
    data = scores.read_bytes()
    assert len(data) == 4 * (text.count("\n") - 1)
    assert any(data[4 * COLD :]), "all scores are 0"
    return hashlib.sha256(data).hexdigest(), json.loads(summary)["isa"]


def isas_here(runner: str) -> list[str]:
    names = run([runner, "--list-isa"]).splitlines()
    return [name for name in names if "(" not in name]


@pytest.fixture(scope="session")
def models(tmp_path_factory) -> dict[tuple[str, int], Path]:
    """The shipped model, cold and calibrated for each number of channels, made on this machine."""
    runner = environment("SANDERLING_RUNNER")
    folder = tmp_path_factory.mktemp("models")
    result = {}
    for channels in CHANNELS:
        normal = folder / f"normal{channels}.csv"
        normal.write_text(recording(channels, COLD, fault=False))
        result["cold", channels] = MODEL
        result["calibrated", channels] = folder / f"calibrated{channels}.gguf"
        output = ["-o", str(result["calibrated", channels]), str(MODEL)]
        run([runner, "--calibrate", str(normal), *output])
    return result


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("command", programs("SANDERLING_BUILD_AARCH64", built_only=True))
def test_program(command, cpu, record_property):
    run_program(emulated(cpu, *command), record_property, cpu)


@pytest.mark.parametrize("cpu", CPUS)
def test_sdot_is_illegal_without_dotprod(cpu):
    # Without the signal, a neon fallback on these cores would prove nothing.
    probe = next(Path(environment("SANDERLING_BUILD_AARCH64")).glob("**/sdot_probe"))
    done = subprocess.run(emulated(cpu, str(probe)), capture_output=True)
    assert done.returncode == (0 if CPUS[cpu] == "neon_dotprod" else -signal.SIGILL)


@pytest.mark.parametrize("cpu", CPUS)
def test_selftest(cpu, record_property):
    runner = environment("SANDERLING_RUNNER_ARM")
    output = run(emulated(cpu, runner, "--selftest", str(MODEL)))
    assert output.splitlines()[-1].startswith("selftest passed")
    assert ("neon_dotprod: not on this processor" in output) == (CPUS[cpu] == "neon")
    record_property("isa", f"{CPUS[cpu]} ({cpu})")


@pytest.mark.parametrize("cpu", CPUS)
def test_unsupported_isa_is_refused(cpu, models):
    command = emulated(cpu, environment("SANDERLING_RUNNER_ARM"), str(MODEL))
    env = {**os.environ, "SANDERLING_ISA": "avx2"}
    done = subprocess.run(command, input="a\n1\n", env=env, capture_output=True, text=True)
    assert done.returncode == 2
    assert "avx2" in done.stderr


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("state", ["cold", "calibrated"])
def test_scores_equal_this_machine(state, channels, models, tmp_path, record_property):
    here, arm = environment("SANDERLING_RUNNER"), environment("SANDERLING_RUNNER_ARM")
    model = models[state, channels]
    text = recording(channels, SAMPLES, fault=True)
    hashes = {}
    for isa in isas_here(here):
        hashes[isa], ran = sha256_of_scores([here, "--isa", isa], model, text, tmp_path)
        assert ran == isa
        record_property("isa", f"{isa} (whole recording)")
    for cpu, isa in CPUS.items():
        hashes[cpu], ran = sha256_of_scores(emulated(cpu, arm), model, text, tmp_path)
        assert ran == isa
        record_property("isa", f"{isa} ({cpu}, whole recording)")
    assert len(hashes) >= 5  # a vector tier and the reference here, three processors there
    assert len(set(hashes.values())) == 1, hashes


@pytest.mark.parametrize("cpu", ["cortex-a53", "cortex-a76"])
@pytest.mark.parametrize("channels", CHANNELS)
def test_calibrated_file_equals_this_machine(cpu, channels, models, tmp_path):
    normal = tmp_path / "normal.csv"
    normal.write_text(recording(channels, COLD, fault=False))
    output = tmp_path / "calibrated.gguf"
    runner = environment("SANDERLING_RUNNER_ARM")
    run(emulated(cpu, runner, "--calibrate", str(normal), "-o", str(output), str(MODEL)))
    assert output.read_bytes() == models["calibrated", channels].read_bytes()


def test_runner_is_one_static_file():
    tool = shutil.which("readelf")
    if not tool:
        pytest.skip("readelf is missing; install binutils")
    headers = run([tool, "--program-headers", environment("SANDERLING_RUNNER_ARM")])
    assert "INTERP" not in headers
