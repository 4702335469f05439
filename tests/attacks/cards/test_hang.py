"""A detector that hangs is ended and started again; a board whose guard hangs is restarted by the hardware."""

import pytest
from sanderling.firmware_sim import faults, qemu, sim
from sanderling.firmware_sim.watch import Watched

from sanderling.boards import load_board
from sanderling.errors import BoardError

pytestmark = pytest.mark.slow
STOP_GUARD = """\
confirm_when_healthy() {
  usleep 300000
  for process in $(pidof sanderling-run); do
    grep -q guard "/proc/$process/cmdline" && kill -STOP "$process"
  done
}
"""


def test_a_detector_that_hangs(attacked):
    report = attacked("hung-detector")
    assert report.equal
    assert any("expected a sign of life" in line.get("note", "") for line in report.events)


def test_a_guard_that_hangs(card, tmp_path):
    board = load_board("rpi4b")
    own = faults.copy(card.path, tmp_path / "card.img")
    options = qemu.Options(initramfs=sim.start_script(board, STOP_GUARD))
    with qemu.Machine(qemu.command(board, own, tmp_path, options)) as machine:
        Watched().wait_for(machine, "running")
        # The emulator ends where a board would restart.
        with pytest.raises(BoardError, match="found it stopped"):
            Watched().wait_for(machine, "never", 120.0)
