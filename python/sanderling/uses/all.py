"""Every use, one after the other: `python -m sanderling.uses.all [--data FOLDER] [--model FILE] -o OUT`.

Writes each use's table, figures and picture to OUT. Where `--docs` (default: docs/uses.md) exists, its section between
the markers is replaced by the tables, and the pictures beside it (uses/*.png) by the new ones.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from sanderling.errors import InputError, StorageError
from sanderling.files import write_file
from sanderling.runtime.detector import Detector
from sanderling.uses import bearings, city, common, fraud, servers, turbofan

USES: dict[str, tuple[str, common.Use]] = {
    "bearings": ("Bearings", bearings.run),
    "servers": ("Servers", servers.run),
    "city": ("City and plant", city.run),
    "turbofan": ("Turbofan wear", turbofan.run),
    "fraud": ("Payment fraud (SIMULATED)", fraud.run),
}
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = common.parser(__doc__)
    parser.add_argument("--docs", type=Path, default=Path("docs/uses.md"), help="the page whose tables are replaced")
    options = parser.parse_args(arguments)
    inputs = common.Inputs(options.data, options.model)
    return common.guarded("all", lambda: run_all(inputs, options.out, options.docs))


def run_all(inputs: common.Inputs, out: Path, docs: Path) -> None:
    found = {}
    for name, (title, use) in USES.items():
        found[name] = common.write(name, use, inputs, out).markdown
        print(f"## {title}\n\n{found[name]}", flush=True)
    if docs.is_file():
        update(docs, found, inputs, out)


def update(docs: Path, found: Mapping[str, str], inputs: common.Inputs, out: Path) -> None:
    """Puts the tables between the page's markers and the pictures beside it. InputError without the markers."""
    text = docs.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InputError(f"{docs}: expected the lines {BEGIN} and {END}, found them missing; put them back")
    page = f"{before}{BEGIN}\n{measured(found, Detector.load(inputs.model))}{END}{after}"
    pictures = docs.parent / docs.stem
    try:
        pictures.mkdir(exist_ok=True)
        for name in found:
            shutil.copyfile(out / f"{name}.png", pictures / f"{name}.png")
    except OSError as error:
        raise StorageError(f"expected to write the pictures to {pictures}, found: {error.strerror}") from error
    write_file(docs, lambda file: file.write(page.encode()))


def measured(found: Mapping[str, str], detector: Detector) -> str:
    """The section: the model's hash, then a heading and the tables a use."""
    head = f"Model `{detector.info['variant']}`, sha256 `{detector.sha256()}`.\n"
    parts = [f"### {USES[name][0]}: measured\n\n{text.strip()}\n" for name, text in found.items()]
    return "\n".join([head, *parts])


if __name__ == "__main__":
    sys.exit(main())
