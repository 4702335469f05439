"""The conventions of CONTRIBUTING.md as assertions over the tree."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
CODE = {".py", ".pyi", ".cpp", ".h", ".hpp", ".inl", ".toml", ".cmake", ".sh"}
TEXT = CODE | {".md", ".txt", ".json", ".yml", ".yaml", ".cfg", ""}
IGNORED = {"build", "dist", "runs", "__pycache__", "node_modules"}
MAX_LINES = 400
MAX_FILE = 20 << 20
MAX_WEIGHTS = 3 << 19  # 1.5 MiB: a step stays in a 2 MiB second-level cache
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
KERNELS = ROOT / "csrc" / "kernels"
PACKED = ("size", "pack", "run")


def files(suffixes: set[str] | None = None, folder: Path = ROOT) -> Iterator[Path]:
    """Files of the project, without what .gitignore leaves out and without hidden caches."""
    for path in sorted(folder.iterdir()):
        hidden = path.name.startswith(".") and path.name not in {".ci", ".gitignore"}
        if hidden or path.name in IGNORED or path.name.endswith(".egg-info"):
            continue
        if path.is_dir():
            yield from files(suffixes, path)
        elif suffixes is None or path.suffix in suffixes:
            yield path


def lines_matching(pattern: str, paths: Iterator[Path], flags: int = 0) -> list[str]:
    """`file:line: text` of every match; this file is left out, its patterns would match themselves."""
    wanted = re.compile(pattern, flags)
    found = []
    for path in paths:
        if path == Path(__file__).resolve() or is_corpus(path):
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if wanted.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}")
    return found


def is_corpus(path: Path) -> bool:
    return "corpus" in path.parts


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Full names that a Python file imports, and whether at module level (so at import)."""
    folder = path.parent.relative_to(ROOT).parts
    package = folder[1:] if folder[0] == "python" else ("sanderling", *folder)
    tree = ast.parse(path.read_text())
    top = set(map(id, tree.body))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((name.name, id(node) in top) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*start, *([node.module] if node.module else [])])
            yield from ((f"{base}.{name.name}", id(node) in top) for name in node.names)


def test_files_are_read_in_one_sitting():
    counts = {
        str(path.relative_to(ROOT)): len(path.read_text(errors="replace").splitlines())
        for path in files(CODE)
        if not is_corpus(path)
    }
    assert {name: count for name, count in counts.items() if count >= MAX_LINES} == {}


def test_nothing_is_left_undone():
    words = r"\b(TODO|FIXME|XXX|HACK)\b|raise NotImplementedError"
    assert lines_matching(words, files(TEXT)) == []


def test_no_path_leads_outside_the_repository():
    absolute = r"(?<![\w.$}])/(work|home|root|tmp|opt|mnt|Users)(/|\b(?!\w))"
    assert lines_matching(absolute, files(TEXT)) == []
    # CI sets SANDERLING_DATA there and nowhere else.
    outside = lines_matching(r"\.\./shared", files(TEXT))
    assert all(line.startswith(".ci/run:") and "SANDERLING_DATA" in line for line in outside), outside


def test_relative_paths_stay_inside():
    escapes = []
    for path in files(CODE | {".md"}):
        depth = len(path.relative_to(ROOT).parts) - 1
        in_tests = path.is_relative_to(ROOT / "tests")  # attacks on archives name such paths
        for match in re.finditer(r"(?<![\w.])(?:\.\./)+", path.read_text(errors="replace")):
            if match.group().count("../") > depth and not in_tests:
                escapes.append(f"{path.relative_to(ROOT)}: {match.group()}")
    assert escapes == []


def test_no_package_registry_is_named():
    hosts = (
        r"pypi\.org|pythonhosted\.org|(deb|ftp|security)\.debian\.org|archive\.ubuntu\.com|"
        r"registry\.npmjs\.org|crates\.io|conda\.anaconda\.org|download\.pytorch\.org|"
        r"huggingface\.co|proxy\.golang\.org|raw\.githubusercontent\.com|"
        r"github\.com/\S+/(releases/download|archive|raw)/"
    )
    assert lines_matching(hosts, files(TEXT)) == []


def test_nothing_is_too_big():
    assert [str(path) for path in files() if path.stat().st_size > MAX_FILE] == []
    weights = list((ROOT / "python" / "sanderling" / "weights").glob("*.gguf"))
    assert weights, "expected the shipped model in python/sanderling/weights, found none"
    sizes = {path.name: path.stat().st_size for path in weights}
    assert {name: size for name, size in sizes.items() if size > MAX_WEIGHTS} == {}


