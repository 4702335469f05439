"""The Raspberry Pi's own boot chain, as files of the boot partition, and the check of them.

The 3B, 3B+ and Zero 2 W load bootcode.bin, start.elf and fixup.dat from the card; the 4B has its first stage in a
chip and loads start4.elf and fixup4.dat. Both read config.txt, choose the board's device tree and start kernel and
initramfs. None of this was ever run on hardware by this project: `check` looks at files, sizes and keys.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

NEVER_BOOTED = "never booted on hardware"
BOARDS = ("rpi3b", "rpi3b_plus", "rpi_zero2w", "rpi4b")
# Board -> what its first stages load, and its device tree.
CHAIN = {
    "rpi3b": ("bootcode.bin", "start.elf", "fixup.dat", "bcm2837-rpi-3-b.dtb"),
    "rpi3b_plus": ("bootcode.bin", "start.elf", "fixup.dat", "bcm2837-rpi-3-b-plus.dtb"),
    "rpi_zero2w": ("bootcode.bin", "start.elf", "fixup.dat", "bcm2837-rpi-zero-2-w.dtb"),
    "rpi4b": ("start4.elf", "fixup4.dat", "bcm2711-rpi-4-b.dtb"),
}
KERNEL, INITRAMFS = "vmlinuz", "initrd.img"
# upstream_kernel: device trees have the names that Linux gives them. enable_uart: the header's serial port, at a
# clock that stays. A 4B's core_freq moves that clock otherwise.
CONFIG = f"""\
arm_64bit=1
enable_uart=1
upstream_kernel=1
disable_splash=1
boot_delay=0
kernel={KERNEL}
initramfs {INITRAMFS} followkernel
[pi4]
core_freq=360
"""
# Nothing of the kernel's goes to the serial port: it carries samples and alarms.
CMDLINE = "console=tty0 quiet loglevel=3 panic=10 rootwait\n"
SETTINGS = """\
# What the detector reads and where its JSON lines go; read at every start.
input={input}
device={device}
baud={baud}
options={options}
"""


def check(files: Mapping[str, bytes]) -> list[str]:
    """What is wrong with a boot partition's files for one of BOARDS; an empty list when nothing is.

    Presence, sizes, the magic numbers of kernel, device trees and firmware, and config.txt's keys.
    """
    wrong = []
    for board, names in CHAIN.items():
        wrong += [f"{board}: expected {name} on the boot partition, found none" for name in names if name not in files]
    for name, data in files.items():
        if name.endswith(".elf") and data[:4] != b"\x7fELF":
            wrong.append(f"{name}: expected an ELF file for the VideoCore, found another")
        if name.endswith(".dtb") and (data[:4] != b"\xd0\r\xfe\xed" or struct.unpack(">I", data[4:8])[0] != len(data)):
            wrong.append(f"{name}: expected a whole device tree, found another file")
    kernel = files.get(KERNEL, b"")
    size = struct.unpack("<Q", kernel[16:24])[0] if len(kernel) > 64 else 0
    if kernel[56:60] != b"ARM\x64" or not len(kernel) <= size:
        wrong.append(f"{KERNEL}: expected a whole 64-bit ARM kernel (Image), found another file")
    if files.get(INITRAMFS, b"")[:6] != b"070701" or b"TRAILER!!!" not in files[INITRAMFS][-64:]:
        wrong.append(f"{INITRAMFS}: expected a whole initramfs, found another file")
    lines = files.get("config.txt", b"").decode(errors="replace").splitlines()
    wrong += [f"config.txt: expected '{line}', found none" for line in CONFIG.splitlines() if line not in lines]
    if files.get("cmdline.txt", b"").count(b"\n") != 1:
        wrong.append("cmdline.txt: expected one line, found another number")
    return wrong
