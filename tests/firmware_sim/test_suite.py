"""The suite that runs everywhere: here, in user-mode emulation, behind a real sshd; and what it says of a place that
differs. On an emulated board: slow tests."""

import json
from pathlib import Path

import pytest
from sanderling.export import bundle, minisign
from sanderling.firmware_sim import suite

from sanderling.boards import load_board
from sanderling.cli.main import main
from sanderling.deploy.remote import Remote
from sanderling.runtime.detector import Detector
from tests.deploy.conftest import host  # noqa: F401
from tests.programs import environment

BOARD = load_board("rpi4b")


@pytest.fixture(scope="module")
def files(made):
    carried = bundle.verify(made.bundle, minisign.read_public(made.key))
    return suite.make(made, carried, Detector.load("tiny").path, Path(environment("SANDERLING_RUNNER")))


def test_every_place_is_the_same(files, host) -> None:  # noqa: F811
    environment("SANDERLING_QEMU")
    with host.remote() as remote:
        places = {
            "host": lambda: suite.on_this_machine(files),
            "qemu-user": lambda: suite.in_user_mode(files, BOARD),
            host.host: lambda: suite.on_host(files, remote),
        }
        ran = suite.run(places, files, lambda line: None)
    assert suite.equal(ran), suite.table(ran)
    assert [place.how.split(":")[0].split(",")[0] for place in ran] == ["this machine", "emulated", "by SSH"]
    assert "cortex-a72" in ran[1].how and ran[1].tier == "neon" and ran[0].tier == ran[2].tier != "neon"
    hashes = {case: made for case, (_, made) in ran[0].cases.items()}
    assert list(hashes) == list(suite.CASES) and len(set(hashes.values())) > 8
    assert suite.table(ran).count("refused") == 9


def test_a_place_that_differs_is_said(files) -> None:
    """A runner that scores otherwise, one that refuses nothing, and one that is none."""
    native = environment("SANDERLING_RUNNER")
    other = f'#!/bin/sh\ncase "$*" in *recording*|"--scores model.gguf") cat; exit 0;; esac\nexec {native} "$@"\n'
    texts = {"other": other, "mild": f'#!/bin/sh\n{native} "$@" || exit 0\n', "none": "#!/bin/sh\nexit 1\n"}
    ran = []
    for text in texts.values():
        program = suite.Suite(files.files, files.arm, text.encode(), files.desktop)
        ran += suite.run({"host": lambda program=program: suite.on_this_machine(program)}, files, lambda line: None)
    good = suite.on_this_machine(files)
    suite.compare([good, *ran], files.desktop)
    assert good.different == []
    assert ran[0].different == ["lines", "missing-values"]
    assert ran[1].different == ["altered-bundle", "truncated-model", "garbage"]
    assert ran[2].different == list(suite.CASES)
    assert not suite.equal([good, ran[0]]) and "DIFFERENT" in suite.table([good, ran[0]])


def test_a_host_that_is_not_there(files) -> None:
    with Remote("nobody@127.0.0.1", ["-p", "1", "-F", "none"]) as remote:
        places = {"host": lambda: suite.on_this_machine(files), "gone": lambda: suite.on_host(files, remote)}
        ran = suite.run(places, files, lambda line: None)
    assert not suite.equal(ran) and ran[0].different == [] and "expected a connection" in ran[1].why_not
    assert "gone: nobody@127.0.0.1" in suite.table(ran)


@pytest.mark.slow
@pytest.mark.parametrize("board", ["rpi4b", "rpi3b"])
def test_on_an_emulated_board_too(board, cache, made, host, tmp_path) -> None:  # noqa: F811
    arguments = ["--bundle", str(made.bundle), "--key", str(made.key), "--recording", str(made.recording)]
    arguments += ["--cache", str(cache), "--model", "tiny", "--json", str(tmp_path / "suite.json")]
    words = list(host.options)
    options = [f"Port={words[words.index('-p') + 1]}", f"IdentityFile={words[words.index('-i') + 1]}"]
    options += [word.removeprefix("-o") for word in words if word.startswith("-o")]
    arguments += [word for option in options for word in ("--ssh-option", option)]
    assert main(["sim", "--board", board, "--suite", "--host", host.host, *arguments]) == 0
    report = json.loads((tmp_path / "suite.json").read_text())
    assert report["equal"] and [place["name"] for place in report["places"]][:3] == ["host", "qemu-user", "qemu-system"]
    assert all(list(place["cases"]) == report["cases"] for place in report["places"])
