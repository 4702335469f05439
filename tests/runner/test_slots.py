"""`sanderling-run bundle|slot`: two versions, one trial, and always something whole to start."""

import json
from pathlib import Path

import pytest

from tests.helpers.slots import Board
from tests.programs import environment
from tests.runner.driver import assert_refused, runner

pytest.importorskip("nacl", reason="PyNaCl is not installed; pip install 'sanderling[sign]'")


@pytest.fixture
def board(run, program, model, tmp_path) -> Board:
    return Board(run, Path(program), model, tmp_path)


@pytest.fixture
def arm_board(model, tmp_path) -> Board:
    emulator, program = environment("SANDERLING_QEMU"), environment("SANDERLING_RUNNER_ARM")
    a53 = runner([emulator, "-cpu", "cortex-a53", program])
    return Board(a53, Path(program), model, tmp_path / "arm", "rpi3b", emulator)


def test_the_whole_way(board) -> None:
    assert board.install(1) == {"slot": "a", "name": "p", "version": 1, "already_active": False}
    assert board.good("status")["active"] == "" and board.good("next") == {"next": "a"}
    assert board.good("confirm")["active"] == "a"
    assert board.install(2)["slot"] == "b"
    found = board.good("status")
    assert (found["active"], found["trial"], found["starts_left"], found["current"]) == ("a", "b", 3, "a")
    assert board.good("next") == {"next": "b"}
    assert board.good("confirm")["active"] == "b"
    assert board.good("rollback")["active"] == "a"
    assert board.version() == 1
    assert board.events() == ["install", "start", "confirm"] * 2 + ["rollback"]
    assert (board.state / "bin" / "sanderling-run").read_bytes() == board.runner.read_bytes()
    assert not (board.state / "trial").exists()


def test_the_whole_way_on_arm(arm_board, board) -> None:
    path = arm_board.bundle(1)
    done = arm_board.run("bundle", "verify", path, "--key", arm_board.key)
    assert done.returncode == 0 and json.loads(done.stdout)["machine"] == "aarch64"
    assert arm_board.update(1)["active"] == "a"
    arm_board.install(2)
    assert [arm_board.good("next")["next"] for _ in range(4)] == ["b", "b", "b", "a"]
    refused = board.slot("install", path, "--key", arm_board.key)
    assert_refused(refused, "expected a bundle for x86_64, found one for aarch64")


def test_a_version_that_nobody_confirms_runs_out_of_starts(board) -> None:
    board.update(1)
    board.install(2, "--trials", 2)
    assert [board.good("next")["next"] for _ in range(4)] == ["b", "b", "a", "a"]
    found = board.good("status")
    assert (found["active"], found["trial"], found["trial_ended"]) == ("a", "b", True)
    assert board.events()[-1] == "failed"
    assert_refused(board.slot("confirm"), "found one that has ended")
    assert_refused(board.slot("rollback"), "whose trial failed in slot b")
    assert board.good("rollback", "--force")["active"] == "b"


def test_the_last_start_can_be_confirmed(board) -> None:
    board.update(1)
    board.install(2, "--trials", 1)
    assert board.good("next") == {"next": "b"} and board.good("status")["starts_left"] == 0
    assert_refused(board.slot("install", board.bundle(3)), "expected no trial")
    assert board.good("confirm")["active"] == "b"


def test_a_first_version_starts_until_it_is_confirmed(board) -> None:
    board.install(1, "--trials", 1)
    assert [board.good("next")["next"] for _ in range(3)] == ["a"] * 3
    assert board.good("confirm")["active"] == "a"


def test_a_trial_is_ended_by_rolling_back(board) -> None:
    board.update(1)
    board.install(2)
    board.good("next")
    assert_refused(board.slot("install", board.bundle(3)), "confirm it or roll it back first")
    assert board.good("rollback")["trial_ended"] is True
    assert board.version() == 1
    assert board.install(3)["slot"] == "b"


def test_confirming(board) -> None:
    assert_refused(board.slot("confirm"), "found none")
    board.install(1)
    assert_refused(board.slot("confirm"), "found one that has not")
    board.good("next")
    assert board.good("confirm") == board.good("confirm")  # again is fine
    assert_refused(board.slot("rollback"), "found none that is complete")


def test_confirmed_at_once(board) -> None:
    board.install(1, "--confirmed")
    assert board.good("status")["active"] == "a" and board.version() == 1
    board.install(2, "--confirmed")
    assert board.version() == 2 and board.good("rollback")["active"] == "a"


def test_the_same_again(board) -> None:
    path = board.bundle(1)
    board.good("install", path, "--key", board.key, "--confirmed")
    assert board.good("install", path)["already_active"] is True
    assert board.events() == ["install"]


