"""Brings a machine from a clean clone to a finished target; the Makefile calls it through setup.sh.

usage: python3 scripts/bootstrap {run,test,test-all,device,lint}
"""

from __future__ import annotations

import sys
import time

import system
from stage import run_stages
from targets import TARGETS


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in TARGETS:
        found = " ".join(arguments) or "nothing"
        print(f"bootstrap: expected one of {', '.join(TARGETS)}, found {found}", file=sys.stderr)
        return 2
    target = arguments[0]
    stages = TARGETS[target]
    start = time.monotonic()
    try:
        status = run_stages(stages, lambda: {tool.name for tool in system.missing()})
    except KeyboardInterrupt:
        print("\nbootstrap: interrupted")
        return 130
    if not stages[-1].last:
        result = "failed" if status else "done"
        print(f"make {target}: {result} after {time.monotonic() - start:.0f} s")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
