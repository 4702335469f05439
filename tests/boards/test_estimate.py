"""The model of a board: the figures move the right way, and what does not fit is said."""

import dataclasses
import json

import pytest

from sanderling.boards import boards_folder, load_board, load_boards
from sanderling.cli.main import main
from sanderling.errors import InputError
from sanderling.estimate import DRAM_BYTES_PER_S, MACS_PER_CYCLE, SYSTEMS, estimate, estimate_text
from sanderling.runtime.detector import Detector

SHIPPED, TINY = Detector.load().info, Detector.load("tiny").info


def test_every_board_can_be_estimated() -> None:
    for board in load_boards().values():
        assert board.core in MACS_PER_CYCLE and board.core in DRAM_BYTES_PER_S and board.os in SYSTEMS, board.id
        assert estimate(board, SHIPPED).fastest_hz > 0


def test_faster_boards_and_smaller_models_are_faster() -> None:
    order = ["rpi_zero2w", "rpi4b", "rpi5"]
    times = [estimate(load_board(name), SHIPPED).patch_us for name in order]
    assert times == sorted(times, reverse=True)
    board = load_board("rpi4b")
    assert estimate(board, TINY).patch_us < estimate(board, SHIPPED).patch_us
    assert estimate(board, SHIPPED, channels=4).patch_us > 1.2 * estimate(board, SHIPPED).patch_us


def test_macs_are_those_of_the_formula() -> None:
    pytest.importorskip("torch")
    from sanderling.compress.macs import macs
    from sanderling.model.config import ModelConfig

    config = ModelConfig(d_model=368, n_heads=(4, 4, 4, 4), ffn=(128,) * 4)
    exact = macs(config, tokens=4096)["total"]
    assert exact <= estimate(load_board("rpi4b"), SHIPPED).patch_macs <= 1.15 * exact


def test_a_rate_that_cannot_be_followed_is_said() -> None:
    board = load_board("rpi_zero2w")
    slow = estimate(board, SHIPPED)
    within = estimate(board, SHIPPED, rate_hz=slow.fastest_hz * 0.5)
    assert within.load == pytest.approx(0.5) and not any("cannot follow" in note for note in within.notes)
    beyond = estimate(board, SHIPPED, rate_hz=slow.fastest_hz * 2)
    assert beyond.load == pytest.approx(2) and any("cannot follow" in note for note in beyond.notes)


def test_wheels_and_profiles_follow_the_system() -> None:
    pi = estimate(load_board("rpi4b"), SHIPPED)
    tags = ["cp311-cp311-manylinux_2_28_aarch64", "cp313-cp313-manylinux_2_28_aarch64"]
    assert list(pi.wheels.values()) == tags and any("32-bit" in note for note in pi.notes)
    for board, python in (("jetson_nano", "3.6"), ("jetson_xavier_nx", "3.8")):
        old = estimate(load_board(board), SHIPPED)
        assert set(old.wheels.values()) == {""}
        assert any(f"Python {python}): use the static runner" in note for note in old.notes)
    assert estimate(load_board("jetson_nano"), SHIPPED).onnx == "jetpack4"
    orin = estimate(load_board("jetson_orin_nx"), SHIPPED)
    assert (list(orin.wheels.values()), orin.onnx) == (["cp310-cp310-manylinux_2_28_aarch64"], "modern")
    desktop = estimate(load_board("x86_64"), SHIPPED)
    assert set(desktop.wheels.values()) == {""} and not any("32-bit" in note for note in desktop.notes)


def test_a_glibc_below_the_floor_takes_no_wheel() -> None:
    old = dataclasses.replace(load_board("rpi4b"), glibc="2.27")
    assert set(estimate(old, SHIPPED).wheels.values()) == {""}
    assert any("glibc 2.27" in note for note in estimate(old, SHIPPED).notes)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_must_be_one(rate) -> None:
    with pytest.raises(InputError, match="sampling rate above 0"):
        estimate(load_board("rpi4b"), SHIPPED, rate_hz=rate)


def test_channels_must_be_some() -> None:
    with pytest.raises(InputError, match="at least one channel"):
        estimate(load_board("rpi4b"), SHIPPED, channels=0)


def test_the_verb_marks_its_figures(capsys, tmp_path) -> None:
    assert main(["boards", "check", "rpi4b", "--model", "tiny", "--rate", "100", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["board"], found["figures"], found["isa"]) == ("rpi4b", "model", "neon")
    assert main(["boards", "check", "rpi_zero2w", "--rate", "1e9"]) == 0
    out = capsys.readouterr().out
    assert "nothing was measured" in out and "cannot follow" in out
    assert main(["boards", "show", "rpi_zero2w", "--model", "tiny", "--rate", "1e9"]) == 0
    shown = capsys.readouterr().out
    assert "nothing was measured" in shown and "cannot follow" in shown and "l2_kib" in shown and "tiny" in shown
    assert main(["boards", "show", "rpi5", "--rate", "100", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["id"], shown["estimate"]["figures"], shown["estimate"]["isa"]) == ("rpi5", "model", "neon_dotprod")
    mistake = tmp_path / "rpi5.toml"
    mistake.write_text((boards_folder() / "rpi5.toml").read_text().replace("clock_mhz", "clock_mzh"))
    assert main(["boards", "check", str(mistake)]) == 2
    assert "did you mean 'clock_mhz'" in capsys.readouterr().err


def test_a_graph_of_another_runtime_is_refused() -> None:
    info = {key: value for key, value in SHIPPED.items() if key != "weight_bytes"}
    with pytest.raises(InputError, match="expected a native model"):
        estimate(load_board("rpi4b"), info)


def test_a_text_costs_its_tokens_and_the_way_of_the_weights():
    info = {"d_model": 384, "n_layers": 6, "vocabulary": 30522, "positions": 512, "weight_bytes": 23_491_560}
    pi, orin = load_board("rpi4b"), load_board("jetson_orin_nano")
    short, long = (estimate_text(pi, info, tokens) for tokens in (32, 128))
    assert 3.5 < long / short < 4.6  # attention grows faster
    assert estimate_text(orin, info, 128) < long / 3
    # Few tokens: the weights' way from memory is the longer one.
    assert estimate_text(orin, info, 2) == pytest.approx(2 * 10.9e6 / 12e9, rel=0.05)
    with pytest.raises(InputError, match="512 tokens"):
        estimate_text(pi, info, 513)
