"""The table: what `make run`, `make test`, `make test-all`, `make device` and `make lint` do, stage by stage."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

import arm_root
import arm_wheels
import system
from commands import (
    AARCH64,
    ARM_KERNEL,
    ARM_ROOTS,
    ARM_SODIUM,
    ARM_SYSTEM,
    ASAN,
    BASE_VENV,
    BOARD_PACKAGES,
    DEVICE,
    DOWNLOADS,
    NATIVE,
    NPM_OPTIONS,
    ORT110,
    ORT_INCLUDE,
    PYTHON,
    SOURCES,
    TFLITE_FILES,
    VENV,
    VERSIONS,
    WHEELS,
    board_packages,
    build,
    build_arm_wheels,
    build_wheel,
    copy_for_devices,
    download_recordings,
    fetch_board_packages,
    fetch_ort_header,
    install,
    install_litert_torch,
    install_wheel,
    make_arm_roots,
    make_arm_system,
    make_base_venv,
    make_tflite_arm,
    make_tflite_venv,
    make_venv,
    ort_include,
    pytest,
    pytest_all,
    runner,
    tflite_arm_exports,
    tflite_exports,
    wheel,
)
from stage import Stage


def arm_exports() -> dict[str, str]:
    qemu = system.qemu()
    return {"SANDERLING_QEMU": qemu} if qemu else {}


IN_VENV = VENV / "stamps"
ARM = (system.CROSS.name, system.QEMU.name)


def system_packages(target: str = "") -> Stage:
    return Stage(
        "system packages",
        lambda: [[sys.executable, "scripts/bootstrap/system.py", target]],
        exports=arm_exports,
        show=True,
    )


def arm_kernel() -> dict[str, str]:
    found = sorted(ARM_KERNEL.glob("boot/vmlinuz-*"))
    return {"SANDERLING_ARM_KERNEL": str(found[-1])} if found else {}


ENVIRONMENT = Stage(
    "virtual environment",
    make_venv,
    # CMake and ninja may come from packages there.
    exports=lambda: {"PATH": f"{VENV / 'bin'}{os.pathsep}{os.environ['PATH']}"},
)
PACKAGES = Stage(
    "python packages", lambda: install("build", "train"), inputs=VERSIONS, stamps=IN_VENV
)
TEST_PACKAGES = Stage(
    "test packages", lambda: install("test", "dev", "text"), inputs=VERSIONS, stamps=IN_VENV
)
# onnxruntime's own header, for the operator that the wheel holds.
ORT_HEADER = Stage(
    "onnxruntime header",
    fetch_ort_header,
    inputs=("scripts/bootstrap/ort_header.py", "scripts/bootstrap/debian_arm.py"),
    outputs=lambda: [ORT_INCLUDE],
    exports=ort_include,
)
WHEEL = Stage("wheel", build_wheel, inputs=(*SOURCES, "build/ort-include/*.h"), outputs=lambda: [WHEELS])
INSTALL = Stage("install", install_wheel, inputs=("build/wheel/*.whl",), stamps=IN_VENV)
RECORDINGS = Stage(
    "recordings",
    download_recordings,
    inputs=("constraints.txt",),
    outputs=lambda: [Path(wheel(DOWNLOADS, "aeon"))],
    exports=lambda: {"SANDERLING_AEON_WHEEL": wheel(DOWNLOADS, "aeon")},
)
# The onnxruntime of JetPack 4 as its npm package ships it; its wheels are for Python 3.9 at most.
ONNXRUNTIME_110 = Stage(
    "onnxruntime 1.10",
    lambda: [["npm", "install", *NPM_OPTIONS, "onnxruntime-node@1.10.0"]],
    inputs=("scripts/bootstrap/targets.py",),
    outputs=lambda: [ORT110],
    exports=lambda: {"SANDERLING_ORT110": str(ORT110)},
    needs=(system.NPM.name,),
)
TFLITE = (
    Stage("litert-torch", install_litert_torch, inputs=VERSIONS, stamps=IN_VENV),
    Stage("old runtimes", make_tflite_venv, inputs=("build/wheel/*.whl",), exports=tflite_exports),
    Stage(
        "TFLite on aarch64",
        make_tflite_arm,
        inputs=("scripts/bootstrap/arm_python.py",),
        exports=tflite_arm_exports,
        needs=(system.QEMU.name,),
    ),
    Stage(
        "TFLite files",
        lambda: [[PYTHON, "tests/helpers/tflite_files.py", str(TFLITE_FILES)]],
        inputs=(
            "constraints.txt",
            "export/*.py",
            "python/sanderling/runtime/graph*.py",
            "python/sanderling/runtime/tflite*.py",
            "python/sanderling/weights/tiny.gguf",
            "tests/helpers/random_model.py",
            "tests/helpers/tflite_files.py",
        ),
        outputs=lambda: [TFLITE_FILES],
        exports=lambda: {"SANDERLING_TFLITE_FILES": str(TFLITE_FILES)},
    ),
)
RUNNER = Stage(
    "runner",
    lambda: build("release", NATIVE, "sanderling-run"),
    exports=lambda: {"SANDERLING_RUNNER": runner(NATIVE)},
)
SODIUM_ARM = Stage(
    "libsodium for arm64",
    lambda: [[sys.executable, "csrc/bench/arm/debian.py", "sodium", str(ARM_SODIUM)]],
    inputs=("csrc/bench/arm/debian.py",),
    outputs=lambda: sorted(ARM_SODIUM.glob("usr/lib/*/libsodium.a")) or [ARM_SODIUM / "usr" / "lib" / "libsodium.a"],
    needs=ARM,
)
RUNNER_ARM = Stage(
    "runner aarch64",
    lambda: build("aarch64", AARCH64, "sanderling-run"),
    exports=lambda: {"SANDERLING_RUNNER_ARM": runner(AARCH64)},
    needs=ARM,
)
# A GNU cross compiler's modules ask for its own glibc and libstdc++: cmake/aarch64-zig.cmake.
WHEEL_TOOLS = Stage("wheel tools for aarch64", lambda: install("build", "device"), inputs=VERSIONS, stamps=IN_VENV)
WHEEL_SCRIPTS = ("scripts/bootstrap/arm_*.py", "scripts/bootstrap/debian_arm.py", "scripts/bootstrap/elf.py")
ARM_WHEELS, MORE_ARM_WHEELS = (
    Stage(
        name,
        partial(build_arm_wheels, *versions),
        inputs=(*SOURCES, *WHEEL_SCRIPTS, "build/ort-include/*.h"),
        outputs=lambda: [DEVICE / "cmake"],
        exports=lambda: {"SANDERLING_ARM_WHEELS": str(DEVICE)},
        needs=(system.CROSS.name,),
    )
    for name, versions in (("wheels aarch64", arm_wheels.ALWAYS), ("more wheels aarch64", arm_wheels.WHERE_FOUND))
)
ARM_PYTHONS, MORE_ARM_PYTHONS = (
    Stage(
        name,
        partial(make_arm_roots, *versions),
        inputs=("constraints.txt", "scripts/bootstrap/arm_root.py", "scripts/bootstrap/debian_arm.py"),
        exports=lambda: {"SANDERLING_ARM_ROOTS": str(ARM_ROOTS)},
        needs=(system.QEMU.name,),
    )
    for name, versions in (
        ("pythons on aarch64", arm_wheels.ALWAYS),
        ("more pythons on aarch64", tuple(v for v in arm_root.PYTHONS if v not in arm_wheels.ALWAYS)),
    )
)
DEMO = Stage("demo", lambda: [[PYTHON, "-m", "sanderling.demo", "--out", "build/demo"]], show=True)

BUILD_TESTS = Stage(
    "C++ tests",
    lambda: build("release", NATIVE),
    exports=lambda: {
        "SANDERLING_BUILD_NATIVE": str(NATIVE),
        "SANDERLING_BENCH_KERNELS": str(NATIVE / "csrc" / "bench" / "bench_kernels"),
        "SANDERLING_RUNNER": runner(NATIVE),
    },
)
BUILD_ASAN = Stage(
    "C++ tests with ASan and UBSan",
    lambda: build("asan", ASAN),
    exports=lambda: {"SANDERLING_BUILD_ASAN": str(ASAN)},
)
BUILD_ARM = Stage(
    "C++ tests aarch64",
    lambda: build("aarch64", AARCH64),
    exports=lambda: {
        "SANDERLING_BUILD_AARCH64": str(AARCH64),
        "SANDERLING_RUNNER_ARM": runner(AARCH64),
    },
    needs=ARM,
)
BASE = Stage(
    "base-only environment",
    make_base_venv,
    inputs=("build/wheel/*.whl", "constraints.txt"),
    exports=lambda: {"SANDERLING_BASE_PYTHON": str(BASE_VENV / "bin" / "python")},
)
# The stages that could not run are failures there, not skips; torch's threads would fight for two cores.
STRICT = {"SANDERLING_REQUIRE_ALL": "1", "OMP_NUM_THREADS": "1"}

KERNEL = Stage(
    "linux for arm64",
    lambda: [[sys.executable, "csrc/bench/arm/debian.py", "kernel", str(ARM_KERNEL)]],
    inputs=("csrc/bench/arm/debian.py",),
    outputs=lambda: sorted(ARM_KERNEL.glob("boot/vmlinuz-*")) or [ARM_KERNEL / "boot" / "vmlinuz"],
    exports=arm_kernel,
    needs=(system.QEMU_SYSTEM.name,),
)
# Kernel, firmware and busybox of images: 66 MB.
BOARDS = Stage(
    "packages of boards",
    fetch_board_packages,
    inputs=("firmware_sim/packages.py", "firmware_sim/modules.py"),
    outputs=lambda: [BOARD_PACKAGES / "packages.json"],
    exports=board_packages,
    needs=(system.QEMU_SYSTEM.name,),
    show=True,
)
# A system with systemd and sshd, which `sanderling deploy` is tried on.
SYSTEM = Stage(
    "debian for arm64",
    make_arm_system,
    inputs=("scripts/bootstrap/arm_system.py", "scripts/bootstrap/debian_arm.py"),
    exports=lambda: {"SANDERLING_ARM_SYSTEM": str(ARM_SYSTEM)} if (ARM_SYSTEM / "disk.img").exists() else {},
    needs=(system.QEMU_SYSTEM.name,),
)
PREPARE = [ENVIRONMENT, PACKAGES, ORT_HEADER, WHEEL, INSTALL]
PREPARE_TESTS = [
    *PREPARE,
    TEST_PACKAGES,
    WHEEL_TOOLS,
    RECORDINGS,
    ONNXRUNTIME_110,
    *TFLITE,
    BUILD_TESTS,
    BUILD_ASAN,
    SODIUM_ARM,
    BUILD_ARM,
    ARM_WHEELS,
    ARM_PYTHONS,
    BASE,
    BOARDS,
    Stage("strict", lambda: [], exports=lambda: STRICT),
]
LINT = [
    Stage("ruff", lambda: [[PYTHON, "-m", "ruff", "check", "."]], show=True),
    # The installed wheel: mypy cannot see the folders that are mapped into the package.
    Stage("mypy", lambda: [[PYTHON, "-m", "mypy", "-p", "sanderling"]], show=True),
]

# Each family of engines by itself, so that its time shows.
FAMILIES = ("onnxruntime", "litert")
PARITY = [Stage(f"parity {name}", partial(pytest, "tests/parity", "-k", name), show=True) for name in FAMILIES]
ELSEWHERE = "--ignore=tests/parity"

TARGETS: dict[str, list[Stage]] = {
    "run": [system_packages(), *PREPARE, RECORDINGS, RUNNER, SODIUM_ARM, RUNNER_ARM, DEMO],
    "test": [
        system_packages("test"),
        *PREPARE_TESTS,
        *PARITY,
        Stage("pytest", lambda: pytest_all(ELSEWHERE), show=True, last=True),
    ],
    "test-all": [
        system_packages("test-all"),
        *PREPARE_TESTS,
        *PARITY,
        KERNEL,
        SYSTEM,
        MORE_ARM_WHEELS,
        MORE_ARM_PYTHONS,
        Stage("pytest", lambda: pytest_all("--slow", ELSEWHERE), show=True, last=True),
    ],
    "device": [
        system_packages(),
        ENVIRONMENT,
        WHEEL_TOOLS,
        SODIUM_ARM,
        RUNNER_ARM,
        ORT_HEADER,
        ARM_WHEELS,
        MORE_ARM_WHEELS,
        Stage("for devices", copy_for_devices, needs=ARM, show=True),
    ],
    "lint": [system_packages(), *PREPARE, TEST_PACKAGES, *LINT],
}
