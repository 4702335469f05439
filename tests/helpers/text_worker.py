"""Embeds tokens with text encoders' .tflite files in another Python, an emulated ARM's too, which has no core of ours.

usage: text_worker.py IN.npz OUT.npz FILE...      IN: ids (texts, tokens), lengths (texts); OUT: (texts, d) by stem
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from sanderling.text.graph_encoder import open_runner, read_document


def main(given: Path, found: Path, files: list[Path]) -> None:
    """See above."""
    arrays = np.load(given)
    texts = [row[:n].tolist() for row, n in zip(arrays["ids"], arrays["lengths"], strict=True)]
    out = {}
    for path in files:
        data = path.read_bytes()
        runner = open_runner(data, read_document(data))
        out[path.stem] = np.concatenate([runner.embed(ids) for ids in texts])
    np.savez(found, **out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), [Path(name) for name in sys.argv[3:]])
