"""Kernel modules that an image needs, in the order in which they load, and the programs beside them."""

from __future__ import annotations

import lzma
import re
from collections.abc import Iterable
from pathlib import Path

from sanderling.errors import StorageError

# Name -> path in its package.
PROGRAMS = {"busybox": "bin/busybox", "e2fsck": "sbin/e2fsck.static"}
# What Debian's kernel has as modules; dependencies are added by their own words (modinfo's `depends`).
WANTED = (
    "bcm2835",  # SD card of the 3B, 3B+ and Zero 2 W
    "fixed",  # regulators of the 4B's card
    "gpio_regulator",
    "sdhci_iproc",  # SD card of the 4B
    "virtio_mmio",
    "virtio_blk",  # disk of the emulated machine
    "crc32c_generic",
    "ext4",
    "nls_cp437",
    "nls_ascii",
    "vfat",
    "bcm2835_wdt",
    "i6300esb",  # watchdog of the emulated machine
    "raspberrypi_cpufreq",
    "bcm2835_thermal",
    "bcm2711_thermal",
    "phy_generic",
    "dwc2",  # USB of the 3B, 3B+ and Zero 2 W
    "reset_raspberrypi",
    "xhci_pci",  # USB of the 4B
    "cdc_acm",
    "ch341",
    "cp210x",
    "ftdi_sio",
    "pl2303",
    "i2c_bcm2835",
    "spi_bcm2835",
    "industrialio",
)


def closure(root: Path, wanted: Iterable[str] = WANTED) -> list[tuple[str, bytes]]:
    """The modules and all that they depend on, each behind what it needs: (name, bytes).

    Raises StorageError for a module that the kernel under `root` has neither as a module nor built in.
    """
    index = {path.name.split(".ko")[0].replace("-", "_"): path for path in root.glob("**/kernel/**/*.ko*")}
    built_in = {
        Path(line).stem.replace("-", "_")
        for path in root.glob("**/modules.builtin")
        for line in path.read_text().splitlines()
    }
    found: dict[str, bytes] = {}

    def add(name: str) -> None:
        if name in found or name in built_in:
            return
        if name not in index:
            raise StorageError(f"expected the module {name} in Debian's kernel, found none; it is another kernel")
        data = index[name].read_bytes()
        data = lzma.decompress(data) if index[name].suffix == ".xz" else data
        for other in depends(data):
            add(other)
        found[name] = data

    for name in wanted:
        add(name)
    return list(found.items())


def depends(module: bytes) -> list[str]:
    """The modules that one names in its `.modinfo`."""
    match = re.search(rb"(?<=\0)depends=([^\0]*)\0", module)
    return [name.replace("-", "_") for name in match[1].decode().split(",") if name] if match else []
