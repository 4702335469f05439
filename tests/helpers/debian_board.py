"""A Debian with systemd and sshd on an emulated machine that says it is a Raspberry Pi 4B."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sanderling.firmware_sim import qemu

from sanderling.boards import load_board
from sanderling.deploy.remote import Remote
from tests.helpers.device import free_port

BOARD = "rpi4b"
# One connection for all commands: a handshake costs the emulated processor more than most of them.
SHARED = ("-oConnectTimeout=5", "-oServerAliveInterval=5", "-oServerAliveCountMax=12")
SHARED += ("-oControlMaster=auto", "-oControlPersist=60")
TRIES, PATIENCE = 200, 400  # a second or more each; seconds for a command


@dataclass(frozen=True)
class DebianBoard:
    """The running machine. host, options: for ssh, as a user whose sudo asks nothing. control: its socket's path."""

    machine: qemu.Machine
    host: str
    options: tuple[str, ...]
    control: Path

    def ssh(self, command: str) -> subprocess.CompletedProcess[str]:
        """A shell's command there, as root."""
        return self._ssh(self.host, "--", "sudo", "-n", "sh", "-c", f"'{command}'")

    def close(self) -> None:
        """Ends the connection."""
        self._ssh("-O", "exit", self.host)

    def _ssh(self, *words: str) -> subprocess.CompletedProcess[str]:
        line = ["ssh", *self.options, *SHARED, f"-oControlPath={self.control}", *words]
        return subprocess.run(line, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=PATIENCE)

    def run(self, command: str) -> str:
        """Its standard output; it must go well. No ' in it."""
        done = self.ssh(command)
        assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout

    def remote(self) -> Remote:
        return Remote(self.host, self.options)

    def wait(self, boot: str = "") -> str:
        """Waits until it is up in another boot than `boot`; returns the boot's id."""
        for _ in range(TRIES):
            done = self.ssh("systemctl is-system-running --wait >&2; cat /proc/sys/kernel/random/boot_id")
            if done.returncode == 0 and done.stdout != boot:
                return done.stdout
            time.sleep(1)
        raise AssertionError(f"the machine does not answer: {done.stderr}")

    def reboot(self) -> None:
        """Ends and starts it without telling anyone there: what was not synced is gone."""
        before = self.wait()
        self.ssh("(sleep 1; echo b > /proc/sysrq-trigger) >/dev/null 2>&1 </dev/null &")
        self.close()
        self.wait(before)


@contextlib.contextmanager
def start(system: Path, folder: Path, small: Path) -> Iterator[DebianBoard]:
    """The system of scripts/bootstrap/arm_system.py, its disk unchanged afterwards, with a second disk `small`."""
    board, port = load_board(BOARD), free_port()
    command = ["qemu-system-aarch64", *qemu.machine(board), "-dtb", str(qemu.device_tree(board, folder, system))]
    command += ["-kernel", str(system / "vmlinuz"), "-initrd", str(system / "initrd.img")]
    command += ["-append", "console=ttyAMA0 net.ifnames=0 quiet"]
    for name, disk in (("system", system / "disk.img"), ("small", small)):
        command += ["-drive", f"file={disk},format=raw,snapshot=on,if=none,id={name}"]
        command += ["-device", f"virtio-blk-device,drive={name}"]
    command += ["-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{port}-:22", "-device", "virtio-net-device,netdev=net"]
    command += ["-serial", "stdio", "-display", "none", "-monitor", "none"]
    key = folder / "key"
    key.write_bytes((system / "key").read_bytes())
    key.chmod(0o600)
    fixed = {"StrictHostKeyChecking": "no", "UserKnownHostsFile": os.devnull, "LogLevel": "ERROR", "BatchMode": "yes"}
    options = ["-F", os.devnull, "-p", str(port), "-i", str(key), "-oIdentitiesOnly=yes"]
    options += [f"-o{name}={value}" for name, value in fixed.items()]
    with qemu.Machine(command) as machine:
        with tempfile.TemporaryDirectory(prefix="sl-") as short:  # a socket's path has at most 107 characters
            found = DebianBoard(machine, "pi@127.0.0.1", tuple(options), Path(short, "c"))
            try:
                found.wait()
                yield found
            finally:
                found.close()
