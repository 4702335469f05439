"""Lines of texts: files and what is none, streams, rotation, the journal's JSON."""

import gzip
import io
import json
import os
import sys
from pathlib import Path

import pytest

from sanderling.errors import DependencyError, ReadError, StorageError
from sanderling.text import sources
from sanderling.text.sources import MOST, from_file, from_journal, from_stream, from_texts, message, read_texts


def test_lines_of_any_bytes():
    data = b"one\r\n\xff\x00two\n" + b"x" * (MOST + 5) + b"\nlast"
    lines = list(from_stream(io.BytesIO(data)))
    assert lines == [b"one", b"\xff\x00two", b"x" * MOST, b"last"]


def test_a_file_is_followed_through_rotation(tmp_path):
    path = tmp_path / "syslog"
    path.write_bytes(b"old\n")

    def steps():
        with path.open("ab") as file:
            file.write(b"half")
            file.flush()
            yield
            file.write(b" line\n")
            file.flush()
            yield
        path.rename(tmp_path / "syslog.1")
        with (tmp_path / "syslog.1").open("ab") as file:
            file.write(b"late\n")
        path.write_bytes(b"new\n")
        yield
        with (tmp_path / "syslog.1").open("ab") as file:  # its writer hasn't been told yet
            file.write(b"later\n")
        yield
        path.write_bytes(b"")
        yield
        with path.open("ab") as file:
            file.write(b"after\n")
        yield

    turn = steps()
    lines = from_file(path, wait=lambda _: next(turn))
    assert [next(lines) for _ in range(5)] == [b"half line", b"late", b"later", b"new", b"after"]


def test_a_file_that_is_away_is_waited_for(tmp_path):
    path = tmp_path / "syslog"
    path.write_bytes(b"old\n")

    def steps():
        path.unlink()
        yield
        path.mkdir()
        yield
        path.rmdir()
        path.write_bytes(b"back\n")
        yield
        yield

    turn = steps()
    assert next(from_file(path, wait=lambda _: next(turn))) == b"back"


def test_what_is_no_file_is_not_followed(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(ReadError, match="no regular file; name one, or pipe it"):
            next(from_file(path))


def test_a_file_is_read_whole(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"a\nb")
    assert list(from_file(path, follow=False)) == [b"a", b"b"]
    with pytest.raises(ReadError, match="check the path"):
        next(from_file(tmp_path / "none"))


@pytest.mark.parametrize(
    ("entry", "wanted"),
    [
        (b'{"MESSAGE": "caf\xc3\xa9"}', "caf\u00e9".encode()),
        (b'{"MESSAGE": [104, 105, 255]}', b"hi\xff"),
        (b'{"MESSAGE": [104, 300]}', None),
        (b'{"OTHER": 1}', None),
        (b"[1]", None),
        (b"not json", None),
    ],
)
def test_journal_entries(entry, wanted):
    assert message(entry) == wanted


def test_the_journal_is_a_subprocess():
    entries = "\n".join(json.dumps({"MESSAGE": f"line {i}"}) for i in range(3))
    command = (sys.executable, "-c", f"print({entries!r})")
    assert list(from_journal(command)) == [b"line 0", b"line 1", b"line 2"]
    failing = (sys.executable, "-c", "import sys; sys.exit('no journal files were found')")
    with pytest.raises(ReadError, match="no journal files"):
        list(from_journal(failing))
    with pytest.raises(DependencyError, match="give a file"):
        list(from_journal(("no-such-program",)))


OTHERS = {
    "gzip": (gzip.compress(b"one\n"), r"found a gzip file; unpack it"),
    "zip": (b"PK\x03\x04" + bytes(60), "found a zip file"),
    "a model": (b"GGUF\x03\x00\x00\x00", "found a model's GGUF file"),
    "UTF-16": ("one\n".encode("utf-16"), "found UTF-16 text; convert it"),
    "UTF-16 without a mark": (("pump started\n" * 40).encode("utf-16-le"), "found 520 of its first 1040 bytes"),
    "Cyrillic in one byte": (bytes(range(0xC0, 0xD8)) * 9, "another encoding"),
    "a program": (bytes(range(256)) * 8, "NUL, control"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_other_files_are_refused(name, tmp_path):
    data, said = OTHERS[name]
    path = tmp_path / "texts"
    path.write_bytes(data)
    with pytest.raises(ReadError, match=said) as error:
        read_texts(path)
    assert "\n" not in str(error.value)


def test_a_log_with_a_few_odd_lines_is_one(tmp_path):
    lines = [*([b"pump started"] * 40), b"\xff\x00\x01", "K\u00fchlung ausgefallen".encode("latin-1"), b"", b"last"]
    (tmp_path / "log").write_bytes(b"\r\n".join(lines))
    assert read_texts(tmp_path / "log") == lines
    assert list(from_texts(tmp_path / "log")) == lines


def test_input_without_an_end(tmp_path, monkeypatch):
    with pytest.raises(ReadError, match="expected UTF-8 text in /dev/zero"):
        read_texts("/dev/zero")
    with pytest.raises(ReadError, match="no file at .*directory"):
        read_texts(tmp_path)
    monkeypatch.setattr(sources, "MOST_BYTES", 4 * MOST)
    path = tmp_path / "texts"
    path.write_bytes(b"x" * (6 * MOST))
    with pytest.raises(ReadError, match="found none that ends in"):
        read_texts(path)
    path.write_bytes((b"x" * 99 + b"\n") * (MOST // 20))
    with pytest.raises(ReadError, match="at most 4 MiB of texts"):
        read_texts(path)
    assert len(list(from_texts(path))) == MOST // 20


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"one\ntwo")))
    assert read_texts("-") == [b"one", b"two"]
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(StorageError, match="found it closed"):
        read_texts("-")
