"""Instruction counts on an emulated ARM machine: the initramfs, the console, and (slow) the counts themselves."""

import json
import stat
from pathlib import Path

import pytest

from csrc.bench.arm import count
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
        count.boot(tmp_path, {})


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
