"""The cache of Debian's packages: what is in it, and every way in which it cannot be used. No test uses the network."""

import hashlib
import json

import pytest
from sanderling.firmware_sim import modules, packages

from sanderling.errors import DependencyError, StorageError

RELEASE = 'ID=debian\nVERSION_CODENAME="bookworm"\n'


def write_cache(folder, **changes):
    files = {"vmlinuz": b"kernel", "bin/busybox": b"box"}
    for name, data in files.items():
        (folder / "files" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "files" / name).write_bytes(data)
    table = {
        "packages": [{"name": "linux", "version": "6.1"}],
        "modules": list(modules.WANTED),
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    }
    (folder / "packages.json").write_text(json.dumps(table | changes))
    return folder


def test_a_whole_cache(tmp_path):
    found = packages.load(write_cache(tmp_path))
    assert found.files["vmlinuz"] == b"kernel"
    assert found.folder("bin") == {"busybox": b"box"}
    assert found.versions == {"linux": "6.1"}


def test_an_empty_cache_names_the_command_that_fills_it(tmp_path):
    with pytest.raises(StorageError, match="uses the network.*sanderling flash fetch-packages --cache"):
        packages.load(tmp_path)


def test_a_missing_file(tmp_path):
    (write_cache(tmp_path) / "files" / "vmlinuz").unlink()
    with pytest.raises(StorageError, match="found none; run"):
        packages.load(tmp_path)


def test_an_altered_file(tmp_path):
    (write_cache(tmp_path) / "files" / "vmlinuz").write_bytes(b"kernal")
    with pytest.raises(StorageError, match="vmlinuz: expected the file as it was fetched"):
        packages.load(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": 3}', '{"files": {}}'])
def test_a_broken_list(text, tmp_path):
    write_cache(tmp_path)
    (tmp_path / "packages.json").write_text(text)
    with pytest.raises(StorageError, match="expected the list of packages"):
        packages.load(tmp_path)


def test_a_cache_of_another_release(tmp_path):
    write_cache(tmp_path, modules=["ext3"])
    with pytest.raises(StorageError, match="this release's kernel modules"):
        packages.load(tmp_path)


def test_no_apt_here(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DependencyError, match="expected apt-get of a Debian"):
        packages.fetch(tmp_path / "cache")


def test_sources_keep_the_vendor_and_gain_the_firmware(tmp_path):
    etc, out = tmp_path / "etc", tmp_path / "out"
    parts = etc / "apt" / "sources.list.d"
    parts.mkdir(parents=True)
    out.mkdir()
    (etc / "os-release").write_text(RELEASE)
    (parts / "debian.sources").write_text("URIs: mirror\nSuites: bookworm bookworm-updates\nComponents: main\n")
    (parts / "other.sources").write_text("Types: deb\nURIs: other\nSuites: nodistro\nComponents: main\n")
    lines = "deb [trusted=no] mirror bookworm-security main\ndeb other cloud-bookworm main\n"
    (etc / "apt" / "sources.list").write_text(lines)
    packages._write_sources(out, etc)
    assert "Components: main non-free-firmware" in (out / "debian.sources").read_text()
    assert "other" not in (out / "other.sources").read_text()
    assert (out / "lines.list").read_text() == "deb [trusted=no] mirror bookworm-security main non-free-firmware\n"


def test_another_distribution_is_refused(tmp_path):
    (tmp_path / "os-release").write_text("ID=ubuntu\nVERSION_CODENAME=noble\n")
    with pytest.raises(DependencyError, match="expected a Debian"):
        packages._write_sources(tmp_path, tmp_path)


def test_modules_come_behind_what_they_need(tmp_path):
    folder = tmp_path / "lib" / "modules" / "6.1" / "kernel"
    folder.mkdir(parents=True)
    for name, needs in (("vfat", "fat"), ("fat", ""), ("usb-serial", "usbcore,fat"), ("usbcore", "")):
        (folder / f"{name}.ko").write_bytes(b"\0name=x\0depends=" + needs.encode() + b"\0")
    (folder.parent / "modules.builtin").write_text("kernel/fs/ext4.ko\n")
    found = [name for name, _ in modules.closure(tmp_path, ["vfat", "usb_serial", "ext4"])]
    assert found == ["fat", "vfat", "usbcore", "usb_serial"]
    with pytest.raises(StorageError, match="the module ext9"):
        modules.closure(tmp_path, ["ext9"])


def test_what_debian_gives(debian):
    names = list(debian.folder("modules"))
    assert len(names) == len(set(names)) >= len(modules.WANTED)
    order = [name.split("-", 1)[1].removesuffix(".ko") for name in names]
    assert order.index("jbd2") < order.index("ext4") and order.index("fat") < order.index("vfat")
    assert set(debian.folder("bin")) == {"busybox", "e2fsck"}
    assert {"linux", "busybox", "raspi", "e2fsck"} == set(debian.folder("licences"))
