"""One suite, suite.sh, on this machine, in user-mode emulation, on an emulated board and on a real one, and how each
ran: the same commands on the same files must end alike and make the same bytes."""

from __future__ import annotations

import platform
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from importlib import resources
from pathlib import Path

from sanderling.export import bundle
from sanderling.firmware_sim import faults, image, initramfs, qemu, scenario, user_mode
from sanderling.firmware_sim.packages import Packages
from sanderling.firmware_sim.watch import desktop

from sanderling.boards import Board
from sanderling.deploy import facts
from sanderling.deploy.remote import Remote
from sanderling.errors import BoardError, SanderlingError

# Case -> its exit status.
CASES = dict.fromkeys(
    ("selftest", "scores", "lines", "live", "missing-values", "cold", "dynamic", "calibration", "bundle"), 0
) | dict.fromkeys(("altered-bundle", "truncated-model", "garbage"), 2)
RUNNER, SCRIPT = "runner", "suite.sh"
TIMEOUT_S = 600.0
# Sourced by the image's init, before it looks for its card.
ON_BOARD = f"""\
cd /sim
sh {SCRIPT} /sim/{RUNNER} | while read -r kind rest; do say "$kind" "$rest"; done
say done ""
sleep 1000
"""


@dataclass
class Place:
    """Where the suite ran.

    how: in words, with what. tier: of the kernels. cases: (exit status, SHA-256 or "-") by name. why_not: it did not
    run, or broke off. different: cases that ended otherwise or made other bytes than the first place's.
    """

    name: str
    how: str
    tier: str = ""
    cases: dict[str, tuple[int, str]] = field(default_factory=dict)
    why_not: str = ""
    different: list[str] = field(default_factory=list)
    wall_s: float = 0.0

    def take(self, kind: str, rest: str) -> None:
        """One line of the script."""
        words = rest.split()
        if kind == "case" and len(words) == 3 and words[1].isdecimal():
            self.cases[words[0]] = (int(words[1]), words[2])
        if kind == "tier":
            self.tier = rest.strip()

    def take_all(self, text: str) -> None:
        """The script's whole output."""
        for line in text.splitlines():
            self.take(*line.partition(" ")[::2])


@dataclass(frozen=True)
class Suite:
    """The files. arm: aarch64's runner. native: this machine's, or None. desktop: SHA-256 of the Python engine's
    scores of the recording."""

    files: Mapping[str, bytes]
    arm: bytes
    native: bytes | None
    desktop: str

    def put(self, folder: Path, runner: bytes) -> list[str]:
        """Writes everything there; returns the script's command, without the runner."""
        for name, data in {**self.files, RUNNER: runner}.items():
            (folder / name).write_bytes(data)
        (folder / RUNNER).chmod(0o755)
        return ["sh", SCRIPT]


def make(made: scenario.Scenario, carried: bundle.Bundle, base: Path, native: Path | None) -> Suite:
    """The suite of a bundle.

    Args:
        made: bundle, key and recording.
        carried: the bundle's parts.
        base: a model that is not calibrated.
        native: this machine's runner; None leaves this machine out.
    """
    recording = made.recording.read_bytes()
    with tempfile.TemporaryDirectory(prefix="sanderling-suite-") as scratch:
        folder = Path(scratch)
        (folder / "model.gguf").write_bytes(carried.parts[bundle.MODEL])
        scores = desktop(folder / "model.gguf", made.recording).scores
        scenario.write_csv(folder / "reference.csv", scenario.signal(scenario.REFERENCE, 1))
        files = {
            SCRIPT: resources.files(__package__).joinpath(SCRIPT).read_bytes(),
            "model.gguf": carried.parts[bundle.MODEL],
            "base.gguf": base.read_bytes(),
            "recording.csv": recording,
            "missing.csv": faults.FAULTS["missing-values"].samples(recording),
            "reference.csv": (folder / "reference.csv").read_bytes(),
            "pump.bundle": made.bundle.read_bytes(),
            "pump.pub": made.key.read_bytes(),
        }
    own = native.read_bytes() if native else None
    return Suite(files, carried.parts[bundle.RUNNER], own, sha256(scores.tobytes()).hexdigest())


def _here(suite: Suite, runner: bytes, place: Place, command: Callable[[Path], list[str]]) -> None:
    with tempfile.TemporaryDirectory(prefix="sanderling-suite-") as scratch:
        folder = Path(scratch)
        words = [*suite.put(folder, runner), *command(folder / RUNNER)]
        done = subprocess.run(words, cwd=folder, stdout=subprocess.PIPE, text=True, timeout=TIMEOUT_S, check=False)
        place.take_all(done.stdout)


def on_this_machine(suite: Suite) -> Place:
    """With this machine's own runner."""
    place = Place("host", f"this machine, {platform.machine()}")
    if suite.native is None:
        place.why_not = "no sanderling-run for this machine; build it or set SANDERLING_RUNNER"
        return place
    _here(suite, suite.native, place, lambda runner: [str(runner)])
    return place


