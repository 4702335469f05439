"""Which instruction sets are compiled in, supported and selected."""

import os

from sanderling import _core

ISA_VARIABLE = "SANDERLING_ISA"


def isa_names(*, supported: bool = True) -> tuple[str, ...]:
    """Names best first; with `supported`, only those that this processor can run."""
    return tuple(_core.isa_supported() if supported else _core.isa_compiled())


def selected_isa(name: str | None = None) -> str:
    """The name that would run: `name`, else $SANDERLING_ISA, else the best supported. IsaError."""
    return _core.isa_selected(name or os.environ.get(ISA_VARIABLE, ""))
