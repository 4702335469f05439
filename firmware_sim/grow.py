"""The data partition of a card that an image was written to, made as large as the card.

It is empty until the board's first start, so it is made anew, not resized. A card that is cut off in between still
starts: until the table says otherwise, the board finds no file system there and makes the image's own (init.sh).
"""

from __future__ import annotations

import os
from pathlib import Path

from sanderling.firmware_sim import image

from sanderling.errors import StorageError

MOST = (2**32 - 1) * image.SECTOR  # what the table can say


def fill(card: Path, size: int, source: Path) -> int:
    """Lets the data partition end where the card ends.

    Args:
        card: the device (or a file), already written.
        size: its bytes.
        source: the image that was written.

    Returns:
        The partition's bytes.

    Raises:
        StorageError: the card vanished or refused, a tool failed, or there are other bytes than were written.
    """
    end = min(size, MOST) // image.MIB * image.MIB
    if end > image.SIZE_MIB * image.MIB:
        identity = image.identity_of(source)
        if not card.exists():  # mke2fs would make a file
            raise StorageError(f"{card}: expected a card, found none; put it in again and flash it anew")
        image.format_data(card, image.DATA_START, end - image.DATA_START, identity)
        # Read back; the boot partition was compared byte for byte before.
        image.run("e2fsck", "-f", "-n", f"{card}?offset={image.DATA_START}")
        _write_table(card, image.partition_table(end, identity))
    return max(end, image.SIZE_MIB * image.MIB) - image.DATA_START


def _write_table(card: Path, table: bytes) -> None:
    try:
        with card.open("r+b", buffering=0) as file:
            file.write(table)
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # or the cache would answer
            file.seek(0)
            if file.read(len(table)) != table:
                raise StorageError(f"{card}: expected the table that was written, found another; use another card")
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"{card}: expected to write its table, found: {error.strerror}; try again") from error
