"""Instruction counts on an emulated ARM machine: the initramfs, the console, and (slow) the counts themselves."""

import json
import stat
from pathlib import Path

import pytest

from csrc.bench.arm import count, peers
from tests.programs import ROOT, environment

RECORD = ROOT / "csrc" / "bench" / "record" / "arm_count.json"
NOISE = 1.01  # another compiler's register moves


def entries(archive: bytes) -> dict[str, tuple[int, bytes]]:
    """Mode and data of each file of a newc archive."""
    found, at = {}, 0
    while True:
        assert archive[at : at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        mode, size, name_size = fields[1], fields[6], fields[11]
        name = archive[at + 110 : at + 110 + name_size - 1].decode()
        start = (at + 110 + name_size + 3) // 4 * 4
        if name == "TRAILER!!!":
            return found
        found[name] = (mode, archive[start : start + size])
        at = (start + size + 3) // 4 * 4


def test_initramfs_holds_the_files():
    files = {"init": b"\x7fELF", "model.gguf": bytes(range(7)), "empty": b""}
    found = entries(count.initramfs(files))
    assert {name: data for name, (mode, data) in found.items() if stat.S_ISREG(mode)} == files
    assert stat.S_ISCHR(found["dev/console"][0]) and found["init"][0] & 0o111


def test_a_peers_initramfs_holds_the_tree(tmp_path):
    (tmp_path / "root" / "lib").mkdir(parents=True)
    (tmp_path / "root" / "lib" / "libc.so.6").write_bytes(b"c")
    (tmp_path / "root" / "libc").symlink_to("lib/libc.so.6")
    (tmp_path / "packages" / "numpy" / "tests").mkdir(parents=True)
    found = entries(peers.archive(tmp_path, {"stream-a.onnx": b"graph"}))
    assert found["lib/libc.so.6"][1] == b"c" and found["onnx/stream-a.onnx"][1] == b"graph"
    assert found["libc"] == (stat.S_IFLNK | 0o777, b"lib/libc.so.6")
    assert found["init"][1].startswith(b"#!/usr/bin/python3")
    assert stat.S_ISDIR(found["packages/numpy"][0]) and "packages/numpy/tests" not in found
    folders = [name for name, (mode, _) in found.items() if stat.S_ISDIR(mode)]
    for name in found:  # a folder stands before what it holds
        parent = name.rpartition("/")[0]
        assert not parent or list(found).index(parent) < list(found).index(name) and parent in folders


def test_peers_need_both_modes(tmp_path):
    for name in ("root/usr/bin/python3.11", "packages/numpy.py", "stream-a.onnx"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    onnx = pytest.importorskip("onnx")
    empty = onnx.helper.make_model(onnx.helper.make_graph([], "g", [], [])).SerializeToString()
    (tmp_path / "stream-a.onnx").write_bytes(empty)
    with pytest.raises(FileNotFoundError, match="window-NAME"):
        peers.measure(tmp_path, tmp_path, [tmp_path / "stream-a.onnx"])


def emulator(folder: Path, script: str) -> str:
    program = folder / "qemu-system-aarch64"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


@pytest.mark.parametrize(
    "script, message",
    [
        ("echo Kernel panic", "Kernel panic"),
        ("""echo '{"error": "expected a file"}'""", "expected a file"),
        ("echo no such machine; exit 1", "exit status 1"),
    ],
    ids=["no counts", "the program's error", "the emulator's error"],
)
def test_a_boot_without_counts(script, message, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", emulator(tmp_path, script))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(count.BootError, match=message):
        count.measure(tmp_path / "file", tmp_path / "file", tmp_path / "file")


def test_an_emulator_that_is_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="qemu-system-arm"):
        count.boot(tmp_path, b"")


@pytest.mark.slow
def test_counts(tmp_path):
    kernel = Path(environment("SANDERLING_ARM_KERNEL"))
    program = next(Path(environment("SANDERLING_BUILD_AARCH64")).glob("**/sanderling-count"))
    record = count.measure(program, kernel)
    rows = {(row["isa"], row["mode"]): row for row in record["rows"]}
    assert set(rows) == {(isa, mode) for isa in ("neon", "neon_dotprod") for mode in ("patch", "window")}
    for mode in ("patch", "window"):
        neon, dotprod = rows["neon", mode], rows["neon_dotprod", mode]
        assert neon["hash"] == dotprod["hash"]
        assert dotprod["instructions"] < neon["instructions"]
    recorded = json.loads(RECORD.read_text())
    for row in recorded["rows"]:
        now = rows[row["isa"], row["mode"]]["instructions"]
        assert now <= NOISE * row["instructions"], "more instructions than recorded"
    assert count.markdown(recorded) == RECORD.with_suffix(".md").read_text()
