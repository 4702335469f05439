"""Text encoders by what runs them: the native engine, onnxruntime, LiteRT; told apart by content."""

from __future__ import annotations

from sanderling._core import TextEncoder
from sanderling.text.graph_encoder import GraphEncoder, open_graph


def is_native(data: bytes) -> bool:
    """Whether the engine runs this file."""
    return data[:4] == b"GGUF"


def open_encoder(data: bytes) -> TextEncoder | GraphEncoder:
    """An encoder from its file's bytes: GGUF, or ONNX and TFLite as `sanderling export` writes them.

    Raises FormatError (another file, damaged, a tokenizer that is not the model's), DependencyError (onnxruntime or
    LiteRT, and tokenizers, for graphs)."""
    return TextEncoder.parse(data) if is_native(data) else open_graph(data)
