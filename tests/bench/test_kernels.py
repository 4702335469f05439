"""bench_kernels on a small model: a row a product, every answer checked against the reference."""

import json
import subprocess
from pathlib import Path

from sanderling.runtime.isa import isa_names
from tests.programs import environment

ROWS = {1, 4, 8, 64, 128}


def test_every_answer_is_checked(model_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "peaks.json"
    isa = next(name for name in isa_names() if name in ("avx2", "neon"))
    command = [environment("SANDERLING_BENCH_KERNELS"), str(model_path), "--rounds", "1", "--isa", isa]
    done = subprocess.run([*command, "--json", str(out)], capture_output=True, text=True)
    assert done.returncode == 0 and "WRONG" not in done.stdout, done.stderr
    found = json.loads(out.read_text())
    assert [row["isa"] for row in found["peaks"]] == [isa]
    shapes = {(row["name"], row["N"], row["K"]) for row in found["gemm"]}
    assert len(found["gemm"]) == len(ROWS) * len(shapes) and len(shapes) > 3
    assert {row["M"] for row in found["gemm"]} == ROWS
    assert all(row["checked"] and row["isa"] == isa for row in found["gemm"])


def test_mistakes_end_it(tmp_path: Path) -> None:
    for arguments in ([], [str(tmp_path / "nowhere.gguf")]):
        done = subprocess.run([environment("SANDERLING_BENCH_KERNELS"), *arguments], capture_output=True, text=True)
        assert done.returncode == 2 and done.stderr.count("\n") == 1
