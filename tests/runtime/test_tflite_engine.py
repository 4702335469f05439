"""Exported .tflite files score as the torch module, on both runtimes, on this machine and on aarch64."""

import shutil
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert")
pytest.importorskip("torch")

from sanderling.export.network import TorchEngine  # noqa: E402
from sanderling.export.reading import read_native  # noqa: E402

import sanderling  # noqa: E402
from sanderling.errors import DependencyError, FormatError, InputError, ShapeError  # noqa: E402
from sanderling.runtime import tflite_engine  # noqa: E402
from sanderling.runtime.graph_model import GraphModel  # noqa: E402
from tests.helpers import tflite  # noqa: E402
from tests.helpers.graphs import recording  # noqa: E402
from tests.helpers.tflite_worker import scored as scored_here  # noqa: E402

SAMPLES = 1100  # 137 patches and a tail: two blocks, steps, a patch that is padded
X = {"one": recording(SAMPLES, 1), "two": recording(SAMPLES, 2)}
WAYS = ("cold", "stream", "calibrated")
# Largest difference from the FP32 torch module. INT8 weights on the native grid are the same weights.
FP32, ON_GRID, DYNAMIC = 1e-4, 5e-3, 0.05
# (file, where it runs) -> bound
RUNS = {
    ("fp32", "litert"): FP32,
    ("fp32", "tflite-runtime"): FP32,
    ("litert", "litert"): DYNAMIC,
    ("tflite-runtime", "litert"): ON_GRID,
    ("tflite-runtime", "tflite-runtime"): ON_GRID,
}
ARM = " on aarch64"


