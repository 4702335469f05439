"""The ARM kernels' inner loops by llvm-mca: found in the object that ships, reached by the registry, at the bar."""

import json
from pathlib import Path

import pytest

from csrc.bench.arm import mca
from tests.programs import ROOT, environment

RECORD = ROOT / "csrc" / "bench" / "record" / "arm_mca.json"


@pytest.fixture(scope="module")
def build() -> Path:
    folder = Path(environment("SANDERLING_BUILD_AARCH64"))
    try:
        mca.mca()
        mca.tool("aarch64-linux-gnu-objdump", "llvm-objdump")
    except FileNotFoundError as error:
        pytest.skip(str(error))
    return folder


@pytest.fixture(scope="module")
def record(build) -> dict:
    return mca.measure(build)


@pytest.mark.parametrize("core", mca.CORES, ids=lambda core: core.model)
def test_four_rows_reach_the_bar(core, record):
    rows = [row for row in record["rows"] if row["core"] == core.model and row["rows"] == 4]
    assert len(rows) == 1
    # The iteration's work by the tile's shape: four rows, 4 or 16 channels, 16 k.
    assert rows[0]["mac"] == 4 * {"neon": 4, "neon_dotprod": 16}[core.isa] * 16
    assert core.bar <= rows[0]["mac_per_cycle"] <= core.peak, rows[0]


def test_the_record_is_what_this_object_gives(record):
    recorded = json.loads(RECORD.read_text())
    if record["llvm"] == recorded["llvm"]:  # another LLVM has other models
        assert record == recorded
    assert {row["loop"] for row in recorded["rows"]} == {label for loops in mca.LOOPS.values() for label in loops}
    assert mca.markdown(recorded) == RECORD.with_suffix(".md").read_text()


def test_a_tier_that_the_registry_lacks(build):
    kernels = build / "CMakeFiles" / "sanderling_core.dir" / "csrc" / "kernels"
    with pytest.raises(mca.LoopError, match="row avx2"):
        mca.registry_row(kernels / "registry.cpp.o", "avx2")
    row = mca.registry_row(kernels / "registry.cpp.o", "neon")
    assert "sanderling::qgemm_run_neon" in row and "sanderling::qgemm_run_neon_dotprod" not in row
    # The other tier's row doesn't vouch for this object.
    other = mca.registry_row(kernels / "registry.cpp.o", "neon_dotprod")
    with pytest.raises(mca.LoopError, match="registry's row neon"):
        mca.loop_of(kernels / "qgemm" / "neon.cpp.o", other, "neon", "sanderling_qgemm_neon_4x4")


def test_a_label_that_is_missing(build):
    with pytest.raises(mca.LoopError, match="found 0"):
        mca.loop(build, "neon", "sanderling_qgemm_neon_9x9")


ASSEMBLY = """
.text
helper:
  mov x1, #4
{inside}
  ret
.global _ZN10sanderling14qgemm_run_neonEv
_ZN10sanderling14qgemm_run_neonEv:
  bl {called}
  ret
other:
  mov x1, #4
{outside}
  ret
"""
LOOP = """
sanderling_fake_1:
  smull v0.8h, v1.8b, v2.8b
  smlal2 v0.8h, v1.16b, v2.16b
  sadalp v3.4s, v0.8h
  subs x1, x1, #1
  b.ne sanderling_fake_1
"""


@pytest.mark.parametrize("place, called", [("inside", "helper"), ("outside", "other"), ("inside", "other")])
def test_a_loop_counts_only_where_the_kernel_leads(place, called, build, tmp_path):
    text = ASSEMBLY.format(called=called, **{"inside": "", "outside": "", place: LOOP})
    path = tmp_path / "fake.o"
    mca.output(mca.tool("aarch64-linux-gnu-as"), "-o", path, "-", text=text)
    row = ["sanderling::qgemm_run_neon"]
    reached = {"inside": "helper", "outside": "other"}[place] == called
    if reached:
        body = mca.loop_of(path, row, "neon", "sanderling_fake")
        assert len(body) == 5 and mca.macs(body) == 16
    else:
        with pytest.raises(mca.LoopError, match="outside"):
            mca.loop_of(path, row, "neon", "sanderling_fake")
