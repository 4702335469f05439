"""The table: what `make run`, `make test`, `make test-all` and `make lint` do, stage by stage."""

from __future__ import annotations

import importlib.util
import os
import sys
from functools import partial
from pathlib import Path

import arm_python
import system
from stage import BUILD, ROOT, Commands, Stage

VENV = ROOT / ".venv"
PYTHON = str(VENV / "bin" / "python")
BASE_VENV = BUILD / "base-venv"
WHEELS = BUILD / "wheel"
DOWNLOADS = BUILD / "downloads"
NODE = BUILD / "node"
NPM_OPTIONS = ("--prefix", str(NODE), "--ignore-scripts", "--no-audit", "--no-fund")
ORT110 = NODE / "node_modules" / "onnxruntime-node"
TFLITE_VENV, TFLITE_ARM, TFLITE_FILES = (BUILD / f"tflite-{name}" for name in ("venv", "arm", "files"))
ARM_KERNEL, ARM_SODIUM, BOARD_PACKAGES = (BUILD / name for name in ("arm-kernel", "arm-sodium", "board-packages"))
NATIVE, AARCH64, ASAN = BUILD / "native", BUILD / "aarch64", BUILD / "asan"
JOBS = str(len(os.sched_getaffinity(0)))

VERSIONS = ("pyproject.toml", "constraints.txt", "scripts/bootstrap/packages.py")
SOURCES = (
    "CMakeLists.txt",
    "CMakePresets.json",
    "cmake/**/*",
    "csrc/**/*",
    "python/**/*",
    "export/**/*",
    "firmware_sim/**/*",
    "boards/**/*",
    "pyproject.toml",
)


def make_venv() -> Commands:
    if (VENV / "bin" / "pip").exists():
        return []
    # A torch of the system (Jetson's, say) is to be used as it is.
    options = ["--system-site-packages"] if importlib.util.find_spec("torch") else []
    return [[sys.executable, "-m", "venv", *options, str(VENV)]]


def install(*extras: str) -> Commands:
    return [[PYTHON, "scripts/bootstrap/packages.py", *extras]]


def build_wheel() -> Commands:
    build = ["--no-build-isolation", "--no-deps", "--config-settings=build-dir=build/python"]
    pip = [PYTHON, "-m", "pip"]
    return [
        [PYTHON, "-c", f"import shutil; shutil.rmtree({str(WHEELS)!r}, ignore_errors=True)"],
        [*pip, "wheel", *build, "-w", str(WHEELS), "."],
    ]


def wheel(folder: Path, name: str) -> str:
    """Path of the one wheel in a folder; its stem's start when it isn't there yet."""
    return str(next(iter(sorted(folder.glob(f"{name}-*.whl"))), folder / f"{name}-"))


def install_wheel() -> Commands:
    options = ["--no-deps", "--force-reinstall"]
    return [[PYTHON, "-m", "pip", "install", *options, wheel(WHEELS, "sanderling")]]


def make_base_venv() -> Commands:
    python = str(BASE_VENV / "bin" / "python")
    package = wheel(WHEELS, "sanderling")
    return [
        [sys.executable, "-m", "venv", "--clear", str(BASE_VENV)],
        [python, "-m", "pip", "install", "-c", "constraints.txt", package],
    ]


# What litert-torch imports. With dependencies it brings 500 MB for language models, and an xdsl that nobody imports and
# that holds typing_extensions below the version of constraints.txt.
LITERT_TORCH = (
    "litert-torch",
    "litert-converter",
    "ai-edge-quantizer",
    "torchao",
    "jax",
    "jaxlib",
    "opt_einsum",
    "absl-py",
    "backports.strenum",
    "immutabledict",
    "flatbuffers",
    "ml_dtypes",
)


def install_litert_torch() -> Commands:
    return [[PYTHON, "-m", "pip", "install", "--no-deps", "-c", "constraints.txt", *LITERT_TORCH]]


