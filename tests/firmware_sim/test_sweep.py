"""Power cuts in an update: a sample of the states in every step, all of them in the slow test; losses are seen."""

import shutil
from pathlib import Path

import pytest
from sanderling.firmware_sim.crash import Model, crash_states, record
from sanderling.firmware_sim.sweep import SLOT_STEPS, Workshop, sweep_files, sweep_slots, table

from tests.programs import environment

pytest.importorskip("nacl", reason="PyNaCl is not installed; pip install 'sanderling[sign]'")
if not shutil.which("strace"):
    pytest.skip("strace is not installed; `make test` installs it", allow_module_level=True)
SAMPLE = 29


@pytest.fixture
def shop(tmp_path: Path, model_path: Path) -> Workshop:
    return Workshop(tmp_path, Path(environment("SANDERLING_RUNNER")), model_path, "x86_64")


def check(rows) -> None:
    print(table(rows))
    assert [(row.step, row.first) for row in rows if row.losses] == []
    assert all(row.tried and row.calls for row in rows)


def test_a_sample_of_the_cuts_loses_nothing(shop) -> None:
    rows = [*sweep_slots(shop, SAMPLE), *sweep_files(shop, SAMPLE)]
    check(rows)
    assert len(rows) == len(SLOT_STEPS) + 3


@pytest.mark.slow
def test_no_cut_loses_anything(shop) -> None:
    rows = [*sweep_slots(shop), *sweep_files(shop)]
    check(rows)
    assert all(row.tried == row.states for row in rows) and sum(row.states for row in rows) > 400


@pytest.mark.slow
def test_no_cut_loses_anything_on_arm(tmp_path, model_path) -> None:
    runner, emulator = Path(environment("SANDERLING_RUNNER_ARM")), environment("SANDERLING_QEMU")
    check(sweep_slots(Workshop(tmp_path, runner, model_path, "rpi3b", emulator), SAMPLE))


def contents(folder: Path, script: str, name: str = "f") -> set[bytes | None]:
    """What a file may hold after a power cut in a shell script."""
    model = Model(folder)
    calls = record(["sh", "-c", script], folder)
    return {tree[name].content() if name in tree else None for _, tree in crash_states(model, calls)}


@pytest.mark.parametrize(
    ("script", "may_be"),
    [
        ("echo new > d/f", {b"old\n", b"", b"n", b"ne", b"new\n"}),
        ("echo new > d/g; mv d/g d/f", {b"old\n", b"", b"ne", b"new\n"}),
        ("echo new > d/g; sync d/g; mv d/g d/f", {b"old\n", b"new\n"}),
        ("cat d.new > d/g; sync d/g; mv d/g d/f", {b"old\n", b"new\n"}),
        ("rm d/f", {b"old\n", None}),
        ("rm d/f; sync d", {b"old\n", None}),
    ],
)
def test_the_model_sees_what_careless_writing_loses(script, may_be, tmp_path) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    (folder / "f").write_bytes(b"old\n")
    (tmp_path / "d.new").write_bytes(b"new\n")
    found = contents(folder, script)
    assert found <= may_be and b"old\n" in found
    assert (b"" in found) == (b"" in may_be)
