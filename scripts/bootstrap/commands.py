"""Where things are kept, and the commands of the stages."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import arm_python
import debian_arm
from stage import BUILD, ROOT, Commands

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
ORT_OLDEST = "onnxruntime==1.16.3"  # that the operator runs in
ORT_INCLUDE = BUILD / "ort-include"
DEVICE, ARM_ROOTS, ARM_SYSTEM = BUILD / "device", BUILD / "arm-roots", BUILD / "arm-system"
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
    python = str(TFLITE_VENV / "bin" / "python")
    packages = [arm_python.NUMPY, arm_python.RUNTIMES["tflite_runtime"], ORT_OLDEST]
    return [
        [sys.executable, "-m", "venv", "--clear", str(TFLITE_VENV)],
        [python, "-m", "pip", "install", "--no-deps", *packages, wheel(WHEELS, "sanderling")],
    ]


def fetch_ort_header() -> Commands:
    return [[sys.executable, "scripts/bootstrap/ort_header.py", str(ORT_INCLUDE)]] if debian_arm.mirror() else []


def ort_include() -> dict[str, str]:
    return {"SANDERLING_ORT_INCLUDE": str(ORT_INCLUDE)} if (ORT_INCLUDE / "onnxruntime_c_api.h").exists() else {}


def fetch_board_packages() -> Commands:
    # Other systems have other packages; a cache may be copied there.
    if not debian_arm.mirror():
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
    # Debian's own Python has no pip.
    return [[PYTHON, "scripts/bootstrap/arm_python.py", str(TFLITE_ARM)]]


def tflite_arm_exports() -> dict[str, str]:
    return {"SANDERLING_TFLITE_ARM": str(TFLITE_ARM)} if TFLITE_ARM.exists() else {}


def build_arm_wheels(*versions: str) -> Commands:
    return [[PYTHON, "scripts/bootstrap/arm_wheels.py", str(DEVICE), *versions]]


def make_arm_roots(*versions: str) -> Commands:
    return [[PYTHON, "scripts/bootstrap/arm_root.py", str(ARM_ROOTS), *versions]]


def make_arm_system() -> Commands:
    return [[PYTHON, "scripts/bootstrap/arm_system.py", str(ARM_SYSTEM), str(ARM_KERNEL)]]


def copy_for_devices() -> Commands:
    """What is no wheel: the static runner, and the client for a Python without one."""
    files = (runner(AARCH64), "python/sanderling/client/sanderling_client.py")
    return [["cp", *files, str(DEVICE)], ["sh", "-c", f"cd {DEVICE} && cat wheels-*.txt && ls -l sanderling*"]]


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


def pytest_all(*options: str) -> Commands:
    """A process a core, whole files to each: a file's fixtures are made once. The slowest tests are shown."""
    return pytest("--numprocesses", JOBS, "--dist", "loadfile", "--durations", "15", *options)
