"""The C++ test programs on this machine: as they ship, and under ASan and UBSan with the fuzz corpus."""

import platform
import subprocess
from pathlib import Path

import pytest

from tests.programs import ROOT, environment, programs, run_program

CORPUS = ROOT / "tests" / "fuzz" / "corpus"
SANITIZED = {
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:allocator_may_return_null=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}


@pytest.mark.parametrize("command", programs("SANDERLING_BUILD_NATIVE"))
def test_program(command, record_property):
    run_program(command, record_property, platform.machine())


@pytest.mark.parametrize("command", programs("SANDERLING_BUILD_ASAN"))
def test_program_sanitized(command, record_property):
    run_program(command, record_property, f"{platform.machine()}, ASan and UBSan", **SANITIZED)


@pytest.mark.parametrize("target", ["bundle", "csv", "gguf", "text"])
def test_fuzz_corpus(target, record_property):
    folder = Path(environment("SANDERLING_BUILD_ASAN"))
    files = [path for path in (CORPUS / target).rglob("*") if path.is_file()]
    assert len(files) >= 20, "a corpus that small replays nothing of interest"
    replay = next(folder.glob(f"**/replay_{target}"))
    run_program([str(replay), str(CORPUS / target)], record_property, "fuzz replay", **SANITIZED)


def test_sanitizers_are_on():
    # A replay without instrumentation would pass whatever it reads.
    replay = next(Path(environment("SANDERLING_BUILD_ASAN")).glob("**/replay_gguf"))
    symbols = subprocess.run(["nm", "-D", str(replay)], capture_output=True, text=True, check=True)
    assert "__asan_init" in symbols.stdout
    assert "__ubsan_handle" in symbols.stdout
