"""The one-file client: the package's scores without the package, on any Python from 3.6 on."""

import ast
import importlib.util
import json
import math
import os
import stat
import subprocess
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import sanderling
from tests.programs import environment
from tests.runner.recordings import recording

FILE = Path(sanderling.__file__).parent / "client" / "sanderling_client.py"


@pytest.fixture(scope="module")
def client() -> ModuleType:
    """Loaded as a file of its own, as on a board."""
    spec = importlib.util.spec_from_file_location("sanderling_client", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def detector(client, program, model):
    return client.Detector(str(model), runner=program)


def as_lists(x: np.ndarray) -> list[list[float]]:
    return [[float(v) for v in row] for row in x]


def test_it_is_old_python_and_needs_nothing() -> None:
    text = FILE.read_text()
    tree = ast.parse(text, feature_version=(3, 6))
    allowed = {"json", "math", "os", "shutil", "subprocess", "tempfile", "threading"}
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert imported <= allowed and not any(isinstance(node, ast.ImportFrom) for node in ast.walk(tree))
    # Keyword arguments and names that Python 3.6's library lacks.
    assert "capture_output" not in text and "text=True" not in text and ":=" not in text


# A board's: reads rows of numbers, calibrates, scores, streams.
SCRIPT = """
import json, sys
sys.path.insert(0, sys.argv[1])
import sanderling_client
det = sanderling_client.Detector(sys.argv[2], runner=sys.argv[3])
given = json.load(sys.stdin)
det.fit(given["normal"])
with det.stream() as stream:
    scores = stream.update(given["x"]) + stream.flush()
assert scores == det.decision_function(given["x"])
print(json.dumps({"scores": scores, "labels": det.predict(given["x"]), "python": list(sys.version_info[:2])}))
"""


@pytest.mark.parametrize("version", ["3.6", "3.8"])
def test_jetpack_s_pythons_run_it(version, program, model) -> None:
    reference, x = recording(600, 2, seed=1), recording(300, 2, seed=2)
    given = json.dumps({"normal": as_lists(np.nan_to_num(reference)), "x": as_lists(np.nan_to_num(x))})
    # pyenv's programs answer for the versions that this variable names.
    environ = os.environ | {"PYENV_VERSION": version}
    command = [f"python{version}", "-c", SCRIPT, str(FILE.parent), str(model), program]
    try:
        known = subprocess.run([command[0], "--version"], env=environ, capture_output=True).returncode == 0
    except OSError:
        known = False
    if not known:
        pytest.skip(f"no old Python here: {version} is JetPack's")
    done = subprocess.run(command, input=given, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    package = sanderling.Detector.load(model).fit(np.nan_to_num(reference))
    assert ".".join(map(str, found["python"])) == version
    assert np.array_equal(np.array(found["scores"], np.float32), package.decision_function(np.nan_to_num(x)))
    assert found["labels"] == list(package.predict(np.nan_to_num(x)))


@pytest.mark.parametrize("cpu", ["cortex-a53", "cortex-a76"])
def test_it_drives_the_board_s_runner(client, model, tmp_path, cpu) -> None:
    emulator, runner = environment("SANDERLING_QEMU"), environment("SANDERLING_RUNNER_ARM")
    program = tmp_path / "sanderling-run"
    program.write_text(f'#!/bin/sh\nexec "{emulator}" -cpu {cpu} "{runner}" "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    reference, x = recording(600, 2, seed=1), recording(300, 2, seed=2)
    package = sanderling.Detector.load(model).fit(reference)
    detector = client.Detector(str(model), runner=str(program)).fit(as_lists(reference))
    rows = as_lists(x)
    scores = np.array(detector.decision_function(rows), np.float32)
    assert np.array_equal(scores, package.decision_function(x), equal_nan=True)
    with detector.stream() as stream:
        streamed = stream.update(rows) + stream.flush()
    assert np.array_equal(np.array(streamed, np.float32), scores, equal_nan=True)
    detector.save(str(tmp_path / "pump.gguf"))
    package.save(tmp_path / "package.gguf")
    assert (tmp_path / "pump.gguf").read_bytes() == (tmp_path / "package.gguf").read_bytes()


@pytest.mark.parametrize("channels", [1, 3], ids=["one", "several"])
def test_scores_are_the_package_s(detector, model, channels) -> None:
    reference, x = recording(600, channels, seed=1), recording(700, channels, seed=2)
    package = sanderling.Detector.load(model).fit(reference)
    detector.fit(as_lists(reference))
    rows = as_lists(x) if channels > 1 else [row[0] for row in as_lists(x)]
    scores = np.array(detector.decision_function(rows), np.float32)
    assert np.array_equal(scores, package.decision_function(x), equal_nan=True)
    assert detector.predict(rows) == list(package.predict(x))
    assert np.float32(detector.threshold_) == np.float32(package.threshold_)


def test_a_stream_is_the_batch(detector) -> None:
    rows = as_lists(recording(1203, 2, seed=3))
    batch = detector.decision_function(rows)
    with detector.stream() as stream:
        scores = []
        for start in range(0, len(rows), 100):
            scores += stream.update(rows[start : start + 100])
        scores += stream.update([])
        scores += stream.flush()
        assert math.isfinite(stream.threshold)
    assert scores == batch


def test_missing_values_are_the_package_s(detector, model) -> None:
    x = recording(700, 1, seed=4)
    x[600:640] = np.nan
    rows = [None if math.isnan(v) else v for v in x[:, 0]]
    scores = np.array(detector.decision_function(rows), np.float32)
    assert np.array_equal(scores, sanderling.Detector.load(model).decision_function(x), equal_nan=True)
    assert np.isnan(scores).any()


def test_saving_keeps_the_calibration(client, detector, program, tmp_path) -> None:
    target = tmp_path / "pump.gguf"
    detector.fit(as_lists(recording(600, 2, seed=5))).save(str(target))
    again = client.Detector(str(target), runner=program)
    rows = as_lists(recording(300, 2, seed=6))
    assert again.decision_function(rows) == detector.decision_function(rows)
    with pytest.raises(client.SanderlingError, match="expected to write"):
        detector.save(str(tmp_path / "nowhere" / "pump.gguf"))


def test_mistakes_are_one_line(client, detector, program, model, tmp_path) -> None:
    mistakes = [
        lambda: client.Detector(str(model), runner="no-such-runner"),
        lambda: client.Detector(str(tmp_path / "nowhere.gguf"), runner=program),
        lambda: detector.fit([1.0, 2.0]),
        lambda: detector.fit([]),
        lambda: detector.decision_function([[1.0, 2.0], [1.0]]),
        lambda: detector.decision_function([[]]),
        lambda: client.Detector(str(model), runner=program, isa="z80").decision_function([1.0]),
    ]
    for mistake in mistakes:
        with pytest.raises(client.SanderlingError) as raised:
            mistake()
        assert "\n" not in str(raised.value) and "expected" in str(raised.value)
    assert detector.decision_function([]) == []


def test_a_stream_that_has_ended_says_so(client, detector) -> None:
    stream = detector.stream()
    done = stream.update([1.0] * 20)  # what the runner has finished by now: perhaps some
    with pytest.raises(client.SanderlingError, match="expected rows of 1 numbers, found 2"):
        stream.update([[1.0, 2.0]])
    assert len(done) + len(stream.flush()) == 20
    with pytest.raises(client.SanderlingError, match="has ended"):
        stream.update([1.0])
    empty = detector.stream()
    assert empty.flush() == []
