"""onnxruntime's aarch64 wheel on the emulated machine of count.py: instructions of a call, counted like the engine's.

usage: python -m csrc.bench.arm.peers FOLDER --kernel IMAGE --onnx FILE... [--json FILE] [--markdown FILE]

FOLDER takes Debian's Python and the wheels for arm64 on the first run (200 MB). The graphs are stream-NAME.onnx (one
patch, state in and out) and window-NAME.onnx (64 tokens), as sanderling.bench.onnx_files writes. A call that hands the
same inputs through is counted too (`call`): what Python and onnxruntime cost before any work. Model figures.
"""

from __future__ import annotations

import argparse
import os
import re
import stat
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from sanderling.firmware_sim.initramfs import entry

from csrc.bench.arm.count import BootError, boot, counts
from csrc.bench.arm.debian import fetch_root
from csrc.bench.arm.record import add_arguments, write

CPUS = {"cortex-a53": "neon", "cortex-a76": "neon_dotprod"}  # onnxruntime picks its kernels by the processor
MEMORY_MIB = 1500
WHEELS = ("numpy", "onnxruntime")
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64")
SKIPPED = {"tests", "transformers", "quantization", "tools", "datasets", "share", "doc"}  # folders that no run reads


def fetch(folder: Path) -> None:
    """Debian's Python into FOLDER/root and the wheels into FOLDER/packages, unless they are there. Raises BootError."""
    if not list(folder.glob("root/usr/bin/python3.*")):
        folder.mkdir(parents=True, exist_ok=True)
        if reason := fetch_root(folder, "python3", "libstdc++6"):
            raise BootError(reason)
    if (folder / "packages").exists():
        return
    version = next(re.findall(r"python(3\.\d+)$", str(path))[0] for path in folder.glob("root/usr/bin/python3.[0-9]*"))
    options = ["--no-deps", "--only-binary=:all:", "--python-version", version, "-d", str(folder / "wheels")]
    options += [word for platform in PLATFORMS for word in ("--platform", platform)]
    subprocess.run([sys.executable, "-m", "pip", "download", *options, *WHEELS], check=True)
    for wheel in sorted((folder / "wheels").glob("*.whl")):
        zipfile.ZipFile(wheel).extractall(folder / "packages")


def tree(source: Path, prefix: str) -> Iterator[tuple[str, bytes, int]]:
    """Name, data and mode of what lies under a folder, folders before what they hold."""
    for path, folders, files in os.walk(source):
        folders[:] = sorted(name for name in folders if name not in SKIPPED)
        inside = "/".join(part for part in (prefix, os.path.relpath(path, source)) if part and part != ".")
        if inside:
            yield inside, b"", stat.S_IFDIR | 0o755
        for name in [*folders, *sorted(files)]:
            item, full = Path(path, name), f"{inside}/{name}" if inside else name
            if item.is_symlink():
                yield full, os.readlink(item).encode(), stat.S_IFLNK | 0o777
            elif item.is_file():
                yield full, item.read_bytes(), stat.S_IFREG | 0o755


def archive(folder: Path, graphs: dict[str, bytes]) -> bytes:
    """The initramfs: Python, the wheels, the graphs and peers_guest.py as the first process."""
    guest = Path(__file__).with_name("peers_guest.py").read_bytes()
    files = [("dev", b"", stat.S_IFDIR | 0o755), *tree(folder / "root", ""), *tree(folder / "packages", "packages")]
    files += [("onnx", b"", stat.S_IFDIR | 0o755)]
    files += [(f"onnx/{name}", data, stat.S_IFREG | 0o644) for name, data in graphs.items()]
    files += [("init", guest, stat.S_IFREG | 0o755)]
    entries = [entry(name, data, mode, number) for number, (name, data, mode) in enumerate(files, 2)]
    console = entry("dev/console", b"", stat.S_IFCHR | 0o600, 1, (5, 1))
    return b"".join([entries[0], console, *entries[1:], entry("TRAILER!!!", b"", 0, 0)])


def handed_through(graph: bytes) -> bytes:
    """A graph with the same inputs, each of them an output as it is."""
    import onnx
    from onnx import helper

    model = onnx.load_from_string(graph)
    inputs = list(model.graph.input)
    outputs = [helper.make_tensor_value_info(f"{i.name}_out", i.type.tensor_type.elem_type, None) for i in inputs]
    nodes = [helper.make_node("Identity", [i.name], [o.name]) for i, o in zip(inputs, outputs, strict=True)]
    versions = {"opset_imports": model.opset_import, "ir_version": model.ir_version}
    return helper.make_model(helper.make_graph(nodes, "call", inputs, outputs), **versions).SerializeToString()


def measure(folder: Path, kernel: Path, paths: list[Path]) -> dict:
    """The record: a row for each processor and graph. Raises BootError, FileNotFoundError."""
    fetch(folder)
    graphs = {path.name: path.read_bytes() for path in paths}
    for mode in ("stream", "window"):
        first = next((data for name, data in graphs.items() if name.startswith(f"{mode}-")), None)
        if first is None:
            raise FileNotFoundError(f"expected a graph {mode}-NAME.onnx, found {', '.join(graphs) or 'none'}")
        graphs[f"{mode}-call.onnx"] = handed_through(first)
    image = archive(folder, graphs)
    rows = [{"cpu": cpu} | row for cpu in CPUS for row in counts(boot(kernel, image, cpu, MEMORY_MIB))]
    what = "Model figures: instructions on an emulated machine (qemu -icount), one channel; no board was measured"
    return {"what": what, "rows": rows}


def markdown(record: dict) -> str:
    version = record["rows"][0]["onnxruntime"]
    lines = [
        f"{record['what']}. onnxruntime {version}; `call` hands the inputs through and is contained in the others.",
        "",
        "| processor | graph | one patch, streamed | window of 64 tokens |",
        "|---|---|---|---|",
    ]
    found = {}
    for row in record["rows"]:
        mode, name = row["graph"].removesuffix(".onnx").split("-", 1)
        found[row["cpu"], mode, name] = row["instructions"]
    for cpu, name in dict.fromkeys((cpu, name) for cpu, _, name in found):
        cells = [f"{found[cpu, mode, name]:,}" for mode in ("stream", "window")]
        lines.append(f"| {cpu} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="count onnxruntime's instructions on an emulated ARM machine")
    parser.add_argument("folder", type=Path, help="takes Python and the wheels for arm64")
    parser.add_argument("--kernel", type=Path, required=True, help="Linux kernel for arm64")
    parser.add_argument("--onnx", type=Path, required=True, nargs="+", help="stream-NAME.onnx and window-NAME.onnx")
    add_arguments(parser)
    options = parser.parse_args()
    record = measure(options.folder.resolve(), options.kernel, options.onnx)
    write(options, record, markdown)


if __name__ == "__main__":
    main()
