"""What the attacks on images share: one image, and boards that start from it. See tests/firmware_sim/conftest.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sanderling.export import bundle, minisign
from sanderling.firmware_sim import faults, qemu, sim
from sanderling.firmware_sim.watch import Watched, desktop, score_card

from sanderling.boards import load_board
from tests.firmware_sim.conftest import cache, card, debian, made  # noqa: F401

SAMPLES = 256


@pytest.fixture
def attacked(card, made) -> Callable[[str], sim.Report]:  # noqa: F811
    """Runs a fault on the emulated 4B; the report."""
    carried = bundle.verify(made.bundle, minisign.read_public(made.key))

    def run(fault: str) -> sim.Report:
        board = load_board("rpi4b")
        return sim.run(board, card.path, carried, made.recording, fault=fault, counting=False)

    return run


@pytest.fixture
def used(card, made, tmp_path) -> tuple[Path, Callable[..., Watched]]:  # noqa: F811
    """A card that a board has started from, and a function that starts it again: its lines, scores checked."""
    carried = bundle.verify(made.bundle, minisign.read_public(made.key))
    raw = b"".join(made.recording.read_bytes().splitlines(keepends=True)[: SAMPLES + 1])
    model, sent, own = (tmp_path / name for name in (bundle.MODEL, "sent.csv", "used.img"))
    model.write_bytes(carried.parts[bundle.MODEL])
    sent.write_bytes(raw)
    wanted, board = desktop(model, sent), load_board("rpi4b")

    def start(script: str = "") -> Watched:
        options = qemu.Options(initramfs=sim.start_script(board, script))
        watched = score_card(board, own, tmp_path, options, raw, wanted)
        assert watched.compare(wanted)[0], "the scores are the desktop's whatever the card has lost"
        return watched

    faults.copy(card.path, own)
    start()
    return own, start
