"""The wheels for aarch64: what they ask of a system, and the package installed from them on emulated processors."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import sanderling
from sanderling.runtime import onnx_op
from tests.helpers import emulated
from tests.programs import ROOT, environment
from tests.runner.recordings import recording

sys.path.insert(0, str(ROOT / "scripts" / "bootstrap"))
import arm_root  # noqa: E402
import arm_wheels  # noqa: E402
import elf  # noqa: E402

LARGEST = 4 << 20  # bytes of a wheel: two models and a core
OPERATOR = "sanderling/libsanderling_ort.so"
WORKER = ROOT / "tests" / "helpers" / "wheel_worker.py"
OPERATOR_WORKER = WORKER.with_name("op_worker.py")
VERSIONS = [*arm_wheels.ALWAYS, *(pytest.param(v, marks=pytest.mark.slow) for v in arm_wheels.WHERE_FOUND)]
# Python -> emulated processors. All wheels hold the same core.
RUNS = [("3.11", "cortex-a53"), ("3.11", "cortex-a76"), ("3.13", "cortex-a72")]
MORE_RUNS = [("3.11", "cortex-a72"), ("3.13", "cortex-a53"), ("3.13", "cortex-a76"), ("3.14", "cortex-a53")]
MORE_RUNS += [("3.14", "cortex-a72"), ("3.14", "cortex-a76")]
RUNS += [pytest.param(*run, marks=pytest.mark.slow) for run in MORE_RUNS]
TIERS = {"cortex-a53": ["neon", "reference"], "cortex-a72": ["neon", "reference"]}
TIERS["cortex-a76"] = ["neon_dotprod", "neon", "reference"]


def wheel(version: str) -> Path:
    """The wheel of that CPython; a missing one is an error where its headers were found."""
    folder = Path(environment("SANDERLING_ARM_WHEELS"))
    tag = "cp" + version.replace(".", "")
    found = sorted(folder.glob(f"sanderling-*-{tag}-{tag}-{arm_wheels.PLATFORM}.whl"))
    if not found and not arm_wheels.required(version) and not arm_wheels.headers(version)[1]:
        pytest.skip(f"no headers: CPython {version} comes from Debian's packages or an installed interpreter")
    assert len(found) == 1, f"expected one wheel {tag} in {folder}, found {len(found)}"
    return found[0]


def root(version: str) -> Path:
    folder = Path(environment("SANDERLING_ARM_ROOTS")) / version
    if not folder.exists():
        pytest.skip(f"no root file system: the emulated Python {version} comes from Debian's packages")
    return folder / "root"


def module(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        (name,) = [name for name in archive.namelist() if name.startswith("sanderling/_core.") and name.endswith(".so")]
        return archive.read(name)


@pytest.mark.parametrize("version", VERSIONS)
def test_nothing_in_it_is_newer_than_its_tag(version: str) -> None:
    path = wheel(version)
    assert elf.problems(path) == []
    assert path.stat().st_size < LARGEST
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
        (metadata,) = [archive.read(name).decode() for name in names if name.endswith(".dist-info/WHEEL")]
    tag = "cp" + version.replace(".", "")
    assert re.findall(r"^Tag: (.*)$", metadata, re.MULTILINE) == [f"{tag}-{tag}-{arm_wheels.PLATFORM}"]
    suffix = f".cpython-{version.replace('.', '')}-aarch64-linux-gnu.so"
    operator = [OPERATOR] if os.environ.get("SANDERLING_ORT_INCLUDE") else []
    assert [name for name in names if ".so" in name] == [f"sanderling/_core{suffix}", *operator]
    assert {"sanderling/weights/tiny.gguf", "sanderling/boards/rpi4b.toml"} <= set(names)


@pytest.mark.parametrize("version", arm_wheels.ALWAYS)
def test_the_versions_are_readelf_s(version: str, tmp_path: Path) -> None:
    file = tmp_path / "module.so"
    file.write_bytes(module(wheel(version)))
    said = subprocess.run(
        ["aarch64-linux-gnu-readelf", "--version-info", "--dynamic", "--wide", str(file)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"LC_ALL": "C"},
    ).stdout
    found = elf.needs(file.read_bytes())
    assert set(found.versions) == set(re.findall(r"Name: (\S+)  Flags", said))
    assert list(found.libraries) == re.findall(r"NEEDED.*\[(.*)\]", said)
    assert found.versions and found.libraries


HAS = "import ctypes, sys; own = ctypes.PyDLL(None); print([n for n in sys.stdin if not hasattr(own, n[:-1])])"


@pytest.mark.slow
@pytest.mark.parametrize("version", [*arm_wheels.ALWAYS, *arm_wheels.WHERE_FOUND])
def test_its_python_has_what_the_module_asks_for(version: str, tmp_path: Path) -> None:
    """The C API's names by an interpreter of that version, of whatever machine: the names are the same on each."""
    program = arm_wheels.interpreter(version)
    if not program:
        pytest.skip(f"the C API's names: CPython {version} comes from Debian's packages or an installed interpreter")
    file = tmp_path / "module.so"
    file.write_bytes(module(wheel(version)))
    said = subprocess.run(
        ["aarch64-linux-gnu-readelf", "--dyn-syms", "--wide", str(file)], capture_output=True, text=True, check=True
    ).stdout
    names = re.findall(r" UND (_?Py\w+)", said)
    assert "PyModule_Create2" in names or "PyModuleDef_Init" in names
    # The last is no name of any: the check can fail.
    asked = "".join(f"{name}\n" for name in [*names, "Py_NoSuchName"])
    done = subprocess.run([program, "-c", HAS], input=asked, capture_output=True, text=True)
    assert done.stdout == "['Py_NoSuchName\\n']\n", done.stderr


