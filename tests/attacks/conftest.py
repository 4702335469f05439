"""A device behind an sshd for the attacks on deploying, a runner with a state folder for those on it alone, and the
fixtures of tests/helpers/live_fixtures.py for those on live input."""

from pathlib import Path

import pytest

from tests.deploy.conftest import device, host, key, make_bundle, remote, root  # noqa: F401
from tests.helpers.live_fixtures import *  # noqa: F403
from tests.helpers.slots import Board
from tests.programs import environment
from tests.runner.driver import runner as running


@pytest.fixture
def board(model_path, tmp_path) -> Board:
    """Version 1 runs on it."""
    program = environment("SANDERLING_RUNNER")
    found = Board(running([program]), Path(program), model_path, tmp_path / "board")
    found.update(1)
    return found


@pytest.fixture
def unharmed(board):
    """Called after an attack: version 1 starts, nothing is on trial, and a good version 2 still goes in."""

    def check() -> None:
        found = board.good("status")
        assert (found["active"], found["trial"], found["a_version"]) == ("a", "", 1)
        assert board.version() == 1
        assert board.update(2)["active"] == "b"

    return check
