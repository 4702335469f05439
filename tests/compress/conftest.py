"""Compression tests need torch, torch-pruning and NNCF."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torch_pruning")
pytest.importorskip("safetensors")

torch.set_num_threads(1)