def test_a_foreign_or_newer_module_is_named(tmp_path: Path) -> None:
    good = module(wheel("3.11"))
    assert b"GLIBC_2.17\0" in good and b"libdl.so.2\0" in good
    wrong = {
        "machine 183": good[:18] + b"\x3e\0" + good[20:],
        "GLIBC_2.29 is too new": good.replace(b"GLIBC_2.17\0", b"GLIBC_2.29\0"),
        "GLIBC_PRI is too new": good.replace(b"GLIBC_2.17\0", b"GLIBC_PRI\0\0"),
        "loads libxx.so.2": good.replace(b"libdl.so.2\0", b"libxx.so.2\0"),
    }
    for problem, data in wrong.items():
        path = tmp_path / "wrong.whl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("sanderling/_core.so", data)
        assert any(problem in line for line in elf.problems(path)), problem
    own = Path(sys.modules["sanderling._core"].__file__) if "sanderling._core" in sys.modules else None
    if own is not None:
        assert elf.needs(own.read_bytes()).machine != elf.AARCH64


@pytest.mark.parametrize("cut", [0, 5, 63, 64, -1000], ids=["empty", "magic", "header", "sections", "end"])
def test_a_cut_module_is_an_error(cut: int) -> None:
    with pytest.raises(ValueError, match="expected"):
        elf.needs(module(wheel("3.11"))[:cut])


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recordings") / "in.npz"
    # The reference ends before the recording's step.
    np.savez(path, normal=recording(800, 2, seed=1)[:520], x=recording(203, 2, seed=2))
    return path


def ran(command: list[str], recordings: Path, folder: Path) -> dict:
    """What the worker says, from a folder without our sources."""
    folder.mkdir()
    words = [*command, str(WORKER), str(ROOT / "README.md"), str(recordings), str(folder)]
    environ = {name: value for name, value in os.environ.items() if name != "SANDERLING_ISA"}
    done = subprocess.run(words, cwd=folder, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def here(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """The README's lines on this machine."""
    return ran([sys.executable], recordings, tmp_path_factory.mktemp("here") / "work")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory):
    """Python's version -> folder into which that Python's own pip has installed wheel and numpy, without an index."""
    made: dict[str, Path] = {}

    def get(version: str) -> Path:
        if version not in made:
            site = tmp_path_factory.mktemp("site") / version
            (pip,) = (root(version).parent / "wheels").glob("pip-*.whl")
            command = [*emulated.python(root(version), version, "cortex-a72"), str(pip / "pip"), "install", "-q"]
            command += ["--no-index", "--disable-pip-version-check", "--no-compile", "--no-cache-dir"]
            links = [word for folder in (wheel(version).parent, pip.parent) for word in ("--find-links", str(folder))]
            words = [*command, *links, "--target", str(site), "sanderling"]
            done = subprocess.run(words, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
            made[version] = site
        return made[version]

    return get


@pytest.mark.parametrize(("version", "cpu"), RUNS)
def test_the_readme_s_lines_give_the_desktop_s_bits(installed, here, recordings, tmp_path, version, cpu) -> None:
    site = installed(version)
    found = ran(emulated.python(root(version), version, cpu, site), recordings, tmp_path / "work")
    assert found["python"] == version and Path(found["file"]).is_relative_to(site)
    assert list(found["by_isa"]) == TIERS[cpu]
    assert set(found["by_isa"].values()) == set(here["by_isa"].values()) == {here["scores"]}
    for key in ("scores", "labels", "saved", "alarms", "wavelet"):
        assert found[key] == here[key], key
    assert found["alarms"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("cpu", ["cortex-a72", "cortex-a76"])
def test_the_operator_in_an_onnxruntime_for_arm(installed, recordings, tmp_path, model_path, cpu) -> None:
    site = installed(arm_root.RUNTIME_PYTHON)
    if not (site / OPERATOR).exists():
        pytest.skip("the operator is not in the wheel: onnxruntime's header comes from Debian's packages")
    here = root(arm_root.RUNTIME_PYTHON)
    (runtime,) = (here.parent / "wheels").glob("onnxruntime-*.whl")
    with zipfile.ZipFile(runtime) as archive:
        archive.extractall(tmp_path / "runtime")
    with np.load(recordings) as arrays:
        np.save(tmp_path / "x.npy", arrays["x"])
        expected = sanderling.Detector.load(model_path).decision_function(arrays["x"])
    (tmp_path / "m.onnx").write_bytes(onnx_op.op_model_bytes(model_path.read_bytes()))
    words = [str(OPERATOR_WORKER), str(site / OPERATOR), *(str(tmp_path / n) for n in ("m.onnx", "x.npy", "out.npz"))]
    command = [*emulated.python(here, arm_root.RUNTIME_PYTHON, cpu, site, tmp_path / "runtime"), *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(tmp_path / "out.npz") as found:
        assert str(found["version"]) == arm_root.RUNTIME.partition("==")[2]
        assert np.array_equal(found["whole"], expected) and np.array_equal(found["chunks"], expected)


def test_every_python_of_a_root_has_a_wheel() -> None:
    assert set(arm_wheels.ALWAYS) <= set(arm_root.PYTHONS) <= {*arm_wheels.ALWAYS, *arm_wheels.WHERE_FOUND}
