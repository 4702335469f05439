"""Builds the package's wheels for 64-bit ARM on this machine and checks what is in them.

usage: arm_wheels.py FOLDER [VERSION...]     CPython versions; default: all of ALWAYS and WHERE_FOUND

FOLDER gets the wheels, wheels-VERSION.txt says what is in each, FOLDER/cmake is the build tree: one for all versions,
so that the core is compiled once. A version whose headers cannot be found is named and skipped; one of ALWAYS is an
error where Debian's packages can be had.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import arm_root
import debian_arm
import elf
from stage import BUILD, ROOT

ALWAYS = ("3.11", "3.13")  # Raspberry Pi OS 12 and 13
WHERE_FOUND = ("3.10", "3.12", "3.14")
PLATFORM = "manylinux_2_28_aarch64"
HEADERS = BUILD / "arm-headers"
WHICH = "import sys; print(sys.executable)"
ASK = "import sysconfig; print(sysconfig.get_path('include'))"
# Free-threaded and debug builds lay objects out in another way.
FORBIDDEN = ("#define Py_GIL_DISABLED 1", "#define Py_DEBUG 1")


def debian_headers(version: str, target: Path) -> bool:
    """Debian's headers of that Python into `target`, with aarch64's own pyconfig.h; whether there are any."""
    if version not in arm_root.PYTHONS:
        return False
    root = HEADERS / f"debian-{version}"
    if not arm_root.release(version).unpack(root, f"libpython{version}-dev"):
        return False
    found = root / "usr" / "include"
    shutil.copytree(found / f"python{version}", target)
    # The one that it replaces includes it by a path that is on the compiler's list in an installed system alone.
    shutil.copy(found / "aarch64-linux-gnu" / f"python{version}" / "pyconfig.h", target / "pyconfig.h")
    shutil.rmtree(root)
    return True


def interpreter(version: str) -> str:
    """Path of an installed CPython of that version; "" where there is none."""
    # pyenv's programs answer for the versions that this variable names.
    environ = os.environ | {"PYENV_VERSION": version}
    try:
        done = subprocess.run([f"python{version}", "-c", WHICH], env=environ, capture_output=True, text=True)
    except OSError:
        return ""
    return "" if done.returncode else done.stdout.strip()


def installed_headers(version: str, target: Path) -> bool:
    """Those of an installed interpreter: on 64-bit Linux the type sizes of pyconfig.h are the same everywhere."""
    program = interpreter(version)
    if not program:
        return False
    found = Path(subprocess.run([program, "-c", ASK], capture_output=True, text=True).stdout.strip())
    if not (found / "Python.h").exists():
        return False
    config = (found / "pyconfig.h").read_text(errors="replace").splitlines()
    if sys.platform != "linux" or sys.maxsize < 2**32 or any(line in config for line in FORBIDDEN):
        return False
    shutil.copytree(found, target)
    return True


def headers(version: str) -> tuple[Path, str]:
    """Folder with Python.h of that CPython for aarch64, and whose they are; "" where there are none."""
    target, note = HEADERS / f"python{version}", HEADERS / f"python{version}.from"
    if note.exists():
        return target, note.read_text()
    HEADERS.mkdir(parents=True, exist_ok=True)
    for source, take in (("Debian", debian_headers), ("an installed interpreter", installed_headers)):
        shutil.rmtree(target, ignore_errors=True)
        if take(version, target):
            note.write_text(source)
            return target, source
    return target, ""


def required(version: str) -> bool:
    """Whether a wheel of that CPython must be there."""
    return version in ALWAYS and bool(debian_arm.mirror())


def zig() -> Path:
    """The compiler, of the package ziglang."""
    import ziglang

    return Path(ziglang.__file__).parent / "zig"


def definitions(version: str, include: Path) -> Mapping[str, str]:
    """What CMake must be told, because it cannot ask an interpreter that runs there."""
    return {
        "CMAKE_TOOLCHAIN_FILE": str(ROOT / "cmake" / "aarch64-zig.cmake"),
        "SANDERLING_ZIG": str(zig()),
        "Python_INCLUDE_DIR": str(include),
        "PYTHON_MODULE_EXTENSION": f".cpython-{version.replace('.', '')}-aarch64-linux-gnu.so",
        "PYTHON_MODULE_DEBUG_POSTFIX": "",
        "PYTHON_IS_DEBUG": "0",
    }


def run(*command: str, **environ: str) -> None:
    """Shows and runs a command from the repository root; its failure ends this program."""
    print("$", " ".join(command), flush=True)
    status = subprocess.run(command, cwd=ROOT, env=os.environ | environ).returncode
    if status:
        sys.exit(status)


def build(version: str, include: Path, folder: Path) -> Path:
    """The wheel of one CPython, by the package's own build backend."""
    options = [f"--config-settings=build-dir={folder / 'cmake'}"]
    defined = definitions(version, include)
    options += [f"--config-settings=cmake.define.{name}={value}" for name, value in defined.items()]
    pip = [sys.executable, "-m", "pip", "wheel", "--disable-pip-version-check", "--no-build-isolation", "--no-deps"]
    tag = "cp" + version.replace(".", "")
    for old in folder.glob(f"*-{tag}-*.whl"):
        old.unlink()
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        run(*pip, *options, "-w", temporary, ".", ZIG_GLOBAL_CACHE_DIR=str(folder / "zig"))
        (made,) = Path(temporary).glob("*.whl")
        # The backend names the interpreter and the machine that it runs on.
        tags = ["--python-tag", tag, "--abi-tag", tag, "--platform-tag", PLATFORM]
        run(sys.executable, "-m", "wheel", "tags", "--remove", *tags, str(made))
        (made,) = Path(temporary).glob("*.whl")
        return Path(shutil.move(str(made), str(folder / made.name)))


def make(version: str, folder: Path) -> tuple[str, bool]:
    """Builds and checks one wheel; what came of it, one line a fact, and whether that is good."""
    include, source = headers(version)
    if not source:
        line = f"CPython {version}: no headers, so no wheel; install python{version} with its headers"
        return line, not required(version)
    wheel = build(version, include, folder)
    problems = elf.problems(wheel)
    lines = [f"{wheel.name}: {problem}" for problem in problems]
    lines.append(f"{wheel.name}: {wheel.stat().st_size / 2**20:.2f} MiB, headers of {source}, {elf.summary(wheel)}")
    return "\n".join(lines), not problems


def main(folder: Path, versions: list[str]) -> int:
    """See above."""
    folder.mkdir(parents=True, exist_ok=True)
    failed = False
    for version in versions or [*ALWAYS, *WHERE_FOUND]:
        text, good = make(version, folder)
        (folder / f"wheels-{version}.txt").write_text(text + "\n")
        print(text, flush=True)
        failed |= not good
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve(), sys.argv[2:]))
