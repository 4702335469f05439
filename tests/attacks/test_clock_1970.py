"""A board without a clock starts in 1970, and may jump to now or beyond: versions and events are counted, not dated."""

import os
import re

import pytest

from tests.programs import ROOT

TIMES = {"1970": 0, "2038": 1 << 31, "backwards": 86400}


@pytest.mark.parametrize("when", TIMES)
def test_files_of_any_date(board, when) -> None:
    board.update(2)
    for i, path in enumerate(sorted(board.state.rglob("*"))):
        os.utime(path, (TIMES[when] + i, TIMES[when] + i), follow_symlinks=False)
    assert board.version() == 2
    board.install(3)
    path = board.bundle(4)
    os.utime(path, (0, 0))
    assert board.good("next") == {"next": "a"}
    assert board.good("confirm")["active"] == "a"
    assert board.good("install", path)["slot"] == "b"
    numbers = re.findall(rb'"seq": (\d+)', board.slot("history").stdout)
    assert [int(number) for number in numbers] == list(range(1, len(numbers) + 1))


def test_nothing_there_asks_for_the_time() -> None:
    places = ("bundle/*.cpp", "tool/slot*.cpp", "tool/files.cpp")
    files = [path for place in places for path in (ROOT / "csrc").glob(place)]
    assert len(files) > 6
    clocks = r"\b(time|clock_gettime|gettimeofday|localtime|gmtime|st_mtim|st_mtime)\b|chrono"
    assert [path.name for path in files if re.search(clocks, path.read_text())] == []
