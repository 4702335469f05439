"""Options, the rule that nothing required is skipped silently, and the count of tests by instruction set.

Environment (`make test` sets all of it; by hand, what is unset skips its tests with a reason):
SANDERLING_BUILD_NATIVE, SANDERLING_BUILD_ASAN, SANDERLING_BUILD_AARCH64   build folders of the C++ tests
SANDERLING_RUNNER, SANDERLING_RUNNER_ARM   sanderling-run for this machine and for aarch64
SANDERLING_BENCH_KERNELS                   the C++ benchmark
SANDERLING_QEMU                            the user-mode emulator for aarch64
SANDERLING_PACKAGES                        Debian's packages of boards (sanderling flash fetch-packages)
SANDERLING_ARM_KERNEL                      a Linux kernel for arm64, for the slow counts of instructions
SANDERLING_ARM_SYSTEM                      a Debian for arm64 with systemd, for slow tests (arm_system.py)
SANDERLING_BASE_PYTHON                     a Python with only the base install of sanderling
SANDERLING_ORT110                          the npm package onnxruntime-node 1.10.0, unpacked (JetPack 4's version)
SANDERLING_TFLITE_FILES                    .tflite files of small models (tests/helpers/tflite_files.py)
SANDERLING_TFLITE_PYTHON                   a Python with tflite-runtime, onnxruntime 1.16, NumPy 1 and sanderling
SANDERLING_TFLITE_ARM                      an aarch64 Python with both runtimes (scripts/bootstrap/arm_python.py)
SANDERLING_ARM_WHEELS                      the package's wheels for aarch64 (scripts/bootstrap/arm_wheels.py)
SANDERLING_ARM_ROOTS                       aarch64 root file systems with a Python (scripts/bootstrap/arm_root.py)
SANDERLING_AEON_WHEEL                      a wheel with labelled recordings
SANDERLING_DATA                            more recordings; their tests may be skipped
SANDERLING_REQUIRE_ALL=1                   a skip is a failure, unless its reason is one of MAY_SKIP
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

MAY_SKIP = (
    "SANDERLING_DATA",
    "not on this processor",
    "Python 3.10",
    "no old Python here",
    "tflite-runtime ends at Python 3.11",
    "comes from Debian's packages",
)
# A shell's background job ignores Ctrl-C, and so would every program that a test starts to interrupt it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
PYTHON_FOLDERS = ("tests/runtime/", "tests/cli/")  # they run the engine in this process

_tests: Counter[str] = Counter()
_checks: Counter[str] = Counter()


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model with random weights, not calibrated."""
    pytest.importorskip("gguf")
    pytest.importorskip("sanderling")
    from tests.helpers.random_model import write_random_native

    path = tmp_path_factory.mktemp("model") / "random.gguf"
    write_random_native(path)
    return path


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow too")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes minutes; runs with --slow (make test-all)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow"):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    report = yield
    return forbid_skip(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector):
    report = yield
    return forbid_skip(report)


def forbid_skip(report):
    """Turns a skip into a failure where everything is required (SANDERLING_REQUIRE_ALL=1)."""
    required = os.environ.get("SANDERLING_REQUIRE_ALL") == "1"
    if not required or not report.skipped or hasattr(report, "wasxfail"):
        return report
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if not any(allowed in reason for allowed in MAY_SKIP):
        report.outcome = "failed"
        report.longrepr = f"required here (SANDERLING_REQUIRE_ALL=1), but {reason}"
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when != "call" or not report.passed:
        return
    for name, value in report.user_properties:
        if name == "isa":
            _tests[value] += 1
        elif name == "checks":
            isa, count = value
            _checks[isa] += count
    if report.nodeid.startswith(PYTHON_FOLDERS):
        _tests["Python, this machine's best"] += 1


def pytest_terminal_summary(terminalreporter) -> None:
    if not _tests:
        return
    terminalreporter.section("tests passed on each instruction set")
    for isa in sorted(_tests):
        checks = f", {_checks[isa]:,} checks" if _checks[isa] else ""
        terminalreporter.write_line(f"{isa}: {_tests[isa]} tests{checks}")
