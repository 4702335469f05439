"""Instructions of a patch and of a window of 64 tokens on ARM, counted on an emulated machine.

usage: python -m csrc.bench.arm.count PROGRAM --kernel IMAGE [--model FILE] [--cpu NAME] [--json FILE] [--markdown FILE]

PROGRAM is sanderling-count of an aarch64 build, IMAGE a Linux kernel for arm64 (csrc/bench/arm/debian.py fetches
Debian's). `qemu-system-aarch64 -icount shift=0` advances the guest's clock by a nanosecond an instruction, so the
program's own clock counts its instructions, in steps of 16. Model figures: an instruction is no cycle, and the emulator
has no caches.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from sanderling.firmware_sim.initramfs import PROGRAM, archive

from csrc.bench.arm.record import add_arguments, write

ROOT = Path(__file__).resolve().parents[3]
MODEL = ROOT / "python" / "sanderling" / "weights" / "sanderling.gguf"
CPU = "cortex-a76"  # has the dot products, so that one boot counts both tiers
TIMEOUT = 600.0  # seconds of the host
MEMORY_MIB = 256


class BootError(Exception):
    """The emulated machine did not give the counts; the message carries the end of its console."""


def initramfs(files: dict[str, bytes]) -> bytes:
    """An initramfs with a console and these files, executable."""
    return archive({name: (data, PROGRAM) for name, data in files.items()})


def boot(kernel: Path, archive: bytes, cpu: str = CPU, memory_mib: int = MEMORY_MIB) -> str:
    """The console of a machine that runs /init of an initramfs and switches itself off.

    Raises BootError, and FileNotFoundError for a missing emulator.
    """
    qemu = shutil.which("qemu-system-aarch64")
    if not qemu:
        raise FileNotFoundError("expected qemu-system-aarch64, found none; install the package qemu-system-arm")
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder, "initramfs.cpio")
        image.write_bytes(archive)
        machine = ["-M", "virt", "-cpu", cpu, "-m", str(memory_mib), "-nographic", "-nic", "none", "-no-reboot"]
        clock = ["-icount", "shift=0,sleep=off", "-rtc", "base=2020-01-01,clock=vm"]
        line = "console=ttyAMA0 quiet loglevel=3 panic=-1 nokaslr"
        command = [qemu, *machine, *clock, "-kernel", str(kernel), "-initrd", str(image), "-append", line]
        try:
            options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
            done = subprocess.run(command, **options, text=True, errors="replace", timeout=TIMEOUT)
        except subprocess.TimeoutExpired as error:
            found = f"found it running after {TIMEOUT:.0f} s"
            raise BootError(f"expected the machine to switch itself off, {found}") from error
    if done.returncode:
        raise BootError(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout[-1000:]}")
    return done.stdout


def counts(console: str) -> list[dict]:
    """The JSON objects on a console, one a line. Raises BootError when there is none, or one with an error."""
    rows = [json.loads(line) for line in re.findall(r"^\{.*\}\s*$", console, re.M)]
    if not rows or any("error" in row for row in rows):
        raise BootError(f"expected counts on the console, found {console[-1000:]!r}")
    return rows


def measure(program: Path, kernel: Path, model: Path = MODEL, cpu: str = CPU) -> dict:
    """The record: a row for each tier and mode, the least of its repeats. Raises BootError, FileNotFoundError."""
    console = boot(kernel, initramfs({"init": program.read_bytes(), "model.gguf": model.read_bytes()}), cpu)
    rows = counts(console)
    what = "Model figures: instructions on an emulated machine (qemu -icount), one channel; no board was measured"
    return {"what": what, "cpu": cpu, "model": model.name, "rows": rows}


def markdown(record: dict) -> str:
    lines = [
        f"{record['what']}. Reference of 512 patches; the file {record['model']}.",
        "",
        "| tier | one patch, streamed | window of 64 tokens | a token of the window |",
        "|---|---|---|---|",
    ]
    found = {(row["isa"], row["mode"]): row["instructions"] for row in record["rows"]}
    for isa in dict.fromkeys(row["isa"] for row in record["rows"]):
        patch, window = found[isa, "patch"], found[isa, "window"]
        lines.append(f"| {isa} | {patch:,} | {window:,} | {window / 64:,.0f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="count the engine's instructions on an emulated ARM machine")
    parser.add_argument("program", type=Path, help="sanderling-count of an aarch64 build")
    parser.add_argument("--kernel", type=Path, required=True, help="Linux kernel for arm64")
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--cpu", default=CPU)
    add_arguments(parser)
    options = parser.parse_args()
    record = measure(options.program, options.kernel, options.model, options.cpu)
    write(options, record, markdown)


if __name__ == "__main__":
    main()
