"""Power cuts: what a card may hold when the board loses power, and whether the board comes up from it.

The emulator logs every write and every flush of a start (QEMU's blklogwrites; the format is Linux's dm-log-writes). A
write that no flush covered may have reached the card or not. So two cards are made for every flush: with nothing of
what came after it, and with a seeded half of the writes up to the next one, the last of them torn in its middle.
"""

from __future__ import annotations

import random
import struct
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sanderling.export import bundle
from sanderling.firmware_sim import faults, qemu
from sanderling.firmware_sim.watch import Desktop, desktop, score_card

from sanderling.boards import Board
from sanderling.errors import BoardError, StorageError

MAGIC, VERSION = 0x6A736677736872, 1
FLUSH, FUA, DISCARD = 1, 2, 4
SECTOR = 512
SETTLE_LINES = 128  # samples that are fed, so that what the start left to be written is written


@dataclass(frozen=True)
class Write:
    """An entry of the log. at: byte on the card. flush: everything before it is on the card once it is done."""

    at: int
    data: bytes
    flush: bool


@dataclass(frozen=True)
class Cut:
    """A moment at which power is lost. flushes: how many had been done. torn: with some of the writes after the
    last."""

    flushes: int
    torn: bool
    kept: tuple[Write, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of a cut. lost: the board didn't come up with the bundle's scores. note: what it said."""

    cut: Cut
    lost: bool
    note: str


def parse_log(raw: bytes) -> list[Write]:
    """The writes of a log. Raises StorageError for another file."""
    magic, version, count, sector = struct.unpack("<QQQI", raw[:28].ljust(28, b"\0"))
    if magic != MAGIC or version != VERSION or sector != SECTOR:
        raise StorageError("expected a log of writes of QEMU's blklogwrites, found another file")
    writes, at = [], SECTOR
    for _ in range(count):
        start, sectors, flags, _ = struct.unpack("<QQQQ", raw[at : at + 32])
        at += SECTOR
        size = 0 if flags & DISCARD else sectors * SECTOR
        writes.append(Write(start * SECTOR, raw[at : at + size], bool(flags & (FLUSH | FUA))))
        at += size
    return writes


def cuts(writes: list[Write], seed: int = 1) -> Iterator[Cut]:
    """Two for every flush but the last, which has one; and the card before any."""
    rng = random.Random(seed)
    ends = [i + 1 for i, write in enumerate(writes) if write.flush]
    for done, (end, following) in enumerate(zip([0, *ends], [*ends, len(writes)], strict=True)):
        yield Cut(done, False, tuple(writes[:end]))
        open_writes = [write for write in writes[end:following] if write.data]
        if open_writes:
            some = [write for write in open_writes if rng.random() < 0.5] or open_writes[:1]
            half = len(some[-1].data) // (2 * SECTOR) * SECTOR
            some[-1] = Write(some[-1].at, some[-1].data[: max(half, SECTOR)], False)
            yield Cut(done, True, (*writes[:end], *some))


def apply(cut: Cut, card: Path) -> None:
    """Writes to a card what the cut kept, in its order."""
    with card.open("r+b") as file:
        for write in cut.kept:
            file.seek(write.at)
            file.write(write.data)


def record(board: Board, image: Path, script: bytes, raw: bytes, wanted: Desktop, folder: Path) -> list[Write]:
    """The writes of a start from an image until samples are scored. Raises BoardError."""
    card, log = faults.copy(image, folder / "card.img"), folder / "log"
    log.write_bytes(b"")
    layers = {
        "driver": "blklogwrites",
        "file.driver": "raw",
        "file.file.driver": "file",
        "file.file.filename": card,
        "log.driver": "raw",
        "log.file.driver": "file",
        "log.file.filename": log,
        "log-sector-size": SECTOR,
    }
    options = qemu.Options(initramfs=script, drive=",".join(f"{key}={value}" for key, value in layers.items()))
    score_card(board, card, folder, options, raw, wanted)
    return parse_log(log.read_bytes())


def first_boot(
    board: Board,
    image: Path,
    carried: bundle.Bundle,
    recording: Path,
    script: bytes,
    *,
    steps: range | None = None,
    say: Callable[[str], object] = print,
) -> list[Outcome]:
    """Cuts the power at every flush of a board's first start, and starts it again.

    Args:
        board: `rpi4b`: the emulated 3B's card knows no flush.
        image: as it was made; not written to.
        carried: its bundle, whose scores are compared.
        recording: CSV; its first 128 samples are fed each time.
        script: the second archive (`sim.start_script`).
        steps: flushes by their numbers; None: all.
        say: called with a line a cut.

    Raises:
        BoardError: the board does not start without a cut, or its card logs no flush.
    """
    raw = b"".join(recording.read_bytes().splitlines(keepends=True)[: SETTLE_LINES + 1])
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="sanderling-power-") as scratch:
        folder = Path(scratch)
        model, sent = folder / bundle.MODEL, folder / "sent.csv"
        model.write_bytes(carried.parts[bundle.MODEL])
        sent.write_bytes(raw)
        wanted = desktop(model, sent)
        writes = record(board, image, script, raw, wanted, folder)
        if not any(write.flush for write in writes):
            raise BoardError(f"expected {board.id}'s card to be flushed, found none; take rpi4b")
        chosen = [cut for cut in cuts(writes) if steps is None or cut.flushes in steps]
        for cut in chosen:
            card = faults.copy(image, folder / "card.img")
            apply(cut, card)
            outcomes.append(_outcome(cut, board, card, folder, script, raw, wanted))
            where = f"after flush {cut.flushes}" + (", half of the next writes" if cut.torn else "")
            say(f"{where:<44} {'LOST' if outcomes[-1].lost else 'runs'}  {outcomes[-1].note}")
    return outcomes


def _outcome(
    cut: Cut, board: Board, card: Path, folder: Path, script: bytes, raw: bytes, wanted: Desktop
) -> Outcome:
    try:
        watched = score_card(board, card, folder, qemu.Options(initramfs=script), raw, wanted)
    except BoardError as error:
        return Outcome(cut, True, str(error))
    equal, _ = watched.compare(wanted)
    note = watched.last("running").split()[0]
    said = watched.last("data")
    return Outcome(cut, not equal, f"{note}{'; ' + said if said else ''}")
