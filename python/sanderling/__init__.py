"""Sanderling: time-series anomaly detection on small boards.

    det = sanderling.Detector.load()        # the shipped model; or a path
    det.fit(reference)                      # optional: what normal looks like
    scores = det.decision_function(x)       # float32 (time,), higher = more anomalous

Signals are laid out (time, channels). Nothing here imports torch; submodules are loaded on first use.
"""

from importlib import import_module

__version__ = "0.1.0"

TYPE_CHECKING = False  # true to a type checker; `typing` takes longer to load than all else here

if TYPE_CHECKING:
    from sanderling.boards import Board, load_board, load_boards
    from sanderling.errors import SanderlingError
    from sanderling.runtime.backends import backends
    from sanderling.runtime.detector import Detector
    from sanderling.runtime.explanation import Explanation
    from sanderling.runtime.isa import isa_names, selected_isa
    from sanderling.runtime.onnx_op import onnxruntime_library
    from sanderling.runtime.readers import read
    from sanderling.runtime.recording import Recording
    from sanderling.runtime.stream import Stream
    from sanderling.signal.dwt import dwt, idwt, wavedec, waverec

_LAZY = {
    "Board": "sanderling.boards",
    "Detector": "sanderling.runtime.detector",
    "Explanation": "sanderling.runtime.explanation",
    "Recording": "sanderling.runtime.recording",
    "SanderlingError": "sanderling.errors",
    "Stream": "sanderling.runtime.stream",
    "backends": "sanderling.runtime.backends",
    "dwt": "sanderling.signal.dwt",
    "idwt": "sanderling.signal.dwt",
    "isa_names": "sanderling.runtime.isa",
    "load_board": "sanderling.boards",
    "load_boards": "sanderling.boards",
    "onnxruntime_library": "sanderling.runtime.onnx_op",
    "read": "sanderling.runtime.readers",
    "selected_isa": "sanderling.runtime.isa",
    "wavedec": "sanderling.signal.dwt",
    "waverec": "sanderling.signal.dwt",
}

__all__ = [
    "Board",
    "Detector",
    "Explanation",
    "Recording",
    "SanderlingError",
    "Stream",
    "__version__",
    "backends",
    "dwt",
    "idwt",
    "isa_names",
    "load_board",
    "load_boards",
    "onnxruntime_library",
    "read",
    "selected_isa",
    "wavedec",
    "waverec",
]


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module 'sanderling' has no attribute '{name}'")
    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
