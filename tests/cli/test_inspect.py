"""`sanderling inspect`: what a file holds, and files that hold something else."""

import hashlib
import json
import struct

import numpy as np
import pytest

from sanderling.errors import FormatError, VersionError
from sanderling.runtime.gguf_file import describe


def test_native(sanderling, model_path):
    done = sanderling("inspect", model_path, "--tensors")
    assert done.returncode == 0, done.stderr
    assert hashlib.sha256(model_path.read_bytes()).hexdigest() in done.stdout
    assert "sanderling.d_model: 64" in done.stdout
    assert "embed.weight: float32 (64, 64), 16,384 bytes" in done.stdout


def test_native_as_the_gguf_package_sees_it(sanderling, model_path):
    gguf = pytest.importorskip("gguf")
    found = json.loads(sanderling("inspect", model_path, "--json").stdout)
    own = gguf.GGUFReader(model_path)
    assert found["bytes"] == model_path.stat().st_size
    shapes = {t["name"]: (t["dtype"], t["shape"]) for t in found["graphs"][0]["tensors"]}
    assert shapes == {t.name: (t.data.dtype.name, list(t.data.shape)) for t in own.tensors}
    assert set(found["metadata"]) == {name for name in own.fields if not name.startswith("GGUF.")}


def test_onnx(sanderling, model_path, tmp_path):
    pytest.importorskip("onnx")
    from sanderling.export.onnx import write_onnx
    from sanderling.export.reading import read_native

    write_onnx(tmp_path / "m", read_native(model_path), precision="int8")
    done = sanderling("inspect", tmp_path / "m")
    assert done.returncode == 0, done.stderr
    for text in ("opsets: ai.onnx 20", "input  x: float32 (samples, channels)", "MatMulInteger", "stored uint8"):
        assert text in done.stdout


def test_control_characters_do_not_reach_the_terminal(sanderling, tmp_path):
    name = b"general.name"
    value = b"\x1b[31mred"
    key = struct.pack("<Q", len(name)) + name + struct.pack("<IQ", 8, len(value)) + value
    (tmp_path / "m.gguf").write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + key)
    done = sanderling("inspect", tmp_path / "m.gguf")
    assert done.returncode == 0 and "\x1b" not in done.stdout and "?[31mred" in done.stdout


@pytest.mark.parametrize("data", [b"", b"hello", b"GGUF", b"PK\x03\x04" + bytes(100)])
def test_other_files(sanderling, tmp_path, data):
    (tmp_path / "m.gguf").write_bytes(data)
    done = sanderling("inspect", tmp_path / "m.gguf")
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_damaged_gguf(model_path, tmp_path):
    """Truncated or with a flipped bit in the header: described or refused, never a crash."""
    data = model_path.read_bytes()
    rng = np.random.default_rng(0)
    path = tmp_path / "m.gguf"
    for n in rng.integers(4, 1500, 100):
        path.write_bytes(data[:n])
        with pytest.raises(FormatError):
            describe(path)
    for at in rng.integers(0, 4000, 200):
        damaged = bytearray(data)
        damaged[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            describe(path)
        except (FormatError, VersionError) as error:
            assert "\n" not in str(error)
