"""The native file as Python writes it: what is refused, that its bytes repeat, and that both readers agree."""

import os
import sys

import numpy as np
import pytest
from sanderling.export.native import complete_config, tensor_specs, write_native

from sanderling.errors import DependencyError, FormatError
from tests.helpers.random_model import DEFAULT, random_tensors, write_random_native

SMALL = {**DEFAULT, "d_model": 32, "n_heads": [1], "ffn": [16], "scorer_hidden": 16}


@pytest.fixture
def tensors():
    return random_tensors(SMALL, seed=1)


def test_bytes_depend_on_the_arguments_only(tmp_path, tensors):
    a = write_native(tmp_path / "a.gguf", SMALL, tensors, {"plan": "none"})
    b = write_native(tmp_path / "b.gguf", SMALL, dict(reversed(tensors.items())), {"plan": "none"})
    assert a == b
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()
    assert write_native(tmp_path / "a.gguf", SMALL, tensors) != a
    assert sorted(os.listdir(tmp_path)) == ["a.gguf", "b.gguf"]


def test_the_package_reads_what_was_written(tmp_path, tensors):
    gguf = pytest.importorskip("gguf")
    write_native(tmp_path / "m.gguf", SMALL, tensors, {"base_sha256": "0" * 64})
    reader = gguf.GGUFReader(tmp_path / "m.gguf")
    found = {t.name: t for t in reader.tensors}
    assert list(found) == list(tensor_specs(complete_config(SMALL)))
    for name, tensor in tensors.items():
        assert np.array_equal(np.asarray(found[name].data).reshape(tensor.shape), tensor), name
        assert found[name].data_offset % 32 == 0
    keys = [name for name in reader.fields if name.startswith(("general.", "sanderling."))]
    expected = [f"sanderling.{key}" for key in complete_config(SMALL)]
    assert keys == ["general.architecture", *expected, "sanderling.lineage.base_sha256"]


def test_the_engine_reads_what_was_written(tmp_path):
    sanderling = pytest.importorskip("sanderling")
    pytest.importorskip("sanderling._core")
    write_random_native(tmp_path / "m.gguf", seed=3)
    scores = sanderling.Detector.load(tmp_path / "m.gguf").decision_function(
        np.random.default_rng(0).standard_normal((1000, 2)).astype(np.float32)
    )
    assert scores.shape == (1000,)
    assert np.all(scores[:512] == 0) and np.all(scores[512:] > 0)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("d_model", 24),
        ("d_model", 0),
        ("d_model", 64.0),
        ("d_model", True),
        ("d_model", None),
        ("patch", 16),
        ("levels", 9),
        ("n_heads", 2),
        ("n_heads", []),
        ("n_heads", [1] * 33),
        ("n_heads", [1, 1]),
        ("ffn", [17]),
        ("top_k", 0),
        ("cold_samples", 500),
        ("clip", float("nan")),
        ("metric_tau", 0.0),
        ("variant", "v" * 64),
        ("variant", "line\nbreak"),
        ("version", 2),
        ("later", 1),
    ],
)
def test_config_is_refused(tmp_path, tensors, key, value):
    with pytest.raises(FormatError, match="expected .* found"):
        write_native(tmp_path / "m.gguf", {**SMALL, key: value}, tensors)
    assert os.listdir(tmp_path) == []


def _drop(t):
    del t["norm.bias"]


def _spoil(name, index, value):
    def spoil(t):
        t[name].reshape(-1)[index] = value

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        _drop,
        lambda t: t.update({"later.weight": np.zeros(1, np.float32)}),
        lambda t: t.update({"norm.bias": t["norm.bias"].astype(np.float64)}),
        lambda t: t.update({"norm.bias": t["norm.bias"][:-1]}),
        lambda t: t.update({"metric.weight": t["metric.weight"].T.copy()}),
        lambda t: t.update({"metric.weight": t["metric.weight"].astype(np.uint8)}),
        lambda t: t.update({"wavelet.taps": np.ones(1, np.float32)}),
        lambda t: t.update({"wavelet.taps": np.ones(9, np.float32)}),
        lambda t: t.update({"wavelet.taps": np.ones((2, 2), np.float32)}),
        _spoil("metric.weight", 5, -128),
        _spoil("metric.scale", 5, -0.5),
        _spoil("head.weight", 5, np.nan),
        _spoil("head.weight", 5, -np.inf),
        _spoil("embed.bias", 5, 2e4),
        _spoil("wavelet.taps", 0, 17.0),
    ],
)
def test_tensors_are_refused(tmp_path, tensors, spoil):
    spoil(tensors)
    with pytest.raises(FormatError, match="expected .* found"):
        write_native(tmp_path / "m.gguf", SMALL, tensors)
    assert os.listdir(tmp_path) == []


def test_unknown_lineage_is_refused(tmp_path, tensors):
    with pytest.raises(FormatError, match="lineage"):
        write_native(tmp_path / "m.gguf", SMALL, tensors, {"author": "x"})


def test_missing_package_names_the_extra(tmp_path, tensors, monkeypatch):
    # None in sys.modules makes any import of the name fail.
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(DependencyError, match=r"sanderling\[export\]"):
        write_native(tmp_path / "m.gguf", SMALL, tensors)
    assert os.listdir(tmp_path) == []


def test_a_failed_write_leaves_the_old_file(tmp_path, tensors, monkeypatch):
    target = tmp_path / "m.gguf"
    digest = write_native(target, SMALL, tensors)
    before = target.read_bytes()

    def refuse(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="disk full"):
        write_native(target, SMALL, random_tensors(SMALL, seed=2))
    monkeypatch.undo()
    assert target.read_bytes() == before and os.listdir(tmp_path) == ["m.gguf"]
    assert write_native(target, SMALL, tensors) == digest
