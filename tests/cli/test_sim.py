"""`sanderling sim`: a user's mistakes. The boards themselves: tests/firmware_sim/test_sim.py."""

import pytest
from sanderling.firmware_sim import faults

from sanderling.cli.main import main

pytest.importorskip("nacl", reason="PyNaCl is not installed; pip install 'sanderling[sign]'")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--board", "rpi4"], "did you mean 'rpi4b'?"),
        (["--board", "rpi5"], "expected a board that images are for"),
        (["--board", "rpi4b", "--fault", "flood"], "expected a fault among none,"),
        (["--board", "rpi4b", "--bundle", "b"], "expected --bundle, --key and --recording together"),
        (["--board", "rpi4b", "--cache", "none"], "sanderling flash fetch-packages"),
    ],
)
def test_mistakes(arguments, message, capsys):
    assert main(["sim", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_the_faults_are_listed(capsys):
    assert main(["sim", "--board", "rpi4b", "--fault", "list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(faults.FAULTS)
