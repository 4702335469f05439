"""Writing results: a file that was there stays whole until the new one is."""

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from sanderling.errors import StorageError


def write_file(path: str | os.PathLike[str], write: Callable[[BinaryIO], object]) -> None:
    """Calls `write` with a binary file, whose bytes become those of `path` when it returns. Raises StorageError.

    A regular file is replaced in one step (temporary file in its folder, rename); a device or pipe is written to.
    """
    target = Path(os.path.realpath(path))  # a link stays a link
    try:
        if target.exists() and not target.is_file():
            with target.open("wb") as file:
                write(file)
        else:
            _replace(target, write)
    except (OSError, ValueError) as error:
        if isinstance(error, ValueError) and "\0" not in os.fspath(path):
            raise
        reason = getattr(error, "strerror", None) or error
        raise StorageError(
            f"expected to write {os.fspath(path)!r}, found: {reason}; check the folder, its rights and space"
        ) from error


def _replace(target: Path, write: Callable[[BinaryIO], object]) -> None:
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask()
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name[:100]}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            os.fchmod(file.fileno(), mode)
        os.replace(name, target)
    except BaseException:  # Ctrl-C included
        with suppress(OSError):
            os.unlink(name)
        raise


def _umask() -> int:
    # The only way to read it is to set it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