def test_tests_do_not_time():
    clocks = r"\b(time\.(time|monotonic|perf_counter|process_time)(_ns)?|perf_counter|timeit)\b|chrono::"
    assert lines_matching(clocks, files({".py", ".cpp", ".h"}, ROOT / "tests")) == []


def test_ruff():
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]


# Folder (or file) -> what it must not import: nothing imports from further down its own arrow.
DOWNSTREAM = ("sanderling.cli", "sanderling.demo", "sanderling.firmware_sim")
TRAINING = ("sanderling.model", "sanderling.train", "sanderling.compress")
BASE = ("torch", "nncf", "gguf", "safetensors", "sanderling.export", *TRAINING)
FORBIDDEN = {
    "python/sanderling/__init__.py": (*BASE, *DOWNSTREAM),
    "python/sanderling/boards.py": (*BASE, *DOWNSTREAM, "sanderling.runtime"),
    "python/sanderling/detect.py": (*BASE, *DOWNSTREAM, "sanderling.evaluate"),
    "python/sanderling/estimate.py": (*BASE, *DOWNSTREAM, "sanderling.runtime"),
    "python/sanderling/errors.py": ("sanderling", *BASE),
    "python/sanderling/runtime": (*BASE, *DOWNSTREAM, "sanderling.evaluate"),
    "python/sanderling/live": (*BASE, *DOWNSTREAM, "sanderling.evaluate", "paho", "prometheus_client"),
    "python/sanderling/signal": (*DOWNSTREAM, *TRAINING, "sanderling.export", "sanderling.evaluate"),
    "python/sanderling/model": (*DOWNSTREAM, *TRAINING[1:], "sanderling.export", "sanderling.evaluate"),
    "python/sanderling/train": (*DOWNSTREAM, "sanderling.compress", "sanderling.export"),
    "python/sanderling/compress": (*DOWNSTREAM, "sanderling.export"),
    "python/sanderling/evaluate": (*DOWNSTREAM, "sanderling.train", "sanderling.compress"),
    "python/sanderling/uses": (*DOWNSTREAM, *TRAINING, "sanderling.export"),
    "python/sanderling/deploy": (*DOWNSTREAM, *TRAINING, "torch", "sanderling.runtime", "sanderling.evaluate"),
    "python/sanderling/bench": (*DOWNSTREAM, *TRAINING, "sanderling.uses"),
    "python/sanderling/cli/main.py": BASE,
    "python/sanderling/cli/registry.py": BASE,
    "python/sanderling/cli/options.py": BASE,
    "python/sanderling/cli/score.py": BASE,
    "python/sanderling/cli/calibrate.py": BASE,
    "python/sanderling/cli/watch.py": BASE,
    "python/sanderling/cli/boards.py": BASE,
    "export": ("sanderling.cli", "sanderling.demo", "sanderling.firmware_sim"),
    "firmware_sim": ("sanderling.cli", "sanderling.demo", "torch"),
}


@pytest.mark.parametrize("where", FORBIDDEN)
def test_imports_follow_the_arrows(where):
    folder = ROOT / where
    own = "sanderling." + folder.name if folder.is_dir() else ""
    wrong = []
    for path in [folder] if folder.is_file() else list(files({".py"}, folder)):
        lazy = path.name == "__init__.py" and path.parent.name == "sanderling"
        for name, at_import in imports(path):
            inside = any(name == bad or name.startswith(bad + ".") for bad in FORBIDDEN[where])
            # The package's __init__ names types for type checkers only.
            if inside and not name.startswith(own + ".") and (at_import or not lazy):
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert wrong == []


def test_verbs_import_heavy_packages_only_when_they_run():
    heavy = ("torch", "nncf", "matplotlib", "pyarrow", "onnx", "gguf", "scipy", "paho", "prometheus_client")
    wrong = [
        f"{path.name} imports {name}"
        for path in files({".py"}, ROOT / "python" / "sanderling" / "cli")
        for name, at_import in imports(path)
        if at_import and name.split(".")[0] in heavy
    ]
    assert wrong == []


def test_import_takes_no_torch():
    script = "import sanderling, sys; assert 'torch' not in sys.modules, 'torch was imported'"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT / "docs")


def test_public_names():
    import sanderling

    assert list(sanderling.__all__) == sorted(sanderling.__all__)
    assert set(sanderling.__all__) <= set(dir(sanderling))
    for name in sanderling.__all__:
        assert getattr(sanderling, name) is not None


def test_every_verb_has_one_file():
    from sanderling.cli.registry import VERBS

    folder = ROOT / "python" / "sanderling" / "cli"
    helpers = {"__init__", "main", "registry", "options"}
    assert {path.stem for path in folder.glob("*.py")} - helpers == set(VERBS)
    assert all(module == f"sanderling.cli.{verb}" for verb, module in VERBS.items())


