"""What calibration stores of each channel (docs/model.md, section 8), by three implementations: "level" or "voice".

Each: path of a native file, x (time, channels), a folder to write to -> an array (channels,).
"""

from pathlib import Path

import numpy as np
from sanderling.export.network import TorchEngine
from sanderling.export.reading import read_native

from sanderling import Detector
from sanderling.compress.int8 import Int8Reference
from sanderling.model import ModelConfig
from sanderling.runtime.graph_calibration import calibrate


def of_engine(path: Path, x: np.ndarray, folder: Path, name: str) -> np.ndarray:
    """Of the file that the engine writes."""
    Detector.load(path).fit(x).save(folder / "calibrated.gguf")
    return read_native(folder / "calibrated.gguf").tensors[f"cal.{name}"]


def of_reference(path: Path, x: np.ndarray, folder: Path, name: str) -> np.ndarray:
    model = read_native(path)
    config = ModelConfig.from_dict({k: v for k, v in model.keys.items() if k in ModelConfig.__dataclass_fields__})
    return np.asarray(getattr(Int8Reference(config, model.tensors).calibrate(x).calibration, name))


def of_graph(path: Path, x: np.ndarray, folder: Path, name: str) -> np.ndarray:
    found = calibrate(TorchEngine(read_native(path)), x, standard=False, false_alarms=1.0, period_s=0.0)
    return found.tensors[name]
