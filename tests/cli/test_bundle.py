"""`sanderling bundle`: from a model to a verified folder, and a user's mistakes."""

import json
import shutil
import subprocess

import pytest
from sanderling.export.unit import unit_file

from sanderling.cli.main import main
from tests.export.test_bundle import elf

pytest.importorskip("nacl", reason="PyNaCl is not installed; pip install 'sanderling[sign]'")


@pytest.fixture
def ready(tmp_path, model_path):
    """Keys, a runner and a model in a folder, and the arguments that make the bundle."""
    (tmp_path / "runner").write_bytes(elf())
    assert main(["bundle", "keygen", "-o", str(tmp_path / "pump")]) == 0
    arguments = ["bundle", "create", str(model_path), "-o", str(tmp_path / "pump.bundle"), "--board", "rpi4b"]
    arguments += ["--runner", str(tmp_path / "runner"), "--key", str(tmp_path / "pump.key"), "--version", "2"]
    return tmp_path, [*arguments, "--name", "pump"]


def test_from_model_to_folder(ready, model_path, capsys) -> None:
    folder, create = ready
    public, made = str(folder / "pump.pub"), str(folder / "pump.bundle")
    assert main(create) == 0
    assert main(["bundle", "verify", made, "--key", public]) == 0
    assert "signature and hashes fit" in capsys.readouterr().out
    assert main(["bundle", "inspect", made, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [part["name"] for part in found["parts"]] == ["model.gguf", "sanderling-run", "sanderling.service"]
    assert found["signature"] == "not checked"
    assert main(["bundle", "unpack", made, "--key", public, "-o", str(folder / "out")]) == 0
    assert (folder / "out" / "model.gguf").read_bytes() == model_path.read_bytes()
    assert (folder / "out" / "sanderling-run").stat().st_mode & 0o111
    assert "/etc/sanderling/pump.env" in (folder / "out" / "sanderling.service").read_text()


def test_the_wrong_key_fails_in_every_verb_and_writes_nothing(ready, capsys) -> None:
    folder, create = ready
    assert main(create) == 0
    assert main(["bundle", "keygen", "-o", str(folder / "other")]) == 0
    capsys.readouterr()
    wrong = ["--key", str(folder / "other.pub")]
    assert main(["bundle", "verify", str(folder / "pump.bundle"), *wrong]) == 2
    assert main(["bundle", "unpack", str(folder / "pump.bundle"), *wrong, "-o", str(folder / "out")]) == 2
    assert capsys.readouterr().err.count("expected a signature by key") == 2
    assert not (folder / "out").exists()


def test_mistakes_are_one_line(ready, capsys) -> None:
    folder, create = ready
    for change in (["--board", "rpi4"], ["--board", "x86_64"], ["--key", str(folder / "pump.pub")], ["--version", "0"]):
        assert main([*create, *change]) == 2, change
        assert capsys.readouterr().err.count("\n") == 1
    assert not (folder / "pump.bundle").exists()
    assert main(["bundle", "keygen", "-o", str(folder / "pump")]) == 2
    assert "never overwritten" in capsys.readouterr().err


def test_the_unit_is_hardened(tmp_path) -> None:
    analyse = shutil.which("systemd-analyze")
    if analyse is None:
        pytest.skip("systemd-analyze is not installed")
    path = tmp_path / "sanderling-pump.service"
    path.write_text(unit_file("pump"))
    command = [analyse, "security", "--offline=true", "--threshold=20", "--no-pager", str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr


def test_a_device_without_an_end_is_no_bundle(ready, capsys) -> None:
    folder, create = ready
    key = ["--key", str(folder / "pump.pub")]
    for arguments in (["inspect", "/dev/zero"], ["verify", "/dev/zero", *key]):
        assert main(["bundle", *arguments]) == 2
        assert "/dev/zero: expected a bundle, found no regular file" in capsys.readouterr().err
    assert main([*create, "--runner", "/dev/zero"]) == 2
    assert "/dev/zero: expected a file for the bundle, found no regular one" in capsys.readouterr().err


def test_a_shipped_name_and_a_graph_of_another_runtime(ready, capsys) -> None:
    folder, create = ready
    model = create.index("-o") - 1
    assert main([*create[:model], "tiny", *create[model + 1 :]]) == 0
    assert "tiny is not calibrated" in capsys.readouterr().out
    onnx = folder / "graph.onnx"
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    assert main(["export", "tiny", "-o", str(onnx)]) == 0
    assert main([*create[:model], str(onnx), *create[model + 1 :]]) == 2
    assert "expected a native file, which the runner runs, found one of onnxruntime" in capsys.readouterr().err