def in_user_mode(suite: Suite, board: Board) -> Place:
    """The board's runner in user-mode emulation of its processor. Raises DependencyError."""
    emulator = Path(user_mode.emulator()).name
    place = Place("qemu-user", f"emulated: {emulator} {qemu.version()}, -cpu {board.qemu['cpu']}")
    _here(suite, suite.arm, place, lambda runner: user_mode.command(board, runner, []))
    return place


def on_emulated_board(suite: Suite, board: Board, packages: Packages, made: scenario.Scenario) -> Place:
    """The board's runner under the image's kernel and init on the emulated board. Raises BoardError."""
    qemu.needs_tools()
    words = " ".join(qemu.machine(board))
    place = Place("qemu-system", f"emulated: qemu-system-aarch64 {qemu.version()}, {words}, -icount shift=0")
    files = {f"sim/{name}": (data, initramfs.FILE) for name, data in suite.files.items()}
    files[f"sim/{RUNNER}"] = (suite.arm, initramfs.PROGRAM)
    files["sim/start.sh"] = (ON_BOARD.encode(), initramfs.FILE)
    with tempfile.TemporaryDirectory(prefix="sanderling-suite-") as scratch:
        card = image.build(Path(scratch, "card.img"), packages, made.bundle, made.key)
        options = qemu.Options(initramfs=initramfs.archive(files, ("sim",)))
        with qemu.Machine(qemu.command(board, card.path, Path(scratch), options)) as machine:
            while (event := machine.event(TIMEOUT_S)).get("event") != "done":
                place.take(str(event.get("event")), str(event.get("note", "")))
    return place


def on_host(suite: Suite, remote: Remote) -> Place:
    """A machine behind SSH, as its user, in a folder that is removed. Raises DeployError, BoardError."""
    found = facts.ask(remote)
    says = ", ".join(text for text in (found.model, found.system, found.machine) if text)
    place = Place(remote.host, f"by SSH: {says}")
    runners = {"aarch64": suite.arm, platform.machine(): suite.native}
    runner = runners.get(found.machine)
    if runner is None or found.bits != 64:
        raise BoardError(f"{remote.host}: expected a 64-bit aarch64 system, found {says}; there is no runner for it")
    with tempfile.TemporaryDirectory(prefix="sanderling-suite-") as scratch:
        suite.put(Path(scratch), runner)
        folder = remote.run("a folder for temporary files", "mktemp", "-d").strip()
        try:
            for path in sorted(Path(scratch).iterdir()):
                mode = "755" if path.name == RUNNER else "644"
                remote.write(f"{folder}/{path.name}", file=path, mode=mode)
            script = f'cd "$1" && exec sh {SCRIPT} ./{RUNNER}'
            place.take_all(remote.run("the suite to run", "sh", "-c", script, "sh", folder))
        finally:
            remote.try_run("rm", "-rf", folder)
    return place


def run(places: Mapping[str, Callable[[], Place]], suite: Suite, say: Callable[[str], object] = print) -> list[Place]:
    """Runs the suite in every place; one that cannot be reached is reported and ends none of the others."""
    found = []
    for name, start in places.items():
        say(f"{name}: running")
        began = time.monotonic()
        try:
            place = start()
        except (SanderlingError, subprocess.TimeoutExpired) as error:
            place = Place(name, "not run", why_not=str(error))
        place.wall_s = round(time.monotonic() - began, 1)
        found.append(place)
    compare(found, suite.desktop)
    return found


def compare(places: list[Place], scores: str) -> None:
    """Fills `different`: against CASES' exit statuses, the desktop's scores and the first place that ran."""
    first = next((place.cases for place in places if place.cases), {})
    wanted = {case: (status, first.get(case, (0, ""))[1]) for case, status in CASES.items()} | {"scores": (0, scores)}
    for place in places:
        place.different = [case for case in CASES if not place.why_not and place.cases.get(case) != wanted[case]]


def equal(places: list[Place]) -> bool:
    """Whether every place that was asked for ran, and none differs."""
    return bool(places) and not any(place.why_not or place.different for place in places)


def report(board: Board, places: list[Place]) -> dict:
    """What --json writes."""
    return {"board": board.id, "equal": equal(places), "cases": list(CASES), "places": [asdict(p) for p in places]}


def table(places: list[Place]) -> str:
    """A row a case, a column a place; below, how each ran."""

    def cell(place: Place, case: str) -> str:
        if case not in place.cases:
            return "not run" if place.why_not else "NO RESULT"
        return "DIFFERENT" if case in place.different else "same" if not CASES[case] else "refused"

    rows = [("", *(place.name for place in places))]
    rows += [(case, *(cell(place, case) for place in places)) for case in CASES]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += [f"{p.name}: {p.why_not or f'{p.how}; kernels: {p.tier}; {p.wall_s} s here'}" for p in places]
    return "\n".join(lines)
