"""The aarch64 runner on emulated cortex-a53, cortex-a72 (no dot product) and cortex-a76: x86's bits everywhere."""

import hashlib
from pathlib import Path

import pytest

from tests.runner.driver import Run, calibrated, isas, scores_of
from tests.runner.recordings import COLD, recording, to_csv

DOT_PRODUCT = {"cortex-a76"}
SAMPLES = COLD + 8 * 16 + 3


def test_isas(arm: tuple[str, Run]) -> None:
    cpu, run_arm = arm
    assert isas(run_arm) == (["neon_dotprod"] if cpu in DOT_PRODUCT else []) + ["neon", "reference"]


def test_selftest(arm: tuple[str, Run], model: Path) -> None:
    _, run_arm = arm
    for arguments in ([], [model]):
        result = run_arm("--selftest", *arguments)
        last = result.stdout.decode().splitlines()[-1]
        assert result.returncode == 0 and last == f"selftest passed: ISA {', '.join(isas(run_arm))}"


def test_forcing_a_missing_isa(arm: tuple[str, Run], model: Path) -> None:
    cpu, run_arm = arm
    result = run_arm("--isa", "neon_dotprod", "--selftest")
    assert result.returncode == (0 if cpu in DOT_PRODUCT else 2)


@pytest.mark.parametrize("channels", [1, 3])
def test_scores_and_calibration_equal_x86(
    arm: tuple[str, Run], run: Run, model: Path, tmp_path: Path, channels: int
) -> None:
    _, run_arm = arm
    text = to_csv(recording(SAMPLES, channels))
    host, board = tmp_path / "host", tmp_path / "board"
    host.mkdir()
    board.mkdir()
    ours, theirs = (calibrated(r, model, f, channels) for r, f in ((run, host), (run_arm, board)))
    assert ours.read_bytes() == theirs.read_bytes()
    for file in (model, ours):
        hashes = {hashlib.sha256(scores_of(r, file, text, tmp_path).tobytes()).hexdigest() for r in (run, run_arm)}
        assert len(hashes) == 1
