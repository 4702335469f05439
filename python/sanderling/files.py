"""Writing results: a file that was there stays whole until the new one is."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from sanderling.errors import StorageError


def write_file(path: str | os.PathLike[str], write: Callable[[BinaryIO], object]) -> None:
    """Calls `write` with a binary file, whose bytes become those of `path` when it returns. Raises StorageError.

    A regular file is replaced in one step (temporary file in its folder, rename); a device or pipe is written to.
    """
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            with open(path, "wb") as file:
                write(file)
        else:
            _replace(Path(os.path.realpath(path)), write)  # a link stays a link
    except OSError as error:
        raise StorageError(
            f"expected to write {os.fspath(path)}, found: {error.strerror or error}; check the folder, rights and space"
        ) from error


def _replace(target: Path, write: Callable[[BinaryIO], object]) -> None:
    temporary = target.with_name(f".{target.name[:40]}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        with temporary.open("xb") as file:
            if target.exists():
                os.fchmod(file.fileno(), target.stat().st_mode & 0o777)
            write(file)
        os.replace(temporary, target)
    except BaseException:  # Ctrl-C included
        with suppress(OSError):
            temporary.unlink()
        raise
