"""`python -m sanderling.demo`: the whole way once, with a report."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sanderling.errors import InputError, SanderlingError

NEEDS = {
    "SANDERLING_AEON_WHEEL": "the aeon wheel with the recordings",
    "SANDERLING_RUNNER_ARM": "sanderling-run for aarch64",
}


class Stages:
    """Prints each stage with its time and keeps the times for the report."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        print(f"-- {name} ...", flush=True)
        begun = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - begun, 1)
        print(f"   {self.seconds[name]:.1f} s", flush=True)


def required(name: str) -> Path:
    """The file that an environment variable names. Raises InputError."""
    value = os.environ.get(name, "")
    if not Path(value).is_file():
        raise InputError(
            f"{name}: expected the path of {NEEDS[name]}, found {value!r}; 'make run' sets it"
        )
    return Path(value)


def main(argv: list[str] | None = None) -> int:
    """Returns 0 when every check of the report holds, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m sanderling.demo", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/demo"))
    parser.add_argument("--steps", type=int, default=150, help="pruning and distillation steps")
    args = parser.parse_args(argv)
    # Before torch comes: its waiting threads would spin, and starve each other on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        from .report import write_html
        from .run import run_all

        stages = Stages()
        report = run_all(
            args.out,
            required("SANDERLING_AEON_WHEEL"),
            required("SANDERLING_RUNNER_ARM"),
            args.steps,
            stages.stage,
        )
    except SanderlingError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    report["stage_seconds"] = stages.seconds
    (args.out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    write_html(report, args.out)
    failed = [name for name, held in report["checks"].items() if not held]
    for name, held in report["checks"].items():
        print(f"{'ok    ' if held else 'FAILED'} {name}")
    print(args.out / "report.html")
    print(args.out / "report.json")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
