"""`sanderling compress` and `sanderling export`, end to end on the micro size."""

from __future__ import annotations

import json

import pytest

from sanderling.cli.main import main
from sanderling.compress.macs import bytes_native, macs
from sanderling.train.checkpoint import load_weights, save_weights
from tests.compress.models import random_model


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    path = tmp_path_factory.mktemp("base") / "base.safetensors"
    save_weights(path, random_model(), {})
    return path


def compress(base, out, *more):
    options = ("--target", "0.7", "--steps", "6", "--batch", "2", "--length", "1536", "--threads", "1", "--data", "")
    return main(["compress", str(base), "-o", str(out), *options, *more])


def test_compress_then_export(base, tmp_path, capsys):
    """Pruned weights, the report, and one native file whichever way it is made."""
    weights, direct, exported = (tmp_path / n for n in ("p.safetensors", "direct.gguf", "exported.gguf"))
    report_file, folder = tmp_path / "report.json", tmp_path / "run"
    assert compress(base, weights, "--report", str(report_file), "--resume", str(folder)) == 0
    model, metadata = load_weights(weights)
    report = json.loads(report_file.read_text())
    assert report["macs_pruned"] == macs(model.config)["total"] <= 0.7 * report["macs_base"]
    assert set(report["steps"]) >= {"base", "pruned", "int8_engine", "int8_layers_row", "int8_layers_static"}
    for row in report["steps"].values():
        assert 0 <= row["auc_roc"] <= 1 and 0 <= row["auc_pr"] <= 1
    assert metadata["data"] == "generated" and json.loads(metadata["plan"]) == report["plan"]
    table = report_file.with_suffix(".md").read_text()
    assert table in capsys.readouterr().out

    # The finished run's checkpoint is found again: no step is trained twice.
    assert compress(base, direct, "--resume", str(folder)) == 0
    assert main(["export", str(weights), "-o", str(exported)]) == 0
    assert direct.read_bytes() == exported.read_bytes()
    assert exported.stat().st_size >= bytes_native(model.config)


def test_mistakes_end_in_one_line(base, tmp_path, capsys):
    out = str(tmp_path / "x.safetensors")
    for arguments, message in (
        (["compress", str(base), "-o", out, "--target", "0.01", "--data", ""], "target: expected"),
        (["compress", str(base), "-o", str(tmp_path / "x.bin")], "expected a name ending in"),
        (["compress", str(base), "-o", str(base / "x.gguf"), "--data", ""], "found: File exists"),
        (["compress", str(base), "-o", out, "--data", str(tmp_path)], "expected an index of data sets"),
        (["pretrain", "-o", out, "--data", str(base)], "expected an index of data sets"),
        (["compress", str(tmp_path / "none.safetensors"), "-o", out], "found no such file"),
        (["export", str(tmp_path / "none.safetensors"), "-o", out], "found no such file"),
    ):
        assert main(arguments) == 2, arguments
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    for arguments in (["compress", str(base), "-o", out], ["pretrain", "-o", out]):
        for option, value in (("--steps", "0"), ("--batch", "-1"), ("--threads", "-3"), ("--lr", "nan")):
            with pytest.raises(SystemExit, match="2"):
                main([*arguments, option, value])
            assert f"argument {option}: expected a" in capsys.readouterr().err
