"""Board profiles: every shipped one is valid and plausible, and what the schema doesn't know is refused."""

import dataclasses

import pytest

from sanderling.boards import SCHEMA, Board, boards_folder, load_board, load_board_file, load_boards, parse_board
from sanderling.errors import BoardError

WANTED = {
    "rpi_zero2w",
    "rpi3b",
    "rpi3b_plus",
    "rpi4b",
    "rpi5",
    "jetson_nano",
    "jetson_xavier_nx",
    "jetson_orin_nano",
    "jetson_orin_nx",
    "qemu_aarch64",
    "x86_64",
}
# Cores with the dot product instructions; a wrong tier would crash the board or waste it.
DOTPROD_CORES = {"Cortex-A76", "Cortex-A78AE"}


def text_of(board_id: str) -> str:
    return (boards_folder() / f"{board_id}.toml").read_text(encoding="utf-8")


def test_all_boards_of_the_design_are_there() -> None:
    assert set(load_boards()) == WANTED


def test_the_schema_is_the_dataclass() -> None:
    assert list(SCHEMA) == [field.name for field in dataclasses.fields(Board)]


def test_dotprod_is_claimed_exactly_where_the_core_has_it() -> None:
    for board in load_boards().values():
        assert (board.isa == "neon_dotprod") == (board.core in DOTPROD_CORES), board.id


def test_emulated_cpu_runs_the_same_tier() -> None:
    for board in load_boards().values():
        if board.isa.startswith("neon"):
            assert (board.qemu["cpu"] == "cortex-a76") == (board.isa == "neon_dotprod"), board.id


def test_device_tree_names_tell_boards_apart() -> None:
    names = [name for board in load_boards().values() for name in board.compatible]
    assert len(names) == len(set(names))


def test_a_shipped_profile_reads_as_written() -> None:
    board = load_board("rpi4b")
    assert (board.core, board.cores, board.l2_kib, board.isa) == ("Cortex-A72", 4, 1024, "neon")
    assert board.compatible == ("raspberrypi,4-model-b",)


def test_unknown_board_names_the_nearest() -> None:
    with pytest.raises(BoardError, match="did you mean 'rpi4b'"):
        load_board("rpi4")


def test_unknown_key_names_the_nearest() -> None:
    with pytest.raises(BoardError, match="'clock_mzh'; did you mean 'clock_mhz'"):
        parse_board(text_of("rpi5").replace("clock_mhz", "clock_mzh"), "rpi5.toml")


@pytest.mark.parametrize("key", list(SCHEMA))
def test_a_missing_key_is_named(key: str) -> None:
    lines = [line for line in text_of("rpi5").splitlines() if not line.startswith(f"{key} =")]
    with pytest.raises(BoardError, match=f"expected the key\\(s\\) {key}"):
        parse_board("\n".join(lines), "rpi5.toml")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cores", "0"),
        ("cores", "true"),
        ("cores", '"4"'),
        ("clock_mhz", "1500.5"),
        ("isa", '"sve"'),
        ("glibc", '"new"'),
        ("glibc", "2.36"),
        ("compatible", '"raspberrypi,5-model-b"'),
        ("compatible", '["a", "a"]'),
        ("compatible", "[1]"),
        ("qemu", '{ cpu = "cortex-a76" }'),
        ("qemu", '{ cpu = "cortex-a76", machine = 3 }'),
        ("flash", '"magic"'),
        ("name", '""'),
    ],
)
def test_a_wrong_value_is_named(key: str, value: str) -> None:
    lines = [f"{key} = {value}" if line.startswith(f"{key} =") else line for line in text_of("rpi5").splitlines()]
    with pytest.raises(BoardError, match=f"for '{key}'"):
        parse_board("\n".join(lines), "rpi5.toml")


def test_broken_toml_is_an_error_of_ours() -> None:
    with pytest.raises(BoardError, match="expected TOML"):
        parse_board("id = ", "x.toml")


def test_the_file_name_is_the_id(tmp_path) -> None:
    path = tmp_path / "other.toml"
    path.write_text(text_of("rpi5"), encoding="utf-8")
    with pytest.raises(BoardError, match="expected the id 'other'"):
        load_board_file(path)


def test_an_unreadable_file_is_an_error_of_ours(tmp_path) -> None:
    with pytest.raises(BoardError, match="readable"):
        load_board_file(tmp_path / "absent.toml")
