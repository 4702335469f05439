"""Files that are not what their names say: one line, exit status 2, nothing left behind."""

import io

import numpy as np
import pytest

from sanderling.cli.main import main
from sanderling.errors import ReadError
from sanderling.evaluate.datasets import ARRAYS, open_series
from tests.evaluate.packed import pack


def archive(**arrays: object) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def packed(**changed: object) -> bytes:
    """A sound file of one series, some of its arrays replaced."""
    file = io.BytesIO()
    pack(file, [("a", np.ones((50, 1)), ("f32",), 1.0, np.zeros(50), -1, 1.0)])
    file.seek(0)
    with np.load(file) as sound:
        arrays = dict(sound)
    assert changed.keys() <= arrays.keys()
    return archive(**{**arrays, **changed})


WHOLE = "expected a whole recording, found a file that cannot be read"
FILES = {
    "empty.npz": (b"", "expected an archive of arrays"),
    "garbage.npz": (bytes(range(256)) * 20, "expected an archive of arrays"),
    "cut.npz": (packed()[:-60], "expected an archive of arrays"),
    "array.npz": (b"\x93NUMPY" + bytes(200), "expected an archive of arrays"),
    "other.npz": (archive(x=np.ones(3)), "expected the packed layout's arrays"),
    "objects.npz": (archive(**{name: np.array([{}]) for name in ARRAYS}), WHOLE),
    "long.npz": (packed(length=np.array([10**15])), WHOLE),
    "outside.npz": (packed(ch_off=np.array([10**6])), WHOLE),
    "planes.npz": (packed(f32=np.ones((3, 50), np.uint8)), WHOLE),
    "bytes.csv": (b"value,label\n\xff,0\n", WHOLE),
    "utf16.csv": ("value,label\n1,0\n".encode("utf-16"), WHOLE),
    "field.csv": (b"value,label\n" + b"1" * 200_000 + b",0\n", WHOLE),
    "nul.csv": (bytes(1000), "expected a "),  # Python 3.10's reader refuses it, later ones see one line
    "columns.csv": (b"a," * 100_000 + b"b\n" + b"1," * 100_000 + b"1\n", "expected a column label"),
    "1_UCR_Anomaly_x_1_2_3.txt": (b"1 2 three 4", WHOLE),
    "noise.whl": (bytes(100), "expected an aeon wheel"),
    "x.doc": (b"value,label\n1,0\n", "expected .npz, .csv, .whl, or a .txt"),
}


@pytest.mark.parametrize("name", FILES)
def test_the_reader_says_what_is_wrong(name, tmp_path) -> None:
    data, words = FILES[name]
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(ReadError) as raised:
        list(open_series(path))
    message = str(raised.value)
    assert words in message and name in message and len(message) < 500 and "\n" not in message


def test_the_verb_leaves_nothing_behind(tmp_path, capsys) -> None:
    path, out = tmp_path / "bytes.csv", tmp_path / "out"
    path.write_bytes(FILES["bytes.csv"][0])
    out.mkdir()
    assert main(["evaluate", str(path), "--model", "tiny", "--json", str(out / "r.json")]) == 2
    found = capsys.readouterr()
    assert found.err.count("\n") == 1 and WHOLE in found.err
    assert list(out.iterdir()) == []
