"""An initramfs: the file system that Linux unpacks into memory and starts /init from."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from importlib import resources

from sanderling.firmware_sim.packages import Packages

FOLDERS = ("bin", "boot", "data", "dev", "etc", "etc/keys", "lib", "proc", "run", "sys")
FILE, PROGRAM = stat.S_IFREG | 0o644, stat.S_IFREG | 0o755


def entry(name: str, data: bytes, mode: int, number: int, device: tuple[int, int] = (0, 0)) -> bytes:
    """One file (newc, Documentation/driver-api/early-userspace/buffer-format.rst of Linux); owner 0, time 0."""
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08x" % value for value in fields) + name.encode() + b"\0"
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def archive(files: Mapping[str, tuple[bytes, int]], folders: tuple[str, ...] = ("dev",)) -> bytes:
    """An initramfs with folders, a console and files: bytes and mode by name. Linux takes several, one behind the
    other."""
    entries = [(name, b"", stat.S_IFDIR | 0o755, (0, 0)) for name in folders]
    entries.append(("dev/console", b"", stat.S_IFCHR | 0o600, (5, 1)))
    entries += [(name, data, mode, (0, 0)) for name, (data, mode) in files.items()]
    entries.append(("TRAILER!!!", b"", 0, (0, 0)))
    return b"".join(entry(name, data, mode, i, device) for i, (name, data, mode, device) in enumerate(entries, 1))


def init_script() -> bytes:
    """The appliance's first process."""
    return resources.files(__package__).joinpath("init.sh").read_bytes()


def build(packages: Packages, extra: Mapping[str, bytes]) -> bytes:
    """The appliance's: busybox, e2fsck, our init, the modules in their order, and more files by name."""
    files = {f"bin/{name}": (data, PROGRAM) for name, data in packages.folder("bin").items()}
    files["init"] = (init_script(), PROGRAM)
    files |= {f"lib/{name}": (data, FILE) for name, data in packages.folder("modules").items()}
    files |= {name: (data, FILE) for name, data in extra.items()}
    return archive(files, FOLDERS)
