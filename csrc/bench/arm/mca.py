"""Model figures of the ARM kernels' inner loops: llvm-mca on the disassembled object that ships.

usage: python -m csrc.bench.arm.mca BUILD [--json FILE] [--markdown FILE]    BUILD: a build folder for aarch64

A loop is found in the object by its label, and counts only if the function that the registry's row of that
instruction set points to reaches it. The figures are those of a model of the core (LLVM's), not of a board: they know
nothing of caches. LLVM 14 to 16 have no model of their own for neoverse-n1 and use the A57's (three instructions and
one load a cycle).
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from csrc.bench.arm.record import add_arguments, write

# Multiply-accumulates of an instruction, by mnemonic and shape of the result.
MACS = {("smull", "8h"): 8, ("smlal", "8h"): 8, ("smlal2", "8h"): 8, ("smull2", "8h"): 8, ("sdot", "4s"): 16}
ITERATIONS = (100, 300)  # the difference leaves out the first iterations' start


@dataclass(frozen=True)
class Core:
    """A processor model of llvm-mca: what it stands for, and the most that its vector pipes can do.

    peak is in multiply-accumulates a cycle with the instructions of the tier `isa`; bar is what the loop over four rows
    must reach.
    """

    model: str
    isa: str
    stands_for: str
    peak: float
    bar: float


CORES = (
    Core("cortex-a53", "neon", "Cortex-A53", 16 / 3, 4.2),
    Core("cortex-a72", "neon", "Cortex-A57, A72", 8.0, 7.6),
    Core("neoverse-n1", "neon_dotprod", "Cortex-A76, A78AE", 32.0, 31.0),
)
# Label of the loop -> rows of the matrix that it takes at once. A single row has no bar: it waits for its loads.
LOOPS = {
    "neon": {"sanderling_qgemm_neon_4x4": 4, "sanderling_qgemm_neon_1x8": 1},
    "neon_dotprod": {"sanderling_qgemm_neon_dotprod_4x16": 4, "sanderling_qgemm_neon_dotprod_1x16": 1},
}


class LoopError(Exception):
    """The object doesn't hold the loop where the registry would run it; the message says what was found."""


def tool(*names: str) -> str:
    """Path of the first program that exists. Raises FileNotFoundError naming the Debian package."""
    for name in names:
        found = shutil.which(name)
        if found:
            return found
    package = "llvm" if "mca" in names[0] else "binutils-aarch64-linux-gnu"
    raise FileNotFoundError(f"expected {' or '.join(names)}, found none; install the package {package}")


def mca() -> str:
    return tool("llvm-mca", *(f"llvm-mca-{version}" for version in range(22, 13, -1)))


def output(*command: str | Path, text: str | None = None) -> str:
    done = subprocess.run([str(word) for word in command], input=text, capture_output=True, text=True)
    if done.returncode:
        raise LoopError(f"{' '.join(map(str, command))}: {done.stderr.strip()[:500]}")
    return done.stdout


def disassemble(path: Path) -> dict[str, list[str]]:
    """Instructions of each symbol of an object, labels included, in the order of addresses."""
    objdump = tool("aarch64-linux-gnu-objdump", "llvm-objdump")
    symbols: dict[str, list[str]] = {}
    for line in output(objdump, "-d", "-C", "--no-show-raw-insn", path).splitlines():
        if head := re.fullmatch(r"[0-9a-f]+ <(.+)>:", line):
            symbols[head[1]] = current = []
        elif instruction := re.fullmatch(r"\s+[0-9a-f]+:\s+(.+?)(\s+//.*)?", line):
            current.append(instruction[1])
    return symbols


def registry_row(path: Path, isa: str) -> list[str]:
    """Functions that the table of `isa` points to, from the relocations of the registry's object. Raises LoopError."""
    strings = {}
    for line in output(tool("aarch64-linux-gnu-readelf", "readelf"), "-p", ".rodata.str1.8", path).splitlines():
        if entry := re.fullmatch(r"\s+\[\s*([0-9a-f]+)\]\s+(\w+)", line):
            strings[int(entry[1], 16)] = entry[2]
    row: list[str] | None = None
    objdump = tool("aarch64-linux-gnu-objdump", "llvm-objdump")
    for line in output(objdump, "-r", "-C", path).splitlines():
        value = re.fullmatch(r"[0-9a-f]+ R_AARCH64_ABS64\s+(.+)", line)
        if not value:
            continue
        if name := re.fullmatch(r"\.rodata\.str1\.8(?:\+0x([0-9a-f]+))?", value[1]):
            if row is not None:
                break
            row = [] if strings.get(int(name[1] or "0", 16)) == isa else None
        elif row is not None:
            row.append(value[1].split("(")[0])
    if not row:
        raise LoopError(f"expected a row {isa} in the registry's tables, found none in {path}")
    return row


