"""Detection on fake root file systems: every profile is found by its device tree, obstacles are said."""

import json
import struct
from pathlib import Path

import pytest

from sanderling.boards import load_boards
from sanderling.cli.main import main
from sanderling.detect import AT_HWCAP, HWCAP_BITS, detect

WITH_TREE = [board for board in load_boards().values() if board.compatible]
AT_PAGESZ = 6


def root_of(folder: Path, *compatible: str, features: tuple[str, ...] | None = ("asimd",), release: str = "") -> Path:
    tree = folder / "proc" / "device-tree"
    tree.mkdir(parents=True)
    if compatible:
        (tree / "compatible").write_bytes(b"".join(text.encode() + b"\0" for text in compatible))
        (tree / "model").write_bytes(b"Some Board Rev 1.4\0")
    if features is not None:
        (folder / "proc" / "self").mkdir()
        word = sum(1 << HWCAP_BITS[name] for name in features)
        auxv = struct.pack("<QQQQQQ", AT_PAGESZ, 4096, AT_HWCAP, word, 0, 0)
        (folder / "proc" / "self" / "auxv").write_bytes(auxv)
    (folder / "proc" / "meminfo").write_text("MemTotal:        1884160 kB\nMemFree: 1 kB\n")
    (folder / "etc").mkdir()
    (folder / "etc" / "os-release").write_text('NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n')
    if release:
        (folder / "etc" / "nv_tegra_release").write_text(release)
    return folder


@pytest.mark.parametrize("board", WITH_TREE, ids=lambda board: board.id)
def test_every_board_is_known_by_its_device_tree(board, tmp_path) -> None:
    has = ("asimd", "asimddp") if board.isa == "neon_dotprod" else ("asimd",)
    for text in board.compatible:
        folder = tmp_path / text.replace("/", "_")
        folder.mkdir()
        found = detect(root_of(folder, text, "generic,soc", features=has), machine="aarch64", bits=64)
        assert (found.board, found.isa) == (board.id, board.isa)
        assert text in found.reasons[0]


def test_facts_of_the_system(tmp_path) -> None:
    release = "# R32 (release), REVISION: 7.1, GCID: 29818004, BOARD: t210ref, EABI: aarch64\n"
    root = root_of(tmp_path, "nvidia,p3450-0000", "nvidia,tegra210", release=release)
    found = detect(root, machine="aarch64", bits=64)
    assert (found.board, found.jetpack, found.ram_mib) == ("jetson_nano", "4", 1840)
    assert found.system == "Debian GNU/Linux 12 (bookworm)"
    assert found.model == "Some Board Rev 1.4"
    assert any("JetPack 4" in reason for reason in found.reasons)


@pytest.mark.parametrize("machine", ["aarch64", "armv7l"])
def test_a_32_bit_system_is_said(machine, tmp_path) -> None:
    found = detect(root_of(tmp_path, "raspberrypi,4-model-b"), machine=machine, bits=32)
    assert found.isa == ""
    assert any("32-bit system" in reason for reason in found.reasons)


def test_a_kernel_that_hides_the_dot_product_is_said(tmp_path) -> None:
    found = detect(root_of(tmp_path, "raspberrypi,5-model-b"), machine="aarch64", bits=64)
    assert (found.board, found.isa) == ("rpi5", "neon")
    assert any("expects neon_dotprod" in reason for reason in found.reasons)


def test_an_unknown_board_names_what_the_tree_says(tmp_path) -> None:
    found = detect(root_of(tmp_path, "pine64,rock64", features=None), machine="aarch64", bits=64)
    assert (found.board, found.isa) == (None, "neon")
    assert "'pine64,rock64' ('Some Board Rev 1.4')" in found.reasons[0]


CUT = [b"", b"\x10", b"\xff" * 15, struct.pack("<QQ", 0, 0)]


@pytest.mark.parametrize("auxv", CUT, ids=["empty", "one", "cut", "end"])
def test_a_broken_auxiliary_vector_means_neon(auxv, tmp_path) -> None:
    root = root_of(tmp_path, "raspberrypi,5-model-b")
    (root / "proc" / "self" / "auxv").write_bytes(auxv)
    found = detect(root, machine="aarch64", bits=64)
    assert found.isa == "neon"
    assert any("HWCAP could not be read" in reason for reason in found.reasons)


def test_a_hostile_device_tree_is_only_text(tmp_path) -> None:
    root = root_of(tmp_path)
    (root / "proc" / "device-tree" / "compatible").write_bytes(b"\xff\xfe\0" * 40000)
    found = detect(root, machine="aarch64", bits=64)
    assert found.board is None


def test_nothing_readable_is_no_board(tmp_path) -> None:
    found = detect(tmp_path, machine="riscv64", bits=64)
    assert (found.board, found.isa, found.ram_mib) == (None, "reference", 0)
    assert "riscv64" in found.reasons[0]


def test_the_verb_says_why(tmp_path, capsys) -> None:
    root = root_of(tmp_path, "raspberrypi,5-model-b", features=("asimd", "asimddp"))
    assert main(["boards", "detect", "--root", str(root), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    # The machine is the test's own; a desktop with a device tree is what the tree says.
    assert found["board"] == "rpi5"
    assert main(["boards", "detect", "--root", str(root)]) == 0
    assert "raspberrypi,5-model-b" in capsys.readouterr().out
