"""The demo's stages; each fills its part of the report."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import sanderling
from sanderling.errors import SanderlingError
from sanderling.evaluate.metrics import threshold_metrics
from sanderling.firmware_sim.user_mode import run_on
from sanderling.runtime.weights import resolve

from . import board, figures, recordings
from .recordings import DemoRecording

if TYPE_CHECKING:
    from sanderling.compress.pipeline import Compressed

Stage = Callable[[str], AbstractContextManager[None]]
BASE = "base.safetensors"
TARGET = 0.1  # share of the base's multiply-accumulates: the emulated boards run what is left


def base_weights() -> Path:
    """The base model of the source tree. Raises SanderlingError outside of it."""
    path = Path("python/weights") / BASE
    if not path.is_file():
        raise SanderlingError(f"expected {path}, found none; run from the repository's top folder")
    return path


def score_shipped(r: DemoRecording, out: Path) -> dict:
    """Cold and calibrated scores of the shipped model, and the simple detectors, on one recording."""
    cold = sanderling.Detector.load()
    scores_cold = cold.decision_function(r.series.x)
    calibrated = sanderling.Detector.load().fit(r.series.x[: r.reference])
    scores = calibrated.decision_function(r.series.x)
    row = {
        "samples": len(r.series.x),
        "channels": r.series.x.shape[1],
        "reference": r.reference,
        "labelled": r.labelled,
        "threshold": calibrated.threshold_,
        "alarms_per_10k": threshold_metrics(
            r.labels[r.reference :], scores[r.reference :], calibrated.threshold_
        ).get("false_alarms_per_10k"),
    }
    if r.labelled:
        row |= {
            "vus_pr_zero_shot": r.vus_pr(scores_cold),
            "vus_pr_calibrated": r.vus_pr(scores),
            **{f"vus_pr_{name}": value for name, value in r.baselines().items()},
        }
    figures.draw_scores(r, scores_cold, scores, calibrated.threshold_, out)
    return row


def compress_base(folder: Path, steps: int) -> tuple[Compressed, Path]:
    """Prune, distil, quantise and export the base; the result and the native file."""
    import torch

    from sanderling.cli.export import sha256, write_int8
    from sanderling.compress.pipeline import Signals, compress
    from sanderling.compress.prune import PruneOptions
    from sanderling.train.checkpoint import load_weights
    from sanderling.train.trainer import bf16_is_fast, show_progress

    base, _ = load_weights(base_weights())
    options = PruneOptions(target=TARGET, steps=steps, mixed=bf16_is_fast(torch.device("cpu")))

    begun = time.monotonic()

    def progress(step: int, total: int, report: dict[str, float]) -> None:
        if step % 20 == 0 or step == total:
            shown = {k: v for k, v in report.items() if k in ("share", "loss")}
            show_progress(step, total, shown, step / (time.monotonic() - begun))

    compressed = compress(base, options, Signals(), None, progress)
    path = folder / "pruned.gguf"
    plan = f"demo: {steps} steps to 20 % of the MACs"
    lineage = {"base_sha256": sha256(base_weights()), "plan": plan, "data": "generated"}
    write_int8(path, compressed.model, compressed.tensors, lineage)
    return compressed, path


def torch_against_native(
    compressed: Compressed, desktop: board.Calibrated, all_recordings: list[DemoRecording]
) -> dict:
    """Spearman and largest difference (share of the 1-99 % range) of torch INT8 and the engine."""
    from sanderling.compress.int8 import Int8Reference
    from sanderling.compress.quality import spearman

    reference = Int8Reference(compressed.model.config, compressed.tensors)
    rows = {}
    for r in all_recordings:
        mine = reference.calibrate(r.series.x[: r.reference]).scores(r.series.x)
        native = board.as_scores(desktop.scores[r.name])
        low, high = np.quantile(native, (0.01, 0.99))
        rows[r.name] = {
            "spearman": spearman(mine, native),
            "max_difference": float(np.abs(mine - native).max() / (high - low)),
        }
    return rows


def mean(rows: dict[str, dict], key: str) -> float:
    return float(np.mean([row[key] for row in rows.values() if key in row]))


def checks(report: dict) -> dict[str, bool]:
    """What must hold on this run; `make run` fails where one does not."""
    labelled = [row for row in report["recordings"].values() if row["labelled"]]
    parity = report["torch_native"].values()
    return {
        "calibrated beats amplitude on every labelled recording": all(
            row["vus_pr_calibrated"] > row["vus_pr_amplitude"] for row in labelled
        ),
        "calibrated is above twice random on every labelled recording": all(
            row["vus_pr_calibrated"] > 2 * row["vus_pr_random"] for row in labelled
        ),
        "pruned to at most 20 % of the base's MACs": report["macs_pruned"]
        <= 0.2 * report["macs_base"],
        "torch INT8 and native agree (Spearman >= 0.999)": all(
            row["spearman"] >= 0.999 for row in parity
        ),
        "torch INT8 and native differ by at most 2 % of the range": all(
            row["max_difference"] <= 0.02 for row in parity
        ),
        "native equals emulated ARM, scores and calibrated files": report["native_equals_arm"],
        "the self-test passes on every emulated board": all(report["selftest"].values()),
        "one hash on every instruction set": len(set(report["scores_sha256"].values())) == 1,
    }


def run_all(out: Path, wheel: Path, runner_arm: Path, steps: int, stage: Stage) -> dict:
    """All stages; returns the report. Files go under `out`."""
    work = out / "work"
    shutil.rmtree(out, ignore_errors=True)
    work.mkdir(parents=True)
    report: dict = {"python": sys.version.split()[0], "sanderling": sanderling.__version__}
    with stage("read the recordings"):
        all_recordings = recordings.load(wheel)
    with stage("score with the shipped model, cold and calibrated"):
        rows = {r.name: score_shipped(r, out) for r in all_recordings}
        report["recordings"] = rows
        for key in ("zero_shot", "calibrated", "random", "amplitude", "raw_knn"):
            report[f"vus_pr_{key}"] = mean(rows, f"vus_pr_{key}")
        report["shipped_model_bytes"] = resolve(None).stat().st_size
        figures.draw_bars(rows, out)
    with stage(f"prune, distil, quantise and export the base ({steps} steps)"):
        compressed, model = compress_base(work, steps)
        report |= {k: compressed.report[k] for k in ("macs_base", "macs_pruned")}
        report["compression"] = compressed.report["steps"]
        report["model_bytes"] = model.stat().st_size
    machines: dict[str, board.Calibrated] = {}
    for isa in reversed(sanderling.isa_names()):
        with stage(f"run it natively: {isa}"):
            machines[isa] = board.on_desktop(model, all_recordings, isa, work)
    desktop = machines[sanderling.selected_isa()]
    report["vus_pr_pruned"] = {
        r.name: r.vus_pr(board.as_scores(desktop.scores[r.name]))
        for r in all_recordings
        if r.labelled
    }
    with stage("compare with the torch INT8 reference"):
        report["torch_native"] = torch_against_native(compressed, desktop, all_recordings)
        report["spearman_torch_native"] = min(
            row["spearman"] for row in report["torch_native"].values()
        )
    report["selftest"] = {}
    for board_id in board.BOARDS:
        with stage(f"calibrate and score on an emulated {board_id}"):
            arm = board.on_board(board_id, runner_arm, model, all_recordings, work)
            machines[f"{arm.isa} ({board_id})"] = arm
            test = run_on(board.load_board(board_id), runner_arm, ["--selftest", str(model)])
            report["selftest"][board_id] = test.returncode == 0
    report["native_equals_arm"] = all(board.equal(desktop, m) for m in machines.values())
    report["scores_sha256"] = {name: m.sha256 for name, m in machines.items()}
    report["isas"] = sorted({m.isa for m in machines.values()})
    with stage("write the board folder"):
        first = all_recordings[0]
        report["board_folder"] = board.write_board_folder(
            out / "board-rpi4b", runner_arm, desktop.files[first.name], "rpi4b"
        )
    report["checks"] = checks(report)
    shutil.rmtree(work)
    return report
