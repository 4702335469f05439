"""Live lines: streams, rotation, the journal's JSON."""

import io
import json
import sys

import pytest

from sanderling.errors import DependencyError, ReadError
from sanderling.text.sources import MOST, from_file, from_journal, from_stream, message


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
        path.write_bytes(b"")
        yield
        with path.open("ab") as file:
            file.write(b"after\n")
        yield

    turn = steps()
    lines = from_file(path, wait=lambda _: next(turn))
    assert [next(lines) for _ in range(4)] == [b"half line", b"late", b"new", b"after"]


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