def by_torch(model):
    """WAYS -> scores of the torch module."""
    x = X[model]
    cold = GraphModel(TorchEngine(read_native(tflite.files() / model / "model.gguf")))
    fitted = cold.calibrate(x[: len(x) // 2], False, 1.0, 0.0, 0.0)
    scores = scored_here(cold, x, len(x))
    return {"cold": scores, "stream": scores, "calibrated": scored_here(fitted, x, len(x))}


@pytest.fixture(scope="module")
def expected():
    return {model: by_torch(model) for model in X}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """(model, place) -> the worker's arrays, each made once."""
    made = {}

    def get(model, place):
        if (model, place) not in made:
            folder = tmp_path_factory.mktemp("tflite")
            names = [name for name, where in RUNS if where == place.removesuffix(ARM)] + ["trap"]
            paths = [tflite.files() / model / f"{name}.tflite" for name in names]
            made[model, place] = tflite.scored(place, paths, folder, x=X[model])
        return made[model, place]

    return get


def check(results, expected, file, bound):
    for way in WAYS:
        a, b = results[f"{file}.{way}"], expected[way]
        assert np.array_equal(np.isnan(a), np.isnan(b)), way
        assert np.nanmax(np.abs(a - b)) < bound, way
        there = np.isfinite(b)
        assert np.corrcoef(a[there], b[there])[0, 1] > 0.99
    assert results[f"{file}.causal"]


@pytest.mark.parametrize("model", X)
@pytest.mark.parametrize(("file", "place"), RUNS)
def test_scores_are_the_torch_module_s(found, expected, model, file, place):
    check(found(model, place), expected[model], file, RUNS[file, place])


@pytest.mark.parametrize("model", [pytest.param("one", marks=pytest.mark.slow), "two"])
@pytest.mark.parametrize(("file", "place"), RUNS)
def test_scores_on_aarch64(found, expected, model, file, place):
    check(found(model, place + ARM), expected[model], file, RUNS[file, place])


@pytest.mark.parametrize("model", X)
def test_tflite_runtime_scores_per_channel_dynamic_weights_wrongly(found, expected, model):
    """Why there are two profiles: no error, and nothing like the scores. LiteRT reads the same file right."""

    def worst(place):
        scores = found(model, place)["trap.cold"]
        return np.nanmax(np.abs(scores - expected[model]["cold"]))

    assert worst("litert") < DYNAMIC
    assert worst("tflite-runtime") > 0.2


def test_a_litert_file_is_refused_on_tflite_runtime(found):
    python = tflite.runtime_python()
    path = tflite.files() / "one" / "litert.tflite"
    script = (
        "import sanderling\n"
        f"try: sanderling.Detector.load({str(path)!r})\n"
        "except sanderling.SanderlingError as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([python, "-c", script], capture_output=True, text=True)
    assert done.stdout.startswith("FormatError expected profile 'tflite-runtime'"), done.stderr[-2000:]
    assert "--profile tflite-runtime" in done.stdout and done.stdout.count("\n") == 1


def test_the_detector_calibrates_saves_and_streams(tmp_path):
    x, path = X["two"], tflite.files() / "two" / "tflite-runtime.tflite"
    native = sanderling.Detector.load(tflite.files() / "two" / "model.gguf")
    detector = sanderling.Detector.load(path, threads=2)
    assert detector.backend == "tflite" and "ai_edge_litert" in detector.backend_reason
    assert detector.info["profile"] == "tflite-runtime" and detector.info["precision"] == "int8"
    assert np.array_equal(np.isnan(detector.decision_function(x)), np.isnan(native.decision_function(x)))
    before = path.read_bytes()
    for reference in (x[:600], x[:900]):  # the second one replaces the first
        detector.fit(reference, scaling="standard")
        native.fit(reference, scaling="standard")
        detector.save(tmp_path / "c.tflite")
        again = sanderling.Detector.load(tmp_path / "c.tflite", backend="tflite")
        assert (again.threshold_, again.channels) == (detector.threshold_, 2)
        assert again.threshold_ == pytest.approx(native.threshold_, rel=0.05)
        assert np.array_equal(again.decision_function(x), detector.decision_function(x), equal_nan=True)
        assert again.info["reference_samples"] == len(reference) and again.info["scaling"] == "standard"
        detector = again
    assert path.read_bytes() == before
    stream = again.stream()
    parts = [stream.update(x[i : i + 33]) for i in range(0, len(x), 33)] + [stream.flush()]
    np.testing.assert_allclose(np.concatenate(parts), again.decision_function(x), atol=FP32)
    assert again.explain(x).channel_scores.shape == x.shape


def test_the_file_s_channels_are_fixed():
    path = tflite.files() / "two" / "fp32.tflite"
    with pytest.raises((InputError, ShapeError), match="2 channel"):
        sanderling.Detector.load(path).decision_function(X["one"])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of a delegate that was never loaded
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threads": 0}, "threads"),
        ({"threads": True}, "threads"),
        ({"providers": []}, "options of"),
        ({"delegates": ["no-such-delegate.so"]}, "delegate library"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(InputError, match=message):
        sanderling.Detector.load(tflite.files() / "one" / "litert.tflite", **options)


def test_options_reach_the_interpreter(monkeypatch):
    module, version, profiles = tflite_engine.runtime()
    given = {}

    class Fake:
        def load_delegate(path, options):
            return path, options

        def Interpreter(**options):  # noqa: N802
            given.update(options)
            return module.Interpreter(model_content=options["model_content"], num_threads=options["num_threads"])

    monkeypatch.setattr(tflite_engine, "runtime", lambda: (Fake, version, profiles))
    own = object()
    delegates = ["gpu.so", ("npu.so", {"precision": "fp16"}), own]
    sanderling.Detector.load(tflite.files() / "one" / "litert.tflite", threads=2, delegates=delegates)
    assert given["num_threads"] == 2
    assert given["experimental_delegates"] == [("gpu.so", None), ("npu.so", {"precision": "fp16"}), own]


def test_no_runtime_names_the_command(monkeypatch):
    monkeypatch.setattr(tflite_engine, "RUNTIMES", (("no_such_package", "no-such-package", ()),))
    with pytest.raises(DependencyError, match=r"pip install 'sanderling\[tflite\]'"):
        tflite_engine.runtime()
    broken = (("sanderling.no_such", "other-package", ()),)
    monkeypatch.setattr(tflite_engine, "find_spec", lambda name: object())
    monkeypatch.setattr(tflite_engine, "RUNTIMES", broken)
    with pytest.raises(DependencyError, match="other-package that does not load"):
        tflite_engine.runtime()


def test_running_needs_neither_torch_nor_the_export(tmp_path):
    path = shutil.copy(tflite.files() / "one" / "litert.tflite", tmp_path / "no-suffix")
    script = (
        "import sys; sys.modules.update(dict.fromkeys(['torch', 'onnx', 'gguf', 'litert_torch', 'sanderling.export']));"
        "import numpy as np, sanderling;"
        f"d = sanderling.Detector.load({str(path)!r}).fit(np.random.default_rng(0).random(600));"
        "print(len(d.decision_function(np.zeros(100))))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "100", done.stderr[-2000:]


def test_profiles_are_those_of_the_runtimes():
    from sanderling.export.tflite import TARGETS

    assert set(TARGETS) == {profile for _, _, profiles in tflite_engine.RUNTIMES for profile in profiles}
    with pytest.raises(FormatError):
        tflite_engine.open_engine(tflite.files() / "one" / "float.graph")  # no document
