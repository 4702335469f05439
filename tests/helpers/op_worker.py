"""Scores with the operator in a plain onnxruntime session: another version of it, or under a sanitizer.

usage: op_worker.py LIBRARY MODEL.onnx X.npy OUT.npz    OUT: whole, chunks (of 37 samples), version
"""

import sys

import numpy as np
import onnxruntime

library, model, given, out = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.register_custom_ops_library(library)
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
x, none, defaults = np.load(given), np.zeros(0, np.uint8), np.zeros(0, np.float32)


def score(samples: np.ndarray, state: np.ndarray, end: bool) -> list:
    inputs = {"x": samples, "state": state, "end": np.array([end]), "options": defaults}
    return session.run(["score", "state_out"], inputs)


whole, _ = score(x, none, True)
parts, state = [], none
for i in range(0, len(x), 37):
    found, state = score(x[i : i + 37], state, False)
    parts.append(found)
parts.append(score(x[:0], state, True)[0])
np.savez(out, whole=whole, chunks=np.concatenate(parts), version=onnxruntime.__version__)
