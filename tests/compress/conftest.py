"""Compression tests need torch, torch-pruning and NNCF."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torch_pruning")
pytest.importorskip("safetensors")

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def native(tmp_path_factory):
    """A native file of random weights."""
    from tests.helpers.random_model import write_random_native

    path = tmp_path_factory.mktemp("native") / "random.gguf"
    write_random_native(path, 0)
    return path
