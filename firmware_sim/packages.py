"""Debian's packages for arm64 that an image is made of: a kernel, Raspberry Pi firmware, busybox, e2fsck.

`fetch` is the one function here that uses the network, through this machine's own apt: its sources, with the
component of the Raspberry firmware added, signatures and hashes checked by apt, no rights needed and nothing
installed. It leaves a cache:

    cache/packages.json      packages (name, version, size, sha256) and files (path: sha256)
    cache/files/             what an image takes from them: vmlinuz, dtb/, firmware/, modules/, bin/, licences/
    cache/debs/              the packages as they were fetched; fetching again takes them from here

`load` reads the cache, checks every hash, and never uses the network.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sanderling.firmware_sim import modules

from sanderling.errors import DependencyError, StorageError

FETCH = "sanderling flash fetch-packages"
KERNEL = "linux-image-arm64"  # depends on the newest one
PACKAGES = ("raspi-firmware", "busybox-static", "e2fsck-static")
COMPONENTS = ("main", "non-free-firmware")
FIRMWARE = ("bootcode.bin", "start.elf", "fixup.dat", "start4.elf", "fixup4.dat")
DEVICE_TREES = ("bcm2837-rpi-3-b", "bcm2837-rpi-3-b-plus", "bcm2837-rpi-zero-2-w", "bcm2711-rpi-4-b")
LICENCES = ("raspi-firmware", "busybox-static", "e2fsck-static")
LIST = "packages.json"


@dataclass(frozen=True)
class Packages:
    """A checked cache. files: bytes by path below cache/files. versions: package -> version."""

    files: Mapping[str, bytes]
    versions: Mapping[str, str]

    def folder(self, name: str) -> dict[str, bytes]:
        """The files of one folder by their names, sorted."""
        return {path.split("/", 1)[1]: self.files[path] for path in sorted(self.files) if path.startswith(name + "/")}


def default_cache() -> Path:
    """$SANDERLING_PACKAGES, else `sanderling/packages` in the user's cache folder."""
    if os.environ.get("SANDERLING_PACKAGES"):
        return Path(os.environ["SANDERLING_PACKAGES"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sanderling" / "packages"


def load(cache: Path) -> Packages:
    """What `fetch` left, every hash checked. Raises StorageError, which names the command that brings what is
    missing."""
    listing = cache / LIST
    try:
        table = json.loads(listing.read_text())
        found = {path: (cache / "files" / path).read_bytes() for path in table["files"]}
        versions = {row["name"]: row["version"] for row in table["packages"]}
    except FileNotFoundError as error:
        where = f"{error.filename}: expected Debian's packages for the boards, found none"
        raise StorageError(f"{where}; run (this uses the network): {FETCH} --cache {cache}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{listing}: expected the list of packages, found: {error}; run: {FETCH}") from error
    for path, digest in table["files"].items():
        if hashlib.sha256(found[path]).hexdigest() != digest:
            where = cache / "files" / path
            raise StorageError(f"{where}: expected the file as it was fetched, found other bytes; run: {FETCH}")
    if table.get("modules") != list(modules.WANTED):
        raise StorageError(f"{cache}: expected this release's kernel modules, found another's; run: {FETCH}")
    return Packages(found, versions)


def fetch(cache: Path, say: Callable[[str], object] = print) -> dict[str, str]:
    """Fills the cache over the network; returns the versions by package.

    Args:
        cache: the folder; made when missing. What it holds already isn't fetched again.
        say: called with a line a step.

    Raises:
        DependencyError: no apt or dpkg-deb here, or no Debian.
        StorageError: apt failed; its last line is in the message.
    """
    for tool in ("apt-get", "apt-cache", "dpkg-deb"):
        if not shutil.which(tool):
            raise DependencyError(f"expected {tool} of a Debian, found none; fetch there and copy {cache} here")
    debs = cache / "debs"
    debs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        options = _apt_options(state)
        say("apt: lists for arm64 (about 9 MB)")
        _apt(["apt-get", "-q", *options, "update"], debs)
        depends = _apt(["apt-cache", *options, "depends", KERNEL], debs)
        image = re.search(r"Depends: (linux-image-\d\S+)", depends)
        if not image:
            raise StorageError(f"expected {KERNEL} in apt's lists, found none; is this a Debian with its own sources?")
        rows = []
        for name in (image[1], *PACKAGES):
            rows.append(_download(name, debs, options, say))
        _unpack([debs / row.pop("file") for row in rows], cache, state, say)
    for old in set(debs.glob("*.deb")) - {debs / f"{row['sha256']}.deb" for row in rows}:
        old.unlink()
    table = {"packages": rows, "modules": list(modules.WANTED), "files": _hashes(cache / "files")}
    partial = cache / (LIST + ".new")
    partial.write_text(json.dumps(table, indent=1) + "\n")
    partial.replace(cache / LIST)
    return {row["name"]: row["version"] for row in rows}


def _apt_options(state: Path) -> list[str]:
    """apt for arm64 with lists and sources of its own, as if no package were installed."""
    for name in ("lists/partial", "cache/archives/partial", "sources"):
        (state / name).mkdir(parents=True)
    (state / "status").touch()
    _write_sources(state / "sources")
    places = {
        "Dir::State": state,
        "Dir::State::Lists": state / "lists",
        "Dir::State::status": state / "status",
        "Dir::Cache": state / "cache",
        "Dir::Etc::sourcelist": os.devnull,
        "Dir::Etc::sourceparts": state / "sources",
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "APT::Sandbox::User": "",
    }
    return [f"-o{key}={value}" for key, value in places.items()]


def _write_sources(folder: Path, etc: Path = Path("/etc")) -> None:
    """This Debian's own sources, other vendors' left out, with the component that has the Raspberry firmware."""
    release = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', (etc / "os-release").read_text(), re.M))
    codename = release.get("VERSION_CODENAME", "")
    if release.get("ID") != "debian" or not codename:
        raise DependencyError("expected a Debian, whose sources have these packages, found another; fetch on one")
    parts = etc / "apt" / "sources.list.d"
    for path in sorted(parts.glob("*.sources")):
        stanzas = re.split(r"\n\s*\n", path.read_text())
        own = [s for s in stanzas if re.search(rf"^Suites:.*(?<![\w-]){codename}", s, re.M)]
        own = [re.sub(r"^Components:.*$", f"Components: {' '.join(COMPONENTS)}", s, flags=re.M) for s in own]
        (folder / path.name).write_text("\n\n".join(own) + "\n")
    lines = []
    for path in [etc / "apt" / "sources.list", *sorted(parts.glob("*.list"))]:
        text = path.read_text() if path.exists() else ""
        own = re.findall(rf"^(deb\s+(?:\[[^]]*\]\s+)?\S+\s+{codename}(?:-\w+)?)\s", text, re.M)
        lines += [f"{line} {' '.join(COMPONENTS)}\n" for line in own]
    (folder / "lines.list").write_text("".join(lines))


def _apt(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise StorageError(f"{command[0]} {command[-1]}: expected it to succeed, found: {last}; check the network")
    return done.stdout


def _download(name: str, debs: Path, options: list[str], say: Callable[[str], object]) -> dict:
    shown = _apt(["apt-cache", *options, "show", "--no-all-versions", name], debs)
    row = dict(re.findall(r"^(Version|Size|SHA256): (\S+)$", shown, re.M))
    kept = debs / f"{row['SHA256']}.deb"
    if not kept.exists() or _sha256(kept) != row["SHA256"]:
        say(f"apt: {name} {row['Version']} ({int(row['Size']) / 1e6:.1f} MB)")
        with tempfile.TemporaryDirectory(dir=debs) as folder:
            _apt(["apt-get", "-q", *options, "download", name], Path(folder))
            (loaded,) = Path(folder).glob("*.deb")
            if _sha256(loaded) != row["SHA256"]:
                raise StorageError(f"{name}: expected the package that apt lists, found other bytes; fetch again")
            loaded.replace(kept)
    return {
        "name": name,
        "version": row["Version"],
        "size": int(row["Size"]),
        "sha256": row["SHA256"],
        "file": kept.name,
    }


def _unpack(debs: list[Path], cache: Path, scratch: Path, say: Callable[[str], object]) -> None:
    say("unpacking what an image takes")
    root, files = scratch / "root", scratch / "files"
    for deb in debs:
        subprocess.run(["dpkg-deb", "-x", str(deb), str(root)], check=True)
    chosen = {"vmlinuz": _one(root, "boot/vmlinuz-*")}
    chosen |= {f"dtb/{name}.dtb": _one(root, f"usr/lib/linux-image-*/broadcom/{name}.dtb") for name in DEVICE_TREES}
    chosen |= {f"firmware/{name}": _one(root, f"usr/lib/raspi-firmware/{name}") for name in FIRMWARE}
    chosen |= {f"bin/{name}": _one(root, f"**/{where}") for name, where in modules.PROGRAMS.items()}
    licences = [*LICENCES, _one(root, "boot/vmlinuz-*").name.replace("vmlinuz", "linux-image")]
    chosen |= {f"licences/{name.split('-', 2)[0]}": _one(root, f"usr/share/doc/{name}/copyright") for name in licences}
    for path, source in chosen.items():
        (files / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, files / path)
    (files / "modules").mkdir()
    for i, (name, data) in enumerate(modules.closure(root)):
        (files / "modules" / f"{i:02d}-{name}.ko").write_bytes(data)
    shutil.rmtree(cache / "files", ignore_errors=True)
    shutil.copytree(files, cache / "files")


def _one(root: Path, pattern: str) -> Path:
    found = sorted(path for path in root.glob(pattern) if path.is_file() and not path.is_symlink())
    if not found:
        raise StorageError(f"expected {pattern} in Debian's packages, found none; this Debian's kernel is another")
    return found[0]


def _hashes(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): _sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
