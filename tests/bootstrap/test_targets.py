"""The table of stages: what a machine must have before the virtual environment is there."""

import sys

from tests.programs import ROOT

sys.path.insert(0, str(ROOT / "scripts" / "bootstrap"))
import targets  # noqa: E402

SYSTEM = "/system/python3"


def test_the_system_s_python_is_not_asked_for_pip(monkeypatch) -> None:
    """Debian's has none; nor has it packages of ours."""
    monkeypatch.setattr(sys, "executable", SYSTEM)
    commands = [command for stages in targets.TARGETS.values() for stage in stages for command in stage.commands()]
    ours = [command for command in commands if command[0] == SYSTEM]
    assert any("venv" in command for command in ours) and any("system.py" in command[1] for command in ours)
    for command in ours:
        assert command[1:3] != ["-m", "pip"]
        assert command[1] == "-m" or '"pip"' not in (ROOT / command[1]).read_text(), command
