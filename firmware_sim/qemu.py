"""An emulated board: the files of an image, started the way the board's firmware starts them.

A 3B, 3B+ and Zero 2 W are QEMU's `raspi3b` with the board's own device tree and the image as its SD card. QEMU has no
4B: `virt` stands in, with the board's processor and its device-tree identity, and the image as a virtual disk. The
guest's clock counts instructions (`-icount shift=0`: a nanosecond each) while a processor works, and follows the host
while all are idle.
"""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from sanderling.firmware_sim import image, raspberry

from sanderling.boards import Board
from sanderling.errors import BoardError, DependencyError, StorageError

TOOLS = {"qemu-system-aarch64": "qemu-system-arm", "fdtput": "device-tree-compiler"}
MEMORY_MIB = 512


@dataclass(frozen=True)
class Options:
    """How to start.

    initramfs: a second archive, behind the image's. drive: QEMU's drive options instead of the image's plain file.
    counting: nothing but instructions moves the clock and no card is there, so that a run repeats to the instruction.
    clock: the board's date; without a battery it is that of 1970.
    """

    initramfs: bytes = b""
    drive: str = ""
    counting: bool = False
    clock: str = "1970-01-01"


def needs_tools() -> None:
    """Raises DependencyError that names the package of a tool that is missing."""
    for tool, package in TOOLS.items():
        if not shutil.which(tool):
            raise DependencyError(f"expected {tool}, found none; install the package {package}")


def version() -> str:
    """QEMU's, '7.2.22'."""
    done = subprocess.run(["qemu-system-aarch64", "--version"], capture_output=True, text=True)
    found = re.search(r"version (\S+)", done.stdout)
    return found[1] if found else "unknown"


def machine(board: Board) -> list[str]:
    """QEMU's options for the board's machine and processor. Raises BoardError for one that no image is for."""
    if board.id not in raspberry.CHAIN:
        known = ", ".join(raspberry.CHAIN)
        raise BoardError(f"expected a board that images are for ({known}), found {board.id}; try sanderling deploy")
    if board.qemu["machine"] == "raspi3b":
        return ["-M", "raspi3b"]
    return ["-M", "virt", "-cpu", board.qemu["cpu"], "-m", str(MEMORY_MIB), "-smp", str(board.cores)]


def device_tree(board: Board, folder: Path, source: Path) -> Path:
    """The tree that the firmware would hand over: the image's own, or that of `virt` under the board's name."""
    path = folder / "board.dtb"
    if board.qemu["machine"] == "raspi3b":
        path.write_bytes(image.boot_file(source, raspberry.CHAIN[board.id][-1]))
        return path
    options = machine(board)
    options[1] += f",dumpdtb={path}"
    _tool("qemu-system-aarch64", *options, "-display", "none", "-nic", "none")
    names = [*board.compatible, "linux,dummy-virt"]
    _tool("fdtput", "-t", "s", str(path), "/", "compatible", *names)
    _tool("fdtput", "-t", "s", str(path), "/", "model", board.name)
    for seed in ("kaslr-seed", "rng-seed"):  # they differ from run to run
        subprocess.run(["fdtput", "-d", str(path), "/chosen", seed], capture_output=True)
    return path


def _tool(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise StorageError(f"{command[0]}: expected it to succeed, found: {last}")


def command(board: Board, source: Path, folder: Path, options: Options) -> list[str]:
    """QEMU's command line. Files of the boot partition go to `folder`; `source` is written to by the board."""
    kernel, initrd = folder / "vmlinuz", folder / "initrd.img"
    kernel.write_bytes(image.boot_file(source, raspberry.KERNEL))
    initrd.write_bytes(image.boot_file(source, raspberry.INITRAMFS) + options.initramfs)
    line = image.boot_file(source, "cmdline.txt").decode().strip()
    pi = board.qemu["machine"] == "raspi3b"
    drive = options.drive or f"file={source},format=raw"
    devices = ["-drive", f"{drive},if=sd"] if pi else ["-drive", f"{drive},if=none,id=card"]
    devices += [] if pi else ["-device", "virtio-blk-device,drive=card"]
    return [
        "qemu-system-aarch64",
        *machine(board),
        *("-dtb", str(device_tree(board, folder, source)), "-kernel", str(kernel), "-initrd", str(initrd)),
        *("-append", f"{line} nokaslr" + (" norandmaps" if options.counting else "")),
        *([] if options.counting else devices),
        *(("-serial", "null") if pi else ("-device", "i6300esb", "-nic", "none")),  # serial: the Bluetooth chip's port
        *("-serial", "stdio", "-display", "none", "-monitor", "none", "-no-reboot"),
        *("-rtc", f"base={options.clock}" + (",clock=vm" if options.counting else "")),
        *("-icount", "shift=0" + (",sleep=off" if options.counting else "")),
    ]


class Machine:
    """A running board and its serial port. A context manager: leaving it pulls the plug."""

    def __init__(self, arguments: list[str]) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(arguments, stdin=pipe, stdout=pipe, stderr=pipe, cwd=os.sep)
        self._lines: queue.Queue[str | None] = queue.Queue()
        self.console: list[str] = []
        self.started = time.monotonic()
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *error: object) -> None:
        self.cut_power()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.put(line.decode(errors="replace").strip())
        self._lines.put(None)

    def line(self, timeout_s: float) -> str:
        """The next line from the board. Raises BoardError when none comes, or when the board has stopped."""
        try:
            found = self._lines.get(timeout=timeout_s)
        except queue.Empty:
            last = self.console[-1][:200] if self.console else "nothing at all"
            raise BoardError(f"expected a line from the board within {timeout_s:.0f} s, its last was: {last}") from None
        if found is None:
            self._lines.put(None)
            raise BoardError(f"expected the board to run, found it stopped: {self._complaint()}")
        self.console.append(found)
        return found

    def event(self, timeout_s: float) -> dict:
        """The next line that is a JSON object; others are kept in `console`."""
        until = time.monotonic() + timeout_s
        while True:
            text = self.line(max(until - time.monotonic(), 0.1))
            # A port that is set up may say a stray byte first.
            if "{" in text and text.endswith("}"):
                try:
                    return json.loads(text[text.index("{") :])
                except ValueError:
                    continue

    def send(self, data: bytes) -> None:
        """Samples for the serial port, at the pace at which the board reads them; returns at once."""
        threading.Thread(target=self._write, args=(data,), daemon=True).start()

    def _write(self, data: bytes) -> None:
        assert self._process.stdin
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except OSError:
            return  # the board is gone; who reads its lines will hear of it

    def cut_power(self) -> None:
        """Ends the board at once; what its disk has not been told to keep is the emulator's to lose."""
        self._process.kill()
        self._process.wait()

    def _complaint(self) -> str:
        assert self._process.stderr
        said = self._process.stderr.read().decode(errors="replace").strip() if self._process.poll() is not None else ""
        return (said.splitlines() or self.console[-1:] or ["no message"])[-1][:300]