def make_tflite_venv() -> Commands:
    if sys.version_info >= (3, 12):  # tflite-runtime has no wheels for it
        return []
    python, packages = str(TFLITE_VENV / "bin" / "python"), [arm_python.NUMPY, arm_python.RUNTIMES["tflite_runtime"]]
    return [
        [sys.executable, "-m", "venv", "--clear", str(TFLITE_VENV)],
        [python, "-m", "pip", "install", "--no-deps", *packages, wheel(WHEELS, "sanderling")],
    ]


def fetch_board_packages() -> Commands:
    # Other systems have other packages; a cache may be copied there.
    if arm_python.release() != "debian" or os.environ.get("SANDERLING_NO_APT"):
        return []
    return [[PYTHON, "-m", "sanderling", "flash", "fetch-packages", "--cache", str(BOARD_PACKAGES)]]


def board_packages() -> dict[str, str]:
    return {"SANDERLING_PACKAGES": str(BOARD_PACKAGES)} if (BOARD_PACKAGES / "packages.json").exists() else {}


def tflite_exports() -> dict[str, str]:
    python = TFLITE_VENV / "bin" / "python"
    return {"SANDERLING_TFLITE_PYTHON": str(python)} if python.exists() else {}


def make_tflite_arm() -> Commands:
    if not arm_python.possible():
        return []
    return [[sys.executable, "scripts/bootstrap/arm_python.py", str(TFLITE_ARM)]]


def tflite_arm_exports() -> dict[str, str]:
    return {"SANDERLING_TFLITE_ARM": str(TFLITE_ARM)} if TFLITE_ARM.exists() else {}


def download_recordings() -> Commands:
    options = ["--no-deps", "--only-binary=:all:", "-c", "constraints.txt", "-d", str(DOWNLOADS)]
    return [[PYTHON, "-m", "pip", "download", *options, "aeon"]]


def build(preset: str, folder: Path, *targets: str) -> Commands:
    """Configure and build; the targets, or everything, the C++ test programs included."""
    chosen = ["--target", *targets] if targets else []
    # A cross build must not find this machine's library.
    sodium = [f"-DSANDERLING_SODIUM={ARM_SODIUM / 'usr'}"] if folder == AARCH64 else []
    return [
        ["cmake", "--preset", preset, "-B", str(folder), *sodium],
        ["cmake", "--build", str(folder), "--parallel", JOBS, *chosen],
    ]


def runner(folder: Path) -> str:
    return str(next(iter(sorted(folder.glob("**/sanderling-run"))), folder / "sanderling-run"))


def pytest(*options: str) -> Commands:
    color = ["--color=yes"] if sys.stdout.isatty() else []
    return [[PYTHON, "-m", "pytest", *color, *options]]


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
    "test packages", lambda: install("test", "dev"), inputs=VERSIONS, stamps=IN_VENV
)
WHEEL = Stage("wheel", build_wheel, inputs=SOURCES, outputs=lambda: [WHEELS])
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
    Stage("tflite-runtime", make_tflite_venv, inputs=("build/wheel/*.whl",), exports=tflite_exports),
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
DEMO = Stage("demo", lambda: [[PYTHON, "-m", "sanderling.demo", "--out", "build/demo"]], show=True)

BUILD_TESTS = Stage(
    "C++ tests",
    lambda: build("release", NATIVE),
    exports=lambda: {
        "SANDERLING_BUILD_NATIVE": str(NATIVE),
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
PREPARE = [ENVIRONMENT, PACKAGES, WHEEL, INSTALL]
PREPARE_TESTS = [
    *PREPARE,
    TEST_PACKAGES,
    RECORDINGS,
    ONNXRUNTIME_110,
    *TFLITE,
    BUILD_TESTS,
    BUILD_ASAN,
    SODIUM_ARM,
    BUILD_ARM,
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
        Stage("pytest", lambda: pytest(ELSEWHERE), show=True, last=True),
    ],
    "test-all": [
        system_packages("test-all"),
        *PREPARE_TESTS,
        *PARITY,
        KERNEL,
        Stage("pytest", lambda: pytest("--slow", ELSEWHERE), show=True, last=True),
    ],
    "lint": [system_packages(), *PREPARE, TEST_PACKAGES, *LINT],
}