def test_a_failed_selftest_is_status_1_and_changes_nothing(board) -> None:
    board.update(1)
    broken = board.model.read_bytes()[:-64]
    done = board.slot("install", board.bundle(2, model__gguf=broken))
    assert done.returncode == 1 and b"expected the selftest to pass" in done.stderr
    assert b"expected a complete GGUF file" in done.stderr  # the cause, not what the selftest said before it
    found = board.good("status")
    assert (found["active"], found["trial"], found["b_complete"]) == ("a", "", False)
    assert list((board.state / "slots" / "b").iterdir()) == []


@pytest.mark.parametrize("damaged", ["model.gguf", "sanderling-run", "manifest"])
def test_a_damaged_active_slot_gives_way(board, damaged) -> None:
    board.update(1)
    board.update(2)
    path = board.state / "slots" / "b" / damaged
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert board.version() == 1
    assert board.events()[-1] == "fallback"
    assert board.install(3)["slot"] == "a"


@pytest.mark.parametrize("text", ["", "c\n", "b", "ab\n", "\0", "b\n\n", "b 3\n", "x" * 100])
def test_what_is_no_slots_name_counts_as_none(board, text) -> None:
    board.update(1)
    (board.state / "active").write_text(text)
    (board.state / "trial").write_text(text.replace("b 3", "b -3"))
    found = board.good("status")
    assert (found["active"], found["trial"]) == ("", "")
    assert board.version() == 1


def test_a_history_that_was_cut_or_grew(board) -> None:
    board.update(1)
    path = board.state / "history.jsonl"
    whole = path.read_text()
    path.write_text(whole + whole.splitlines()[0] + '{"seq": 4, "eve')
    board.install(2)
    lines = [json.loads(line) for line in board.slot("history").stdout.decode().splitlines()]
    assert [line["event"] for line in lines] == ["install", "start", "confirm", "install"]
    path.write_text(whole * 400)
    board.good("rollback")
    assert len(path.read_text()) < 65536 and board.events()[-1] == "rollback"


def test_where_nothing_can_be_written_the_confirmed_version_starts(board, tmp_path) -> None:
    board.update(1)
    board.install(2)
    # A folder in the place of every file that would be written beside.
    for name in ("trial.tmp", "current.tmp", "history.jsonl.tmp"):
        (board.state / name).mkdir()
    assert board.good("next") == {"next": "a"}
    assert board.good("status")["starts_left"] == 3


def test_nothing_installed(board) -> None:
    assert_refused(board.slot("next"), "expected a complete version, found none")
    assert board.slot("history").stdout == b""
    assert_refused(board.slot("install", board.bundle(1)), "expected a trusted key")


def test_more_trusted_keys(board, tmp_path) -> None:
    more = tmp_path / "more"
    more.mkdir()
    (more / "k.pub").write_bytes(board.key.read_bytes())
    (more / "broken.pub").write_bytes(b"untrusted comment: x\n")
    assert board.good("install", board.bundle(1), "--keys", more)["slot"] == "a"
    assert not (board.state / "keys").exists()


def test_a_key_in_a_confirmed_bundle_signs_the_next(board, tmp_path) -> None:
    from sanderling.export import minisign

    new, path = minisign.generate(), tmp_path / "new.pub"
    minisign.write_public(path, new.public)
    board.update(1)
    assert_refused(board.slot("install", board.bundle(2, secret=new)), "expected a signature by key")
    board.good("install", board.bundle(2, new__pub=path.read_bytes()))
    board.good("next")
    board.good("confirm")
    assert board.good("install", board.bundle(3, secret=new))["slot"] == "a"


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ([], "expected bundle verify|inspect or slot"),
        (["slot"], "found 'no verb'"),
        (["slot", "fly"], "found 'fly'"),
        (["slot", "next"], "expected --state FOLDER"),
        (["slot", "next", "--state", "nowhere"], "expected a state folder, found none"),
        (["slot", "next", "--state"], "expected a value"),
        (["slot", "next", "--state", ".", "--force"], "expected an option of this verb, found '--force'"),
        (["slot", "next", "--state", ".", "extra"], "expected one bundle, where the verb takes one"),
        (["slot", "install", "--state", "."], "expected a bundle's file"),
        (["slot", "install", "b", "--state", ".", "--trials", "0"], "--trials from 1 to 99"),
        (["bundle", "verify", "b"], "expected --key PUBLIC_KEY"),
        (["bundle", "inspect", "nowhere"], "nowhere: expected a readable file"),
        (["bundle", "inspect", "."], "Is a directory"),
    ],
)
def test_the_command_line(run, words, part, tmp_path) -> None:
    assert_refused(run(*(words or ["bundle"]), cwd=tmp_path), part)


def test_board_by_the_device_tree(board, tmp_path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for compatible, found in {
        b"raspberrypi,4-model-b\0brcm,bcm2711\0": "rpi4b",
        b"somebody,else\0raspberrypi,3-model-b\0": "rpi3b",
        b"": "x86_64",
    }.items():
        (tree / "compatible").write_bytes(compatible)
        done = board.run("slot", "status", "--state", board.state, "--device-tree", tree)
        assert json.loads(done.stdout)["board"] == found