def reached(symbols: dict[str, list[str]], function: str) -> set[str]:
    """Functions that `function` calls or continues in, itself included; a label belongs to the function before it."""
    owner, members = "", {}
    for symbol in symbols:
        owner = owner if symbol.startswith("sanderling_") else symbol
        members.setdefault(owner, []).append(symbol)
    seen: set[str] = set()
    todo = [name for name in members if name.split("(")[0] == function]
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        for symbol in members.get(name, []):
            for line in symbols[symbol]:
                if call := re.match(r"bl?\s+[0-9a-f]+ <(.+?)(\+0x[0-9a-f]+)?>$", line):
                    todo.append(call[1])
    return {symbol for name in seen for symbol in members.get(name, [])}


def loop(build: Path, isa: str, label: str) -> list[str]:
    """The loop's instructions, its branch last, of csrc/kernels/qgemm/<isa>.cpp in a build folder.

    Raises LoopError when there is no such label, or more than one, or when the registry's table of `isa` doesn't lead
    there.
    """
    kernels = build / "CMakeFiles" / "sanderling_core.dir" / "csrc" / "kernels"
    return loop_of(kernels / "qgemm" / f"{isa}.cpp.o", registry_row(kernels / "registry.cpp.o", isa), isa, label)


def loop_of(path: Path, row: list[str], isa: str, label: str) -> list[str]:
    """loop() for an object and a row of the registry."""
    symbols = disassemble(path)
    found = [symbol for symbol in symbols if re.fullmatch(rf"{label}_\d+", symbol)]
    if len(found) != 1:
        raise LoopError(f"expected one label {label} in {path}, found {len(found)}")
    function = f"sanderling::qgemm_run_{isa}"
    if function not in row:
        raise LoopError(f"expected {function} in the registry's row {isa}, found {', '.join(row)}")
    if found[0] not in reached(symbols, function):
        raise LoopError(f"expected {label} in what {function} reaches, found it outside")
    body = []
    for instruction in symbols[found[0]]:
        body.append(instruction)
        if re.match(rf"b\.ne\s+[0-9a-f]+ <{found[0]}>", instruction):
            return body
    raise LoopError(f"expected a branch back to {label}, found none")


def macs(body: list[str]) -> int:
    """Multiply-accumulates of one iteration."""
    total = 0
    for instruction in body:
        name, _, operands = instruction.replace("\t", " ").partition(" ")
        shape = re.match(r"\s*v\d+\.(\w+)", operands)
        total += MACS.get((name, shape[1]), 0) if shape else 0
    return total


def cycles(body: list[str], core: str) -> float:
    """Cycles of one iteration by llvm-mca's model of the core, the loop's data in L1."""
    text = "loop:\n" + "\n".join([*body[:-1], "b.ne loop"]) + "\n"
    totals = []
    for iterations in ITERATIONS:
        options = ["-mtriple=aarch64", "-mattr=+dotprod", f"-mcpu={core}", f"-iterations={iterations}"]
        report = output(mca(), *options, text=text)
        found = re.search(r"^Total Cycles:\s+(\d+)", report, re.M)
        assert found, report[:500]
        totals.append(int(found[1]))
    return (totals[1] - totals[0]) / (ITERATIONS[1] - ITERATIONS[0])


def measure(build: Path) -> dict:
    """The record: version of the tool and a row for each core and loop."""
    rows = []
    for core in CORES:
        for label, n_rows in LOOPS[core.isa].items():
            body = loop(build, core.isa, label)
            work, took = macs(body), cycles(body, core.model)
            rows.append({
                "core": core.model,
                "stands_for": core.stands_for,
                "isa": core.isa,
                "loop": label,
                "rows": n_rows,
                "instructions": len(body),
                "mac": work,
                "cycles": round(took, 2),
                "mac_per_cycle": round(work / took, 2),
                "peak": round(core.peak, 2),
                "bar": core.bar if n_rows > 1 else None,
            })
    version = re.search(r"LLVM version (\S+)", output(mca(), "--version"))
    what = "Model figures: llvm-mca on the shipped object's inner loops, data in L1; no board was measured"
    return {"what": what, "llvm": version[1] if version else "unknown", "rows": rows}


def markdown(record: dict) -> str:
    lines = [
        f"{record['what']} (LLVM {record['llvm']}).",
        "",
        "| core model | stands for | tier | rows | MAC a cycle | theoretical peak | share | bar |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in record["rows"]:
        share = row["mac_per_cycle"] / row["peak"]
        cells = [row["core"], row["stands_for"], row["isa"], row["rows"], f"{row['mac_per_cycle']:.2f}"]
        cells += [f"{row['peak']:.2f}", f"{share:.0%}", row["bar"] or ""]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="llvm-mca on the inner loops of the ARM kernels that ship")
    parser.add_argument("build", type=Path, help="build folder for aarch64")
    add_arguments(parser)
    options = parser.parse_args()
    record = measure(options.build)
    write(options, record, markdown)


if __name__ == "__main__":
    main()
