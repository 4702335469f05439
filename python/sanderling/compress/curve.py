"""`python -m sanderling.compress.curve BASE.safetensors -o FOLDER`: quality against multiply-accumulates.

One gradual run from the whole network down, with a distilled and fine-tuned snapshot at each share of the MACs, FP32
and INT8; and at one share what gradual pruning is worth: cut at once, and the same shape trained from scratch (with
the pre-training losses, and with the base as teacher), with as many steps on the same batches. Whatever is in the
folder is not done again.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from ..errors import InputError
from ..model import ModelConfig, Sanderling
from ..runtime.detector import Detector
from ..train.checkpoint import load_weights, save_weights
from ..train.data import read_recordings
from ..train.fusion import apply_fusion
from ..train.losses import LossWeights
from ..train.options import TrainOptions
from ..train.quality import Stretch, float_scores, measured, network_only, tuning_stretches
from ..train.source import BatchSource
from ..train.tables import exit_status, read_json, write_json, write_text
from ..train.trainer import Trainer, bf16_is_fast
from .curve_report import BASE, GRADUAL, ONE_SHOT, SCRATCH, SCRATCH_DISTILLED, markdown, plot, summary
from .macs import macs
from .pipeline import CPU, Signals, quantised_steps, size_row
from .prune import Progress, PruneOptions, Run, least_share
from .quality import detection_quality, float_scorer, live_scores, spearman

WEIGHTS, RESULT = "model.safetensors", "result.json"


@dataclass(frozen=True)
class CurveOptions:
    """What the rows get; stored in the folder, and a curve that goes on must agree."""

    steps: int = 600  # of the gradual run, down to the last share
    shares: tuple[float, ...] = (0.5, 0.3, 0.2, 0.1)  # of the base's MACs
    compared: float = 0.2  # the share at which other ways are compared
    batch: int = 8  # sequences a step
    length: int = 2048  # samples a sequence
    lr: float = 1e-3
    seed: int = 0
    held_out: int = 6  # kept-back batches
    series: int | None = None  # of the tuning list, at most, a set; None: all
    learned_fusion: bool = False  # whether the network from scratch keeps its own

    @property
    def stage(self) -> int:
        """Steps from one share to the next."""
        return max(1, self.steps // len(self.shares))

    @property
    def to_compared(self) -> int:
        """Steps of the gradual run down to the compared share."""
        return self.stage * (self.shares.index(self.compared) + 1)


def row_names(options: CurveOptions) -> list[str]:
    """The rows in the order in which they can be made."""
    shares = [f"{GRADUAL}-{share:.0%}".rstrip("%") for share in options.shares]
    return [BASE, *shares, ONE_SHOT, SCRATCH, SCRATCH_DISTILLED]


class Curve:
    """The rows of one folder: <row>/model.safetensors, model.gguf and result.json.

    Args:
        base: weights written by pretrain.
        data: recordings with an index.json and the tuning list's series.

    Raises:
        InputError: the folder belongs to another base or to other options.
    """

    def __init__(self, base: Path, folder: Path, options: CurveOptions, data: Path, progress: Progress) -> None:
        self.folder, self.options, self.progress = Path(folder), options, progress
        self.base, _ = load_weights(base)
        self.recordings = read_recordings(data)
        self.signals = Signals(
            options.batch, options.length, options.seed, tuple(self.recordings), held_out=options.held_out
        )
        # Through JSON's types, or a list would differ from the tuple it came from.
        own = {**asdict(options), "shares": list(options.shares)}
        self._agree({"base_sha256": hashlib.sha256(Path(base).read_bytes()).hexdigest(), "options": own})
        patch = self.base.config.patch
        self.training = self.signals.training(patch)
        self.held_out = self.signals.kept_back(patch)
        self.stretches = tuning_stretches(data, self.base.config, options.series)

    def _agree(self, wanted: dict) -> None:
        path = self.folder / "curve-options.json"
        if path.exists() and (found := read_json(path)) != wanted:
            raise InputError(f"{path}: expected {wanted}, found {found}; use another folder or the same base")
        write_json(path, wanted)

    def model(self, row: str) -> Sanderling:
        """A row's network as it is stored (matrices in bfloat16), made if it is not there."""
        path = self.folder / row / WEIGHTS
        if not path.exists():
            save_weights(path, self._made(row), {"row": row})
        return load_weights(path)[0]

    def _made(self, row: str) -> Sanderling:
        kind, _, percent = row.partition("-")
        if row == BASE:
            return self.base
        if kind == GRADUAL:
            at = [f"{share:.0%}".rstrip("%") for share in self.options.shares].index(percent)
            before = self.model(row_names(self.options)[at])
            return self._pruned(row, before, self.options.shares[at], self.options.stage, one_shot=False)
        share, steps = self.options.compared, self.options.to_compared
        if row == ONE_SHOT:
            return self._pruned(row, self.base, share, steps, one_shot=True)
        shape = self.model(row_names(self.options)[1 + self.options.shares.index(share)]).config
        if row == SCRATCH_DISTILLED:
            torch.manual_seed(self.options.seed)
            return self._pruned(row, Sanderling(shape), share, steps, one_shot=False)
        return self._from_scratch(row, shape, steps)

    def _pruned(self, row: str, start: Sanderling, share: float, steps: int, one_shot: bool) -> Sanderling:
        """Distilled from the base in `steps` steps, down to `share` or to as little as pruning may reach."""
        begin = macs(start.config)["total"] / macs(self.base.config)["total"]
        options = PruneOptions(
            target=max(share, least_share(self.base.config)),
            start=begin,
            steps=steps,
            events=max(2, steps // 25),
            one_shot=one_shot,
            lr=self.options.lr,
            mixed=bf16_is_fast(CPU),
        )
        run = Run(self.base, options, self.training, self.folder / row, start)
        run.resume()
        model = run.run(self.progress)
        (self.folder / row / "compress.pt").unlink()
        return model

    def _from_scratch(self, row: str, shape: ModelConfig, steps: int) -> Sanderling:
        """Trained as a base is, on the batches that the gradual run saw."""
        o = self.options
        options = TrainOptions(
            steps=steps,
            batch=o.batch,
            length=o.length,
            lr=o.lr,
            seed=o.seed,
            warmup=max(1, steps // 10),
            curriculum=False,
            validate_every=steps,
            checkpoint_every=max(1, steps // 4),
        )
        source = BatchSource(options, self.recordings, prefetch=0)
        trainer = Trainer(shape, options, LossWeights(), source, self.folder / row, CPU)
        trainer.resume()
        model = trainer.run()
        trainer.checkpoint.unlink()
        return model if o.learned_fusion else apply_fusion(model)

    def row(self, row: str) -> dict:
        """Make and measure one row, or read its result."""
        path = self.folder / row / RESULT
        if path.exists():
            return read_json(path)
        begun = time.monotonic()
        model = self.model(row)
        made = time.monotonic()
        native = self.folder / row / "model.gguf"
        export(self.folder / row / WEIGHTS, native)
        own = live_scores(float_scorer(model), self.held_out)
        first = self.options.steps
        calibration = [self.training(first + i) for i in range(self.signals.calibration)]
        _, int8 = quantised_steps(model, own, calibration, self.held_out)
        result = {
            "row": row,
            **size_row(model, macs(self.base.config)["total"]),
            "file_bytes": native.stat().st_size,
            "make_seconds": made - begun,
            "kept_back": {"float": detection_quality(own, self.held_out), **int8},
            **tuning_quality(model, native, self.stretches),
            "measure_seconds": time.monotonic() - made,
        }
        write_json(path, result)
        return result

    def report(self, rows: list[dict]) -> str:
        """Write curve.json, .md and .png from the rows that are there; returns the Markdown."""
        windows = sum(len(batch.x) for batch in self.held_out)
        about = {"options": asdict(self.options), "windows": windows, "series": len(self.stretches)}
        content = {**about, **summary(rows, self.options.compared)}
        write_json(self.folder / "curve.json", content)
        text = markdown(content)
        write_text(self.folder / "curve.md", text)
        plot(content, self.folder / "curve.png")
        return text


def export(weights: Path, native: Path) -> None:
    """Write the native INT8 file through the command that ships. Raises InputError with its message."""
    command = [sys.executable, "-m", "sanderling", "export", str(weights), "-o", str(native)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise InputError(f"{weights}: expected a native file from 'sanderling export', found: {done.stderr.strip()}")


def engine_scores(detector: Detector, stretch: Stretch) -> np.ndarray:
    """Scores (time - reference,) by the engine, calibrated on the stretch's reference."""
    detector.fit(stretch.raw[: stretch.reference])
    return detector.decision_function(stretch.raw)[stretch.reference :]


def tuning_quality(model: Sanderling, native: Path, stretches: list[Stretch]) -> dict:
    """Rows a stretch by the float network ("float"; "network": without raw-window distance, amplitude and variation)
    and by the engine ("int8", with its Spearman correlation to "float")."""
    models = {"float": model, "network": network_only(model)}
    rows: dict[str, list[dict]] = {"float": [], "network": [], "int8": []}
    for stretch in stretches:
        scores = float_scores(models, stretch)
        scores["int8"] = engine_scores(Detector.load(native), stretch)
        for name, found in scores.items():
            rows[name].append(measured(stretch, found))
        both = np.isfinite(scores["int8"])
        rows["int8"][-1]["spearman"] = spearman(scores["float"][both], scores["int8"][both])
    return {"tuning": rows}


def show(step: int, steps: int, report: dict[str, float]) -> None:
    """Every 25th step on stderr."""
    if step % 25 == 0 or step == steps:
        bar = "#" * (20 * step // steps)
        line = f"[{bar:.<20}] {step}/{steps} loss {report['loss']:.3f} MACs {report['macs']:.1%}"
        print(line, file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    default = CurveOptions()
    p = argparse.ArgumentParser(prog="python -m sanderling.compress.curve", description=__doc__)
    p.add_argument("base", type=Path, help="weights written by pretrain (.safetensors)")
    p.add_argument("-o", "--out", type=Path, required=True, metavar="FOLDER", help="results; an old folder goes on")
    p.add_argument(
        "--data",
        type=Path,
        metavar="FOLDER",
        default=os.environ.get("SANDERLING_DATA"),
        help="recordings with an index.json, and eval with the tuning list's sets (default: $SANDERLING_DATA)",
    )
    p.add_argument("--rows", nargs="+", choices=row_names(default), default=row_names(default), help="default: all")
    for name in ("steps", "batch", "length", "seed", "held_out", "series"):
        value = getattr(default, name)
        shown = "all" if value is None else value
        p.add_argument(f"--{name.replace('_', '-')}", type=int, default=value, help=f"default: {shown}")
    p.add_argument("--lr", type=float, default=default.lr)
    p.add_argument("--learned-fusion", action="store_true", help="the network from scratch keeps its learned fusion")
    p.add_argument("--threads", type=int, help="CPU threads (default: torch's choice)")
    return p


def run(args: argparse.Namespace) -> int:
    """Row after row; the report is rewritten after each."""
    if args.data is None:
        raise InputError("--data: expected a folder with the tuning list's series, found none; set SANDERLING_DATA")
    if args.threads:
        torch.set_num_threads(args.threads)
    names = ("steps", "batch", "length", "lr", "seed", "held_out", "series", "learned_fusion")
    options = CurveOptions(**{name: getattr(args, name) for name in names})
    curve = Curve(args.base, args.out, options, args.data, show)
    rows: list[dict] = []
    text = ""
    wanted = [BASE, *(row for row in args.rows if row != BASE)]
    for number, name in enumerate(wanted, 1):
        print(f"[{number}/{len(wanted)}] {name}", file=sys.stderr, flush=True)
        rows.append(curve.row(name))
        text = curve.report(rows)
    print(text, end="")
    print(args.out / "curve.md")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status: 2 for the user's mistakes, 130 for an interrupt (the same command goes on)."""
    args = parser().parse_args(argv)
    return exit_status("curve", lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
