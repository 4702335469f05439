"""Boards without a battery start in 1970, others may be far ahead: nothing of ours looks at the date."""

import pytest
from sanderling.firmware_sim import qemu

from sanderling.boards import load_board


def test_every_emulated_start_is_in_1970(card, tmp_path):
    words = qemu.command(load_board("rpi4b"), card.path, tmp_path, qemu.Options())
    assert words[words.index("-rtc") + 1] == "base=1970-01-01"


@pytest.mark.slow
def test_a_clock_far_ahead(attacked):
    assert attacked("clock-2099").equal
