"""The command line's frame: help, version, exit codes, and what it imports."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import sanderling as package
from sanderling.cli import main as cli
from sanderling.cli.registry import VERBS
from sanderling.runtime.isa import isa_names
from tests.cli.conftest import csv_text, pump_signal

HEAVY = ("torch", "nncf", "gguf", "matplotlib", "pyarrow", "onnx")


def test_version_names_the_instruction_sets(sanderling) -> None:
    done = sanderling("--version")
    assert done.returncode == 0 and done.stdout.startswith(f"sanderling {package.__version__} (isa {isa_names()[0]};")
    assert all(name in done.stdout for name in isa_names(supported=False))
    assert "isa reference;" in sanderling("--version", SANDERLING_ISA="reference").stdout
    done = sanderling("--version", SANDERLING_ISA="mmx")
    assert done.returncode == 2 and done.stderr.count("\n") == 1


def test_help_lists_every_verb(sanderling) -> None:
    done = sanderling("--help")
    assert done.returncode == 0 and all(verb in done.stdout for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(sanderling, verb: str) -> None:
    done = sanderling(verb, "--help")
    assert done.returncode == 0 and f"sanderling {verb}" in done.stdout


@pytest.mark.parametrize("arguments", [[], ["fly"], ["score"], ["boards"], ["boards", "show"], ["score", "a", "b"]])
def test_wrong_usage_is_one_line_and_exit_2(sanderling, arguments: list[str]) -> None:
    done = sanderling(*arguments)
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1


def test_boards(sanderling) -> None:
    done = sanderling("boards", "list")
    assert done.returncode == 0 and "rpi4b" in done.stdout and "Cortex-A72" in done.stdout
    boards = json.loads(sanderling("boards", "list", "--json").stdout)
    assert {"rpi_zero2w", "jetson_orin_nx", "x86_64"} <= {board["id"] for board in boards}
    assert "Cortex-A76" in sanderling("boards", "show", "rpi5").stdout
    assert json.loads(sanderling("boards", "show", "rpi5", "--json").stdout)["cores"] == 4
    done = sanderling("boards", "show", "rpi4")
    assert done.returncode == 2 and "did you mean 'rpi4b'" in done.stderr


def test_our_own_mistakes_exit_1_and_hint_at_the_traceback(monkeypatch, capsys) -> None:
    def crash(_: object) -> int:
        raise ZeroDivisionError("one\ntwo")

    monkeypatch.setattr("sanderling.cli.boards.run", crash)
    assert cli.main(["boards", "list"]) == 1
    error = capsys.readouterr().err
    assert "ZeroDivisionError: one two" in error and "--traceback" in error and error.count("\n") == 1
    assert cli.main(["boards", "list", "--traceback"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_paths_that_cannot_be_used_are_named(monkeypatch, capsys) -> None:
    def refuse(_: object) -> int:
        os.mkdir(os.devnull)
        return 0

    monkeypatch.setattr("sanderling.cli.boards.run", refuse)
    assert cli.main(["boards", "list"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"sanderling: expected to use {os.devnull}, found: File exists") and error.count("\n") == 1


def test_the_traceback_of_a_users_mistake(sanderling) -> None:
    done = sanderling("boards", "show", "x", "--traceback")
    assert done.returncode == 2 and "Traceback" in done.stderr


def test_an_interrupt_exits_130(monkeypatch) -> None:
    def interrupt(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("sanderling.cli.boards.run", interrupt)
    assert cli.main(["boards", "list"]) == 130


MISTAKEN = "    try:\n        os.kill(os.getpid(), signal.SIGINT)\n    except KeyboardInterrupt as error:\n"
MISTAKEN += "        raise ImportError('numpy') from error\n"


@pytest.mark.parametrize(
    ("module", "status"), [("argparse", -signal.SIGINT), ("sanderling.cli.score", 130), ("numpy", 130)]
)
def test_an_interrupt_while_modules_load(tmp_path, module: str, status: int) -> None:
    """The module sends it when it is asked for: before main(), in it, and where another package answers wrongly."""
    swallowed = MISTAKEN if module == "numpy" else "    os.kill(os.getpid(), signal.SIGINT)\n"
    finder = f"class Finder:\n  def find_spec(name, *_):\n   if name == {module!r}:\n{swallowed}"
    (tmp_path / "sitecustomize.py").write_text(f"import os, signal, sys\n{finder}\nsys.meta_path.insert(0, Finder)\n")
    path = os.pathsep.join([str(tmp_path), str(Path(package.__file__).parents[1])])
    done = subprocess.run(
        [sys.executable, "-m", "sanderling", "score", "none.csv"],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stdout, done.stderr) == (status, "", "")


@pytest.mark.parametrize(
    "statement",
    ["import sanderling", "import sanderling; sanderling.Detector; sanderling.read; sanderling.load_boards()",
     "from sanderling.cli.main import build_parser; [build_parser(v) for v in ('score', 'calibrate', 'watch', None)]"],
)  # fmt: skip
def test_light_imports(statement: str) -> None:
    script = f"{statement}; import sys; print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_scoring_takes_nothing_heavy(model_path, tmp_path) -> None:
    (tmp_path / "r.csv").write_text("1\n" * 20)
    script = (
        "import sys; from sanderling.cli.main import main; "
        f"assert main(['score', 'r.csv', '-m', {str(model_path)!r}]) == 0; "
        f"print('heavy', sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "heavy []"


# What the shell may have closed, filled up or left without letters.
STREAMS = [
    ("score {recording} -m {model} > /dev/full", "No space left"),
    ("score {recording} -m {model} --json - > /dev/full", "No space left"),
    ("watch --all -m {model} < {recording} > /dev/full", "No space left"),
    ("score {recording} -m {model} >&-", "standard output"),
    ("watch -m {model} <&-", "standard input"),
]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize(("line", "words"), STREAMS)
def test_closed_and_full_streams(model_path, tmp_path, line: str, words: str) -> None:
    (tmp_path / "r.csv").write_text("1\n" * 20)
    command = f"{sys.executable} -m sanderling " + line.format(recording=tmp_path / "r.csv", model=model_path)
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_a_closed_error_stream_spoils_no_output(model_path, tmp_path) -> None:
    (tmp_path / "r.csv").write_text("time,a\n" + "0,1\n" * 20)  # equal times: a warning
    command = f"{sys.executable} -m sanderling score {tmp_path / 'r.csv'} -m {model_path} --json - 2>&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["samples"] == 20


def test_a_terminal_without_the_letters(sanderling, pump_path, tmp_path) -> None:
    text = csv_text(pump_signal(800, 700)).replace("pressure", "druck_\u00fc")
    (tmp_path / "r.csv").write_text(text, encoding="utf-8")
    done = sanderling("score", "r.csv", "-m", pump_path, LC_ALL="C", PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and "druck_\\xfc" in done.stdout and done.stderr == ""


def test_a_name_that_is_too_long(sanderling) -> None:
    done = sanderling("score", "x" * 5000)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "expected names of files, found one that is too long" in done.stderr


def test_little_is_loaded_before_interrupts_are_quiet() -> None:
    folder = Path(package.__file__).parents[1]
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); import sanderling.__main__; print(*sys.modules)"
    # -S: a virtual environment's hooks load what they like.
    found = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert not {"typing", "signal", "enum", "argparse", "numpy"} & set(found.stdout.split())
