"""Base -> pruned and distilled -> INT8, with a report of what each step cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..model import Sanderling
from ..train.options import TrainOptions
from ..train.source import BatchSource
from ..train.step import Batch
from .fake import fake_quantised
from .int8 import Int8Reference
from .macs import bytes_native, macs, weights
from .prune import Progress, PruneOptions, Run
from .quality import agreement, anomalous_error, detection_quality, float_scorer, int8_scorer, live_scores
from .quantise import quantise, to_native_tensors

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Compressed:
    """The pruned float model, the INT8 tensors of docs/format.md, and the report."""

    model: Sanderling
    tensors: dict[str, np.ndarray]
    report: dict


@dataclass(frozen=True)
class Signals:
    """Which signals a run sees: generated ones and, where given, real recordings."""

    batch: int = 8  # sequences a step
    length: int = 2048  # samples a sequence
    seed: int = 0
    recordings: tuple = ()
    held_out: int = 6  # batches for the report
    calibration: int = 6  # batches for NNCF

    def _source(self) -> BatchSource:
        options = TrainOptions(batch=self.batch, length=self.length, seed=self.seed, curriculum=False)
        return BatchSource(options, list(self.recordings), prefetch=0)

    def training(self, patch: int) -> Callable[[int], Batch]:
        """step -> batch."""
        source = self._source()
        return lambda step: Batch(next(source.train(step)), patch, CPU)

    def kept_back(self, patch: int) -> list[Batch]:
        """Batches for the report: signals that training never sees."""
        return [Batch(arrays, patch, CPU) for arrays in self._source().valid(self.held_out)]


def bf16_weights(model: Sanderling) -> Sanderling:
    """Matrices rounded to bfloat16, as `save_weights` stores them: the file exports to the same integers."""
    rounded = deepcopy(model)
    with torch.no_grad():
        for p in rounded.parameters():
            if p.ndim > 1:
                p.copy_(p.to(torch.bfloat16))
    return rounded.eval()


def size_row(model: Sanderling, full: int) -> dict:
    """MACs, weights and bytes of a model's native file."""
    config = model.config
    count = macs(config)["total"]
    return {
        "macs": count,
        "macs_share": count / full,
        "weights": weights(config)["total"],
        "int8_bytes": bytes_native(config),
        "config": config.to_dict(),
    }


def quantised_steps(
    model: Sanderling, float_scores: Sequence[np.ndarray], training: Sequence[Batch], held_out: Sequence[Batch]
) -> tuple[dict[str, np.ndarray], dict[str, dict]]:
    """Quantise a float model and measure it, row-wise and static, on kept-back signals.

    Args:
        float_scores: the model's own, a batch of `held_out` (`quality.live_scores`).
        training: batches that NNCF takes its statistics from.

    Returns:
        The INT8 tensors of docs/format.md, and the rows int8_engine (everything in INT8, as the engine computes),
        int8_layers_row and int8_layers_static (the linear layers, with row scales and with NNCF's static ones).
    """
    quantised = quantise(model, training)
    tensors = to_native_tensors(model, quantised.scales)
    with fake_quantised(model):
        row_layers = live_scores(float_scorer(model), held_out)
    found = {
        "int8_engine": live_scores(int8_scorer(Int8Reference(model.config, tensors)), held_out),
        "int8_layers_row": row_layers,
        "int8_layers_static": live_scores(float_scorer(model, quantised.network), held_out),
    }
    steps = {
        name: {
            **detection_quality(scores, held_out),
            "spearman_to_pruned": agreement(scores, float_scores),
            "anomalous_error": anomalous_error(scores, float_scores, held_out),
        }
        for name, scores in found.items()
    }
    return tensors, steps


def compress(
    base: Sanderling,
    options: PruneOptions,
    signals: Signals,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Compressed:
    """Prune, distil and quantise `base`.

    Args:
        base: float32; left as it is.
        folder: where the run's checkpoint is kept and looked for; None: none.

    Raises:
        InputError: the target cannot be reached, or the checkpoint belongs to another run.
        KeyboardInterrupt: interrupted; the checkpoint is saved.
    """
    patch = base.config.patch
    base = base.eval()
    training = signals.training(patch)
    run = Run(base, options, training, folder)
    run.resume()
    held_out = signals.kept_back(patch)
    full = macs(base.config)["total"]

    model = bf16_weights(run.run(progress))
    base_scores = live_scores(float_scorer(base), held_out)
    float_scores = live_scores(float_scorer(model), held_out)
    calibration = [training(options.steps + i) for i in range(signals.calibration)]
    tensors, int8_steps = quantised_steps(model, float_scores, calibration, held_out)
    size = size_row(model, full)
    steps = {
        "base": {**size_row(base, full), **detection_quality(base_scores, held_out)},
        "pruned": {
            **size,
            **detection_quality(float_scores, held_out),
            "spearman_to_base": agreement(float_scores, base_scores),
        },
        **{name: {**size, **row} for name, row in int8_steps.items()},
    }
    report = {
        "macs_base": full,
        "macs_pruned": macs(model.config)["total"],
        "macs_parts": macs(model.config),
        "steps": steps,
        "plan": run.plan,
        "held_out_windows": sum(len(batch.x) for batch in held_out),
    }
    return Compressed(model, tensors, report)


COLUMNS = (
    ("MACs a patch", "macs", "{:,}"),
    ("of base", "macs_share", "{:.1%}"),
    ("weights", "weights", "{:,}"),
    ("INT8 bytes", "int8_bytes", "{:,}"),
    ("AUROC", "auc_roc", "{:.4f}"),
    ("AUC-PR", "auc_pr", "{:.4f}"),
    ("Spearman to base", "spearman_to_base", "{:.4f}"),
    ("Spearman to pruned", "spearman_to_pruned", "{:.4f}"),
    ("error on anomalies", "anomalous_error", "{:.4f}"),
)


def markdown(report: dict) -> str:
    """The report as a Markdown table with one row a step."""
    lines = [
        "| step | " + " | ".join(title for title, _, _ in COLUMNS) + " |",
        "|---|" + "---:|" * len(COLUMNS),
    ]
    for name, row in report["steps"].items():
        cells = [form.format(row[key]) if key in row else "" for _, key, form in COLUMNS]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    kept = report["steps"]["pruned"]["config"]
    lines += [
        "",
        f"Pruned network: d_model {kept['d_model']}, heads {kept['n_heads']}, FFN {kept['ffn']}, "
        f"scorer {kept['scorer_hidden']}; {len(report['plan'])} cuts.",
        f"Quality is per patch on {report['held_out_windows']} kept-back windows with injected anomalies. "
        "The base row's INT8 bytes are what its file would take. int8_engine is the whole engine (attention and "
        "memory in INT8 too); int8_layers_row and int8_layers_static quantise the linear layers only, with our row "
        "scales and with NNCF's static ones; error on anomalies: mean |difference to pruned| on anomalous patches, "
        "in standard deviations of the score.",
    ]
    return "\n".join(lines) + "\n"
