"""Runs the README's Python on recordings and says what came out; meant for any machine's Python with the package.

usage: wheel_worker.py README RECORDINGS.npz FOLDER     RECORDINGS has normal and x; FOLDER takes what is saved
"""

import hashlib
import json
import os
import re
import sys
from pathlib import Path

import numpy as np

import sanderling
from sanderling.runtime.isa import isa_names


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def main(readme: Path, recordings: Path, folder: Path) -> None:
    """Prints a line of JSON."""
    arrays = np.load(recordings)
    x = arrays["x"]
    (code,) = re.findall(r"```python\n(import sanderling\n.*?)```", readme.read_text(), re.DOTALL)
    names = {"normal": arrays["normal"], "x": x}
    os.chdir(folder)
    exec(compile(code, str(readme), "exec"), names)
    by_isa = {}
    for isa in isa_names():
        scores = sanderling.Detector.load("pump.gguf", isa=isa).decision_function(x)
        by_isa[isa] = sha256(scores.tobytes())
    wavelet = sanderling.wavedec(np.nan_to_num(x[:, 0]).clip(-9, 9), "db4", level=3)
    found = {
        "wavelet": sha256(b"".join(part.tobytes() for part in wavelet)),
        "scores": sha256(names["scores"].tobytes()),
        "labels": sha256(np.asarray(names["labels"], np.int8).tobytes()),
        "saved": sha256(Path("pump.gguf").read_bytes()),
        "alarms": int(np.sum(names["labels"])),
        "by_isa": by_isa,
        "file": sanderling.__file__,
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(*map(lambda name: Path(name).resolve(), sys.argv[1:4]))
