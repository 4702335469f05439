"""Results on the disk: whole or not at all."""

import os
import stat

import pytest

from sanderling.errors import StorageError
from sanderling.files import write_file


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path) -> None:
    path = tmp_path / "r.json"
    path.write_text("old")

    def fail(file) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match="r.json, found: No space left"):
        write_file(path, fail)
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["r.json"]


def test_an_interrupt_leaves_the_old_file(tmp_path) -> None:
    path = tmp_path / "r.json"
    path.write_text("old")

    def interrupted(_) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_file(path, interrupted)
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["r.json"]


def test_mode_and_link_are_kept(tmp_path) -> None:
    path, link = tmp_path / "r.json", tmp_path / "link.json"
    path.write_text("old")
    path.chmod(0o640)
    link.symlink_to(path)
    write_file(link, lambda file: file.write(b"new"))
    assert link.is_symlink() and path.read_text() == "new" and stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_folder_and_a_missing_one(tmp_path) -> None:
    for path in (tmp_path, tmp_path / "absent" / "r.json"):
        with pytest.raises(StorageError, match="expected to write"):
            write_file(path, lambda file: file.write(b"x"))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_a_device_is_written_to_not_replaced() -> None:
    with pytest.raises(StorageError, match="No space left"):
        write_file("/dev/full", lambda file: file.write(b"x"))
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


def test_names_as_long_as_a_file_system_takes(tmp_path):
    path = tmp_path / ("\u6d4b" * 85)  # 255 bytes
    write_file(path, lambda file: file.write(b"x"))
    assert path.read_bytes() == b"x"
