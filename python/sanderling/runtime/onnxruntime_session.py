"""Opens a session of onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sanderling.errors import FormatError, InputError
from sanderling.extras import require

EXTRA = "onnxruntime"
OPTIONS = ("providers", "provider_options", "threads", "session_options", "library")


def onnxruntime() -> Any:
    """The package. DependencyError."""
    return require("onnxruntime", EXTRA)


def open_session(source: str | bytes, options: Mapping[str, Any], library: str | None = None) -> Any:
    """An onnxruntime session; library: of operators that the graph needs. FormatError, InputError, DependencyError."""
    runtime = onnxruntime()
    session = options.get("session_options") or runtime.SessionOptions()
    threads = options.get("threads")
    if threads is not None:
        if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
            raise InputError(f"expected threads as a number above 0, found {threads!r}")
        session.intra_op_num_threads = threads
    providers = options.get("providers") or ["CPUExecutionProvider"]
    # onnxruntime falls back to the CPU with a warning; whoever asks for an accelerator should hear it.
    names = [provider if isinstance(provider, str) else provider[0] for provider in providers]
    missing = sorted(set(names) - set(runtime.get_available_providers()))
    if missing:
        raise InputError(
            f"expected providers of this onnxruntime ({', '.join(runtime.get_available_providers())}), "
            f"found {', '.join(missing)}; install a build that has them"
        )
    try:
        if library is not None:
            session.register_custom_ops_library(library)
    except Exception as error:  # onnxruntime's own exceptions share no base but Exception
        raise InputError(f"expected the operator's library for this onnxruntime, found: {one_line(error)}") from error
    try:
        return runtime.InferenceSession(
            source, session, providers=providers, provider_options=options.get("provider_options")
        )
    except Exception as error:
        raise FormatError(f"expected an ONNX graph that onnxruntime loads, found: {one_line(error)}") from error


def one_line(error: Exception) -> str:
    """Its message, short."""
    return " ".join(str(error).split())[:300]
