"""The board folder, and the runner in emulated boards beside the desktop's engine."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import sanderling
from sanderling.boards import load_board
from sanderling.errors import SanderlingError
from sanderling.firmware_sim.user_mode import run_on

from .recordings import DemoRecording

BOARDS = ("rpi4b", "rpi5")  # cortex-a72 without, cortex-a76 with the dot product instructions


@dataclass(frozen=True)
class Calibrated:
    """What one machine made of the recordings: bytes of each score array and calibrated file."""

    isa: str
    scores: dict[str, bytes]
    files: dict[str, bytes]

    @property
    def sha256(self) -> str:
        """One hash over all score arrays, in the recordings' order."""
        return hashlib.sha256(b"".join(self.scores.values())).hexdigest()


def on_desktop(model: Path, recordings: list[DemoRecording], isa: str, folder: Path) -> Calibrated:
    """Calibrate and score through the Python wrapper on one instruction set."""
    scores, files = {}, {}
    for r in recordings:
        detector = sanderling.Detector.load(model, isa=isa)
        scores[f"{r.name} cold"] = detector.decision_function(r.series.x).tobytes()
        detector.fit(r.series.x[: r.reference])
        file = folder / f"{r.name}.{isa}.gguf"
        detector.save(file)
        files[r.name] = file.read_bytes()
        scores[r.name] = detector.decision_function(r.series.x).tobytes()
    return Calibrated(isa, scores, files)


def on_board(
    board_id: str, runner: Path, model: Path, recordings: list[DemoRecording], folder: Path
) -> Calibrated:
    """The same with the board's own binary in emulation: calibrate, score, nothing of Python."""
    board = load_board(board_id)
    scores, files = {}, {}
    isa = ""

    def run(arguments: list[str]) -> str:
        result = run_on(board, runner, arguments)
        if result.returncode:
            raise SanderlingError(f"{board_id}: {' '.join(arguments)}: {result.stderr.strip()}")
        return result.stdout

    for r in recordings:
        data, normal = folder / f"{r.name}.csv", folder / f"{r.name}.normal.csv"
        r.write_csv(data)
        r.write_csv(normal, r.reference)
        out, raw = folder / f"{r.name}.{board_id}.gguf", folder / f"{r.name}.{board_id}.f32"
        score = ["--scores-bin", str(raw), "--input", str(data)]
        run([*score, str(model)])
        scores[f"{r.name} cold"] = raw.read_bytes()
        run(["--calibrate", str(normal), "-o", str(out), str(model)])
        files[r.name] = out.read_bytes()
        summary = json.loads(run([*score, str(out)]).splitlines()[-1])
        scores[r.name] = raw.read_bytes()
        isa = summary["isa"]
    return Calibrated(isa, scores, files)


def equal(a: Calibrated, b: Calibrated) -> bool:
    """The same bits: every score array and every calibrated file."""
    return a.scores == b.scores and a.files == b.files


def as_scores(data: bytes) -> np.ndarray:
    """float32 (time,) of stored score bytes."""
    return np.frombuffer(data, "<f4")


def write_board_folder(folder: Path, runner: Path, model: bytes, board_id: str) -> dict[str, str]:
    """Runner, calibrated model and their hashes, ready to copy. Returns file -> sha256."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy2(runner, folder / "sanderling-run")
    (folder / "model.gguf").write_bytes(model)
    hashes = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in ("sanderling-run", "model.gguf")
    }
    lines = "".join(f"{digest}  {name}\n" for name, digest in hashes.items())
    (folder / "SHA256SUMS").write_text(lines, encoding="utf-8")
    (folder / "README.txt").write_text(
        f"For {load_board(board_id).name}. Copy this folder to the board, then:\n"
        "  sha256sum -c SHA256SUMS\n"
        "  ./sanderling-run --selftest model.gguf\n"
        "  ./sanderling-run model.gguf < samples.csv\n",
        encoding="utf-8",
    )
    return hashes
