"""The runner's resident memory with the shipped model: the peak that the kernel counted while it scored."""

import re
import subprocess
from pathlib import Path

import pytest

from sanderling import Detector
from tests.runner.driver import isas
from tests.runner.recordings import recording, to_csv

LIMIT_KIB = 8 * 1024
# More than the largest memories need (512 tokens, 4,033 raw windows) and than a block of tokens.
SAMPLES = 6000


def peak_kib(command: list[str], text: bytes) -> int:
    """VmHWM of a scoring run that has printed a score for its last whole patch and waits for more samples."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin and process.stdout
    with process:
        process.stdin.write(text)
        process.stdin.flush()
        for _ in range(SAMPLES // 8 * 8):
            assert process.stdout.readline()
        status = Path(f"/proc/{process.pid}/status").read_text()
        process.stdin.close()
        process.stdout.read()
    assert process.returncode == 0
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])  # type: ignore[index]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux' /proc")
@pytest.mark.parametrize("calibrated", [False, True], ids=["cold", "calibrated"])
def test_one_channel_fits(program, run, calibrated, tmp_path, record_property):
    model = Detector.load().path
    text = to_csv(recording(SAMPLES, 1)).encode()
    if calibrated:
        done = run("--calibrate", "-", "-o", tmp_path / "one.gguf", model, text=text)
        assert done.returncode == 0, done.stderr.decode()
        model = tmp_path / "one.gguf"
    for isa in isas(run):
        if isa == "reference":
            continue
        peak = peak_kib([program, "--isa", isa, "--scores", str(model)], text)
        record_property(f"{isa} KiB", peak)
        assert peak <= LIMIT_KIB, f"{isa}: {peak} KiB"
