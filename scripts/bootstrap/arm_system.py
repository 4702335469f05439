"""A Debian for aarch64 with systemd and sshd as a disk for an emulated machine, made from packages without rights.

usage: arm_system.py FOLDER KERNEL

KERNEL is a folder with an unpacked kernel package (csrc/bench/arm/debian.py kernel). FOLDER gets vmlinuz, initrd.img,
disk.img (ext4) and `key`, the private key that opens pi@ (whose sudo asks nothing). What the packages' scripts would
do (users, PAM, the services that start) stands below; owners are set by the initramfs, since files here belong to
whoever runs this.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import debian_arm
from sanderling.firmware_sim import initramfs, modules
from stage import BUILD

RELEASE = debian_arm.Release("bookworm", BUILD / "arm-debian" / "bookworm")
PACKAGES = (
    *("base-files", "base-passwd", "bash", "busybox-static", "coreutils", "dash", "dbus", "diffutils", "findutils"),
    *("grep", "gzip", "hostname", "libc-bin", "libpam-modules", "login", "mawk", "mount", "openssh-server", "passwd"),
    *("procps", "sed", "sudo", "systemd", "systemd-sysv", "util-linux"),
)
MODULES = ("virtio_mmio", "virtio_blk", "virtio_net", "crc32c_generic", "ext4", "autofs4")
UNUSED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info")
SIZE_MIB = 512
LABEL = "debian"
# The machine's own address in QEMU's user network.
INIT = f"""\
#!/bin/busybox sh
busybox mkdir -p /dev /proc /sys /disk
busybox mount -t devtmpfs none /dev
busybox mount -t proc none /proc
busybox mount -t sysfs none /sys
for module in /lib/*.ko; do busybox insmod "$module"; done
busybox ifconfig lo 127.0.0.1 up
busybox ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up
for try in $(busybox seq 100); do
  disk=$(busybox findfs LABEL={LABEL}) && break
  busybox usleep 100000
done
busybox mount -t ext4 "$disk" /disk
if [ ! -e /disk/etc/owned ]; then
  busybox chown -hR 0:0 /disk
  busybox chown -hR 1000:1000 /disk/srv/pi
  busybox chmod u+s /disk/usr/bin/sudo
  busybox touch /disk/etc/owned
fi
for place in dev proc sys; do busybox mount -o move /$place /disk/$place; done
exec busybox switch_root /disk /lib/systemd/systemd
"""
USERS = {"sshd": (100, "/run/sshd"), "messagebus": (101, "/nonexistent"), "pi": (1000, "/srv/pi")}
PAM = {
    "auth": "pam_unix.so",
    "account": "pam_unix.so",
    "password": "pam_unix.so",
    "session": "pam_permit.so",
    "session-noninteractive": "pam_permit.so",
}
FILES = {
    "etc/hostname": "pump-board\n",
    "etc/hosts": "127.0.0.1 localhost pump-board\n",
    "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    "etc/sudoers.d/pi": "pi ALL=(ALL) NOPASSWD: ALL\n",
    # As if the services that wait for an update of /usr had run.
    "etc/.updated": "",
    "var/.updated": "",
} | {f"etc/pam.d/common-{name}": f"{name.split('-')[0]} required {module}\n" for name, module in PAM.items()}
STARTED = {"default.target": "multi-user.target", "multi-user.target.wants/ssh.service": "ssh.service"}
MASKED = ("getty.target", "systemd-networkd.service", "systemd-update-utmp.service", "e2scrub_all.timer")


def _accounts(root: Path) -> dict[str, str]:
    master = root / "usr" / "share" / "base-passwd"
    users = (master / "passwd.master").read_text()
    groups = (master / "group.master").read_text()
    for name, (number, home) in USERS.items():
        shell = "/bin/bash" if name == "pi" else "/usr/sbin/nologin"
        users += f"{name}:x:{number}:{number}::{home}:{shell}\n"
        groups += f"{name}:x:{number}:\n"
    users = users.replace("root:*:", "root:x:")
    locked = [f"{line.split(':')[0]}:*:19000:0:99999:7:::\n" for line in users.splitlines()]
    return {"etc/passwd": users, "etc/group": groups + "systemd-journal:x:102:\n", "etc/shadow": "".join(locked)}


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_text(text)
    path.chmod(mode)


def configure(root: Path, key: Path) -> None:
    """What the packages' scripts and an installer would write."""
    for path, text in (FILES | _accounts(root)).items():
        _write(root / path, text, 0o600 if path == "etc/shadow" else 0o440 if "sudoers" in path else 0o644)
    shutil.copyfile(root / "usr/share/openssh/sshd_config", root / "etc/ssh/sshd_config")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    host = root / "etc" / "ssh" / "ssh_host_ed25519_key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "pump-board", "-f", str(host)], check=True)
    home = root / "srv" / "pi"
    (home / ".ssh").mkdir(mode=0o700, parents=True)
    _write(home / ".ssh" / "authorized_keys", key.with_suffix(".pub").read_text(), 0o600)
    system = root / "etc" / "systemd" / "system"
    for name, unit in STARTED.items():
        (system / name).parent.mkdir(parents=True, exist_ok=True)
        (system / name).unlink(missing_ok=True)
        (system / name).symlink_to(f"/lib/systemd/system/{unit}")
    for name in MASKED:
        (system / name).unlink(missing_ok=True)
        (system / name).symlink_to(os.devnull)


def make(folder: Path, kernel: Path) -> bool:
    """Writes the files; whether Debian's packages and the kernel could be had."""
    if not list(kernel.glob("boot/vmlinuz-*")):
        return False
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        root = Path(scratch, "root")
        # Debian links them so; packages of release 12 still have files in both.
        for name in ("bin", "lib", "sbin"):
            (root / "usr" / name).mkdir(parents=True)
            (root / name).symlink_to(f"usr/{name}")
        if not RELEASE.unpack_closure(root, *PACKAGES):
            return False
        for name in UNUSED:
            shutil.rmtree(root / name, ignore_errors=True)
        configure(root, folder / "key")
        files = {"init": (INIT.encode(), initramfs.PROGRAM)}
        files["bin/busybox"] = ((root / "bin" / "busybox").read_bytes(), initramfs.PROGRAM)
        loaded = modules.closure(kernel, MODULES)
        files |= {f"lib/{i:02}-{name}.ko": (data, initramfs.FILE) for i, (name, data) in enumerate(loaded)}
        folders = ("bin", "dev", "disk", "lib", "proc", "sys")
        (folder / "initrd.img").write_bytes(initramfs.archive(files, folders))
        shutil.copyfile(sorted(kernel.glob("boot/vmlinuz-*"))[-1], folder / "vmlinuz")
        disk = Path(scratch, "disk.img")
        options = ["-q", "-F", "-t", "ext4", "-L", LABEL, "-E", "root_owner=0:0", "-d", str(root)]
        tool = shutil.which("mke2fs") or "/usr/sbin/mke2fs"
        subprocess.run([tool, *options, str(disk), f"{SIZE_MIB}M"], check=True)
        disk.replace(folder / "disk.img")  # last: it says that all is there
    return True


def main(folder: Path, kernel: Path) -> None:
    """See above; where it cannot be made, the reason is printed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if not make(folder, kernel):
        print("no Debian for the emulated machine: this machine's apt does not reach Debian's packages")
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
