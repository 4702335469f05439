"""A data partition that lost bits, its superblock, or everything: a detector runs."""

import pytest
from sanderling.firmware_sim import faults

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("fault", ["data-superblock", "data-bit-flips", "data-lost", "boot-unreadable"])
def test_a_fresh_card(fault, attacked):
    assert attacked(fault).equal


@pytest.mark.parametrize("seed", range(3))
def test_a_used_card(seed, used):
    card, start = used
    faults.flip_bits(card, faults.DATA_START, 12 << 20, 400, seed)
    assert start().last("running")