def test_boards_follow_the_schema():
    from sanderling.boards import load_board_file

    paths = sorted((ROOT / "boards").glob("*.toml"))
    assert paths
    for path in paths:
        assert load_board_file(path).id == path.stem


def test_every_dependency_has_a_reason():
    project = PROJECT["project"]
    wanted = list(project["dependencies"]) + PROJECT["build-system"]["requires"]
    wanted += [line for extra in project["optional-dependencies"].values() for line in extra]
    names = {re.match(r"[\w.-]+", line).group().lower() for line in wanted}
    rows = (ROOT / "ARCHITECTURE.md").read_text().split("## Dependencies")[1].splitlines()
    reasons = [row.strip("|").split("|") for row in rows if row.startswith("|") and "---" not in row]
    named = {n.strip().lower() for row in reasons if row[2].strip() for n in row[0].split(",")}
    assert names - named == set()


def test_changelog_has_this_version():
    import sanderling

    assert f"## {sanderling.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def kernel_files() -> list[tuple[str, str]]:
    """(op, isa) of every kernel file: a folder with a reference is an op."""
    ops = sorted(path.parent.name for path in KERNELS.glob("*/reference.cpp"))
    return [(op, path.stem) for op in ops for path in sorted((KERNELS / op).glob("*.cpp"))]


def test_every_op_is_a_column_of_the_contract():
    columns = set(re.findall(r"^using (\w+)_fn = ", (KERNELS / "kernels.h").read_text(), re.M))
    for op in {op for op, _ in kernel_files()}:
        packed = {f"{op}_{part}" for part in PACKED}
        assert op in columns or packed <= columns, f"kernels.h has no {op}_fn"
        columns -= {op} | packed
    assert columns == set()


def test_every_kernel_file_is_in_the_registry():
    text = (KERNELS / "registry.cpp").read_text()
    cmake = (KERNELS / "CMakeLists.txt").read_text()
    for _, isa in kernel_files():
        # Or a part of one: avx512 has the float ops of two tables.
        assert re.search(rf'TABLE\("[^)]*\b{isa}\b', text), f"registry.cpp has no table {isa}"
        assert re.search(rf'"{isa}\|', cmake), f"csrc/kernels/CMakeLists.txt has no tier {isa}"


@pytest.mark.parametrize(
    "variable, nm",
    [("SANDERLING_BUILD_NATIVE", "nm"), ("SANDERLING_BUILD_AARCH64", "aarch64-linux-gnu-nm")],
)
def test_the_path_is_the_symbol(variable, nm):
    folder = os.environ.get(variable)
    if not folder:
        pytest.skip(f"{variable} is unset; `make test` builds it")
    objects = Path(folder, "CMakeFiles", "sanderling_core.dir", "csrc", "kernels")
    seen = 0
    for op, isa in kernel_files():
        path = objects / op / f"{isa}.cpp.o"
        if not path.exists():
            continue  # a tier of another processor
        command = [nm, "--demangle", "--defined-only", "--extern-only", "--format=posix", str(path)]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        # Weak symbols count: inline STL compiled with this file's flags could win everywhere.
        symbols = {re.split(r"[( ]", line)[0] for line in output.splitlines()}
        single = {f"sanderling::{op}_{isa}"}
        packed = {f"sanderling::{op}_{part}_{isa}" for part in PACKED}
        assert symbols in (single, packed), f"{path}: {symbols}"
        seen += 1
    assert seen >= 2 * len({op for op, _ in kernel_files()})  # the reference and one vector tier


def test_kernels_include_the_contract_and_intrinsics_alone():
    allowed = r'#include (?!"kernels/|<cstddef>|<cstdint>|<cstring>|<immintrin\.h>|<arm_neon\.h>)'
    names = [path for path in files({".cpp", ".inl", ".h"}, KERNELS) if path.parent != KERNELS]
    standard = {"reference.cpp", "scalar.h"}  # std::fma and std::sqrt have no weak symbols of ours
    chosen = iter(path for path in names if path.name not in standard)
    assert lines_matching(allowed, chosen) == []


@pytest.mark.parametrize("folder", ["core", "kernels", "model", "text"])
def test_core_throws_and_prints_nothing(folder):
    forbidden = (
        r"#include <(iostream|ostream|sstream|fstream|exception|stdexcept|thread|regex|locale)>|"
        r"\b(throw|try|catch)\b\s*[({;]|\b(std::)?(printf|puts|cout|cerr)\b\s*[(<]"
    )
    assert lines_matching(forbidden, files({".cpp", ".h", ".inl"}, ROOT / "csrc" / folder)) == []
