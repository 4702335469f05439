"""From an image to alarms on an emulated board, compared with this machine's, sample by sample and bit by bit."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from sanderling.export import bundle
from sanderling.firmware_sim import count, faults, initramfs, qemu, raspberry
from sanderling.firmware_sim.watch import Desktop, Watched, desktop

from sanderling.boards import Board
from sanderling.errors import BoardError, InputError

# The second archive's script: scores of every sample. QEMU's Raspberry takes an armed watchdog for a reset.
SCORES = "EXTRA=--scores\n"
NO_WATCHDOG = "rm -f /dev/watchdog\n"
STALL_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Report:
    """What a run found; `json` is what --json writes.

    equal: every score's bits and every alarm are the desktop's. scores: how many were compared. alarms: (first, last)
    sample of each run above the threshold, on the board. boot_s: the board's clock when the detector started (a
    nanosecond an instruction, plus idle time). instructions_per_patch: count.py's; None where not counted. wall_s: of
    this machine. events: what the board said beside its scores.
    """

    board: str
    how: str
    raspberry_boot_chain: str
    image: str
    bundle: str
    fault: str
    equal: bool
    scores: int
    alarms: list[tuple[int, int]]
    desktop_alarms: list[tuple[int, int]]
    boot_s: float
    instructions_per_patch: int | None
    wall_s: float
    events: list[dict]

    def json(self) -> dict:
        """As a JSON object."""
        return asdict(self)


def start_script(board: Board, more: str = "") -> bytes:
    """The second archive for a run that tells every score; `more` is shell that a fault adds."""
    script = SCORES + (NO_WATCHDOG if board.qemu["machine"] == "raspi3b" else "") + more + "\n"
    return initramfs.archive({"sim/start.sh": (script.encode(), initramfs.FILE)}, ("sim",))


def run(
    board: Board,
    source: Path,
    carried: bundle.Bundle,
    recording: Path,
    *,
    fault: str = "none",
    counting: bool = True,
    say: Callable[[str], object] = print,
) -> Report:
    """Starts a copy of an image on an emulated board, feeds a recording through its serial port, compares the scores.

    Args:
        board: a profile among `raspberry.CHAIN`.
        source: the image; it is not written to.
        carried: the bundle that it was made with.
        recording: a CSV file with a row of names.
        fault: a key of `faults.FAULTS`, done to the card before the start or to the samples.
        counting: count instructions a patch too (a start of its own; needs 80 patches).
        say: called with a line a step.

    Raises:
        BoardError: the board did not start or went silent; its last line is in the message.
        DependencyError, StorageError, InputError.
    """
    qemu.needs_tools()
    began = time.monotonic()
    raw = recording.read_bytes()
    source = source.resolve()
    with tempfile.TemporaryDirectory(prefix="sanderling-sim-") as scratch:
        folder = Path(scratch)
        model, sent = folder / bundle.MODEL, folder / "sent.csv"
        model.write_bytes(carried.parts[bundle.MODEL])
        chosen = faults.FAULTS[fault]
        sent.write_bytes(chosen.samples(raw))
        wanted = desktop(model, sent)
        if not len(wanted.scores):
            raise InputError(f"{recording}: expected at least {wanted.patch} samples, found fewer")
        card = faults.copy(source, folder / "card.img")
        chosen.card(card)
        say(f"{board.id}: {' '.join(qemu.machine(board))}, QEMU {qemu.version()}, fault: {fault}")
        watched = Watched()
        options = qemu.Options(initramfs=start_script(board, chosen.script), clock=chosen.clock)
        with qemu.Machine(qemu.command(board, card, folder, options)) as machine:
            boot_s = float(watched.wait_for(machine, "running").split()[-1])
            if chosen.says == "stopped":
                watched.wait_for(machine, "stopped")
                watched.wait_for(machine, "running")
            say(f"{board.id}: the detector runs after {boot_s} s of its clock; feeding {len(wanted.scores)} samples")
            _feed(machine, watched, sent.read_bytes(), wanted, chosen)
        patch_cost = None
        if counting:
            say(f"{board.id}: counting instructions")
            patch_cost = count.instructions_per_patch(board, source, carried, raw, wanted.patch)
    return _report(board, source, carried, fault, wanted, watched, boot_s, patch_cost, time.monotonic() - began)


def _feed(machine: qemu.Machine, watched: Watched, raw: bytes, wanted: Desktop, chosen: faults.Fault) -> None:
    if chosen.stall:
        lines = raw.splitlines(keepends=True)
        half = len(wanted.scores) // wanted.patch // 2 * wanted.patch
        watched.feed(machine, b"".join(lines[: half + 1]), half)
        watched.wait_for(machine, "stall", STALL_TIMEOUT_S)
        raw = b"".join(lines[half + 1 :])
    watched.feed(machine, raw, len(wanted.scores))
    if chosen.says and not any(line.get("event") == chosen.says for line in watched.events):
        raise BoardError(f"expected the board to tell of '{chosen.says}', found it silent about the fault")


def _report(
    board: Board,
    source: Path,
    carried: bundle.Bundle,
    fault: str,
    wanted: Desktop,
    watched: Watched,
    boot_s: float,
    patch_cost: int | None,
    wall_s: float,
) -> Report:
    equal, alarms = watched.compare(wanted)
    return Report(
        board=board.id,
        how=f"emulated: qemu-system-aarch64 {qemu.version()}, {' '.join(qemu.machine(board))}, -icount shift=0",
        raspberry_boot_chain=raspberry.NEVER_BOOTED,
        image=str(source),
        bundle=f"{carried.manifest.name} version {carried.manifest.version}",
        fault=fault,
        equal=equal,
        scores=len(wanted.scores),
        alarms=alarms,
        desktop_alarms=wanted.alarms,
        boot_s=boot_s,
        instructions_per_patch=patch_cost,
        wall_s=round(wall_s, 1),
        events=watched.events,
    )
