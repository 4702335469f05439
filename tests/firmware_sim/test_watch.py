"""What comes out of a board's port, sorted, and compared with this machine's scores."""

import numpy as np
import pytest
from sanderling.firmware_sim import faults
from sanderling.firmware_sim.watch import Desktop, Watched, desktop, runs

from sanderling.errors import BoardError


class Lines:
    """A board that says what it is told to."""

    def __init__(self, *lines):
        self.lines = list(lines)

    def event(self, timeout_s):
        if not self.lines:
            raise BoardError("expected a line")
        return self.lines.pop(0)

    def send(self, data):
        self.sent = data


def line(i, score, alarm=False):
    return {"i": i, "score": score, "alarm": alarm}


@pytest.mark.parametrize(
    "above, wanted",
    [([], []), ([0, 0], []), ([1, 1], [(0, 1)]), ([0, 1, 0, 1, 1], [(1, 1), (3, 4)])],
)
def test_runs(above, wanted):
    assert runs(np.array(above, bool)) == wanted


def test_equal_means_every_bit():
    wanted = Desktop(np.array([0.1, np.nan, 2], np.float32), [(2, 2)], 1)
    lines = [line(0, 0.100000001), line(1, None), line(2, 2.0, True)]
    watched = Watched()
    watched.feed(Lines(*lines), b"", 3)
    assert watched.compare(wanted) == (True, [(2, 2)])
    watched.scores[0] = float(np.nextafter(np.float32(0.1), np.float32(1)))
    assert not watched.compare(wanted)[0]


@pytest.mark.parametrize("change", [{0: None}, {1: 0.5}])
def test_missing_values_must_agree(change):
    wanted = Desktop(np.array([0.5, np.nan], np.float32), [], 1)
    watched = Watched({0: 0.5, 1: None} | change, {0: False, 1: False})
    assert not watched.compare(wanted)[0]


def test_alarms_must_agree_too():
    wanted = Desktop(np.array([0.5, 0.75], np.float32), [(1, 1)], 1)
    assert not Watched({0: 0.5, 1: 0.75}, {0: False, 1: False}).compare(wanted)[0]


def test_a_detector_that_starts_again_counts_from_zero():
    watched = Watched()
    again = {"event": "running", "note": "slots/a 3"}
    assert watched.wait_for(Lines(line(0, 1.0), again), "running") == "slots/a 3"
    assert watched.scores == {} and watched.last("running") == "slots/a 3" and watched.last("other") == ""


def test_a_boards_error_ends_the_wait():
    with pytest.raises(BoardError, match="expected the board to say 'running', found: no bundle"):
        Watched().wait_for(Lines({"event": "error", "note": "no bundle"}), "running")


def test_the_desktop_scores_whole_patches(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("x\n" + "".join(f"{i % 7}\n" for i in range(605)))
    found = desktop("tiny", path)
    assert len(found.scores) == 605 // found.patch * found.patch


def test_missing_values_in_a_recording():
    raw = faults.FAULTS["missing-values"].samples(b"a,b\n" + b"1,2\n" * 300)
    lines = raw.decode().splitlines()
    assert len(lines) == 301 and lines[7] == "nan,nan" and lines[8] == "1,2" and set(lines[200:240]) == {"nan,nan"}


def test_bits_are_flipped_where_something_is(tmp_path):
    path = tmp_path / "card"
    path.write_bytes(b"\0" * 1000 + b"\xff" * 1000)
    faults.flip_bits(path, 0, 2000, 5)
    raw = path.read_bytes()
    assert raw[:1000] == bytes(1000)
    assert sum(bin(byte ^ 255).count("1") for byte in raw[1000:]) == 5
