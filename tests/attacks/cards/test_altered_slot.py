"""Bits that flip in an installed version: it does not start, a whole version does."""

import pytest
from sanderling.export import bundle, minisign

pytestmark = pytest.mark.slow
BLOCK = 4096


@pytest.mark.parametrize("part", [bundle.MODEL, bundle.RUNNER])
def test_a_bit_of_an_installed_part(part, used, made):
    card, start = used
    wanted = bundle.verify(made.bundle, minisign.read_public(made.key)).parts[part]
    block = wanted[len(wanted) // 2 // BLOCK * BLOCK :][:BLOCK]
    raw = card.read_bytes()
    at = raw.index(block, 97 << 20)  # the data partition's
    with card.open("r+b") as file:
        file.seek(at + 17)
        file.write(bytes([raw[at + 17] ^ 4]))
    watched = start()
    assert watched.last("running").startswith(("/data/slots/b", "/run/state/slots/"))
    assert not any("error" in line.values() for line in watched.events)


def test_a_slot_that_is_whole_starts_as_it_is(used):
    _, start = used
    assert start().last("running").startswith("/data/slots/a")
