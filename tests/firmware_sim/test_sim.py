"""`sanderling sim`, as its users have it: an image starts on each emulated board, and scores as this machine does."""

import json

import pytest

from sanderling.cli.main import main


@pytest.fixture
def arguments(cache, made):
    files = ["--bundle", str(made.bundle), "--key", str(made.key), "--recording", str(made.recording)]
    return ["sim", "--cache", str(cache), *files]


def test_rpi3b(arguments, tmp_path, capsys):
    assert main([*arguments, "--board", "rpi3b", "--json", str(tmp_path / "sim.json")]) == 0
    report = json.loads((tmp_path / "sim.json").read_text())
    assert report["equal"] is True and report["scores"] == 1024
    assert report["alarms"] == report["desktop_alarms"] != []
    assert 0 < report["boot_s"] < 60
    assert 10_000 < report["instructions_per_patch"] < 3_000_000
    assert "raspi3b" in report["how"] and report["how"].startswith("emulated")
    assert report["raspberry_boot_chain"] == "never booted on hardware"
    assert [line["event"] for line in report["events"]].count("alarm_on") == len(report["alarms"])
    assert "equal to this machine's" in capsys.readouterr().out


def test_rpi4b(arguments, tmp_path):
    options = ["--board", "rpi4b", "--no-count", "--json", str(tmp_path / "sim.json")]
    assert main([*arguments, *options]) == 0
    report = json.loads((tmp_path / "sim.json").read_text())
    assert report["equal"] is True
    assert report["instructions_per_patch"] is None
    assert "cortex-a72" in report["how"]


@pytest.mark.slow
@pytest.mark.parametrize("board", ["rpi3b_plus", "rpi_zero2w"])
def test_their_relatives(board, arguments, tmp_path):
    assert main([*arguments, "--board", board, "--no-count", "--json", str(tmp_path / "sim.json")]) == 0
    assert json.loads((tmp_path / "sim.json").read_text())["equal"] is True


@pytest.mark.slow
@pytest.mark.parametrize("board", ["rpi3b", "rpi4b"])
def test_instructions_repeat(board, arguments, tmp_path):
    found = []
    for i in range(2):
        assert main([*arguments, "--board", board, "--json", str(tmp_path / f"{i}.json")]) == 0
        found.append(json.loads((tmp_path / f"{i}.json").read_text())["instructions_per_patch"])
    assert found[0] == found[1]
