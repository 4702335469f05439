"""The models that ship with the package, by name."""

import os
from pathlib import Path

from sanderling.errors import ModelNotFoundError

DEFAULT = "sanderling"
SHIPPED = {"sanderling": "sanderling.gguf", "tiny": "tiny.gguf"}  # name -> file in sanderling/weights
_FOLDER = Path(__file__).resolve().parent.parent / "weights"


def resolve(model: str | os.PathLike[str] | None) -> Path:
    """The file of `model`: a path, the name of a shipped model, or None for the default one.

    An existing file wins over a shipped name. Raises ModelNotFoundError.
    """
    wanted = DEFAULT if model is None else os.fspath(model)
    if not isinstance(wanted, str) or "\0" in wanted or not wanted:
        raise ModelNotFoundError(f"expected a model's path or name, found {wanted!r}")
    if model is not None and os.path.isfile(wanted):  # False for a name that is too long, too
        return Path(wanted)
    if wanted in SHIPPED:
        path = _FOLDER / SHIPPED[wanted]
        if path.is_file():
            return path
        raise ModelNotFoundError(
            f"expected the shipped model {wanted} at {path}, found none; reinstall sanderling or pass a path"
        )
    found = "something else" if os.path.exists(wanted) else "nothing"
    raise ModelNotFoundError(
        f"expected a model file or one of the shipped names ({', '.join(SHIPPED)}), "
        f"found {found} at '{wanted}'; check the path"
    )
