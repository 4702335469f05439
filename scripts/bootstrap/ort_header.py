"""Takes onnxruntime's own C header from Debian's libonnxruntime-dev, unpacked and not installed.

usage: ort_header.py FOLDER     afterwards FOLDER/onnxruntime_c_api.h is there, or it is said what goes without it

The operator for onnxruntime (csrc/ort) is built against it. The package's architecture doesn't matter to a header.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import debian_arm

RELEASE, PACKAGE = "trixie", "libonnxruntime-dev"  # Debian 12 has none
HEADER = "onnxruntime_c_api.h"


def main(folder: Path) -> None:
    """See above."""
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary, "root")
        if not debian_arm.Release(RELEASE, Path(temporary, "apt")).unpack(root, PACKAGE):
            print(f"missing {PACKAGE} of Debian {RELEASE}; skipped: the operator for onnxruntime")
            return
        folder.mkdir(parents=True)
        shutil.copy(root / "usr" / "include" / "onnxruntime" / HEADER, folder / HEADER)
    print("found")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
