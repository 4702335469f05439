"""Power cuts: what may be on a card is built from a log of writes; the sweep starts a board from each of them."""

import struct

import pytest
from sanderling.export import bundle, minisign
from sanderling.firmware_sim import power, sim

from sanderling.boards import load_board
from sanderling.errors import StorageError


def log(*entries):
    """A log as QEMU writes one: (byte, data, flags)."""
    raw = struct.pack("<QQQI", power.MAGIC, power.VERSION, len(entries), 512).ljust(512, b"\0")
    for at, data, flags in entries:
        raw += struct.pack("<QQQQ", at // 512, len(data) // 512, flags, 0).ljust(512, b"\0") + data
    return raw


BLOCKS = [bytes([i]) * 1024 for i in range(1, 5)]
LOG = log((0, BLOCKS[0], 0), (0, b"", 1), (1024, BLOCKS[1], 0), (2048, BLOCKS[2], 0), (0, b"", 1), (0, BLOCKS[3], 0))


def test_a_log():
    writes = power.parse_log(LOG)
    assert [(w.at, len(w.data), w.flush) for w in writes] == [
        (0, 1024, False),
        (0, 0, True),
        (1024, 1024, False),
        (2048, 1024, False),
        (0, 0, True),
        (0, 1024, False),
    ]
    discarded = power.parse_log(log((512, b"", 4), (0, BLOCKS[0], 2)))
    assert discarded[0].data == b"" and discarded[1].flush
    with pytest.raises(StorageError, match="expected a log of writes"):
        power.parse_log(b"text")


def test_what_a_flush_covered_is_always_kept(tmp_path):
    found = list(power.cuts(power.parse_log(LOG)))
    assert [(cut.flushes, cut.torn) for cut in found] == [(n, torn) for n in range(3) for torn in (False, True)]
    card = tmp_path / "card"
    for cut in found:
        card.write_bytes(bytes(4096))
        power.apply(cut, card)
        raw = card.read_bytes()
        if cut.flushes >= 1 and not (cut.flushes == 2 and cut.torn):
            assert raw[:1024] == BLOCKS[0]
        if cut.flushes == 2:
            assert raw[1024:3072] == BLOCKS[1] + BLOCKS[2]
        if (cut.flushes, cut.torn) == (1, False):
            assert raw[1024:] == bytes(3072)
    torn = [cut for cut in found if cut.torn]
    assert all(len(cut.kept[-1].data) == 512 for cut in torn), "the last write is torn in its middle"


@pytest.fixture
def carried(made):
    return bundle.verify(made.bundle, minisign.read_public(made.key))


@pytest.mark.slow
def test_power_cuts_at_every_flush_of_the_first_start(card, made, carried):
    board = load_board("rpi4b")
    outcomes = power.first_boot(board, card.path, carried, made.recording, sim.start_script(board))
    assert len(outcomes) > 20
    assert [outcome.note for outcome in outcomes if outcome.lost] == []
