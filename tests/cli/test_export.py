"""`sanderling export` to other runtimes."""

import pytest

from sanderling import Detector

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_onnx_of_a_native_file(sanderling, model_path, tmp_path, precision):
    out = tmp_path / "new" / "m.onnx"
    done = sanderling("export", model_path, "--format", "onnx", "--precision", precision, "-o", out)
    assert (done.returncode, done.stdout.strip()) == (0, str(out)), done.stderr
    detector = Detector.load(out, threads=1)
    assert (detector.info["precision"], detector.info["profile"]) == (precision, "modern")


def test_onnx_of_a_shipped_name_for_jetpack4(sanderling, tmp_path):
    wanted = ("--target", "jetpack4", "--tokens", 1)  # the format by the ending of the name
    done = sanderling("export", "tiny", *wanted, "-o", tmp_path / "t.onnx")
    assert done.returncode == 0, done.stderr
    engine = Detector.load(tmp_path / "t.onnx", threads=1)._model.engine
    assert (engine.metadata["profile"], engine.tokens) == ("jetpack4", (1,))


def test_the_operator_s_model(sanderling, model_path, tmp_path):
    done = sanderling("export", model_path, "--format", "onnx-native", "-o", tmp_path / "new" / "m.onnx")
    assert done.returncode == 0, done.stderr
    shown = sanderling("inspect", tmp_path / "new" / "m.onnx").stdout
    assert "sanderling::Score 1" in shown and "input  x: float32 (samples, channels)" in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--format", "onnx", "--target", "litert"), "expected target modern or jetpack4"),
        (("--format", "onnx", "--tokens", "0"), "expected tokens above 0"),
        (("--format", "onnx-native", "--tokens", "1"), "expected no --tokens with --format onnx-native"),
        (("--precision", "int8"), "expected no --precision with --format native"),
    ],
)
def test_mistakes(sanderling, model_path, tmp_path, arguments, said):
    done = sanderling("export", model_path, *arguments, "-o", tmp_path / "m")
    assert done.returncode == 2 and said in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_no_such_file(sanderling, tmp_path):
    done = sanderling("export", tmp_path / "none.gguf", "--format", "onnx", "-o", tmp_path / "m")
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1, done.stderr
