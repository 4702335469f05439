"""The loss plot of a training run (needs matplotlib: the `plot` extra)."""

from __future__ import annotations

import json
from pathlib import Path

from ..errors import DependencyError


def read_log(path: Path) -> dict[str, list[dict]]:
    """Rows of log.jsonl by kind ("train", "valid"); a cut last line is passed over."""
    rows: dict[str, list[dict]] = {"train": [], "valid": []}
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        rows.setdefault(row["kind"], []).append(row)
    return rows


def plot_losses(log: Path, out: Path) -> None:
    """One panel a part of the loss: training (thin) and kept-back signals (thick)."""
    try:
        import matplotlib
    except ImportError as error:
        raise DependencyError(
            "the loss plot needs matplotlib: pip install 'sanderling[plot]'"
        ) from error
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = read_log(log)
    names = [k for k in rows["train"][0] if k not in ("kind", "step")] if rows["train"] else []
    columns = min(3, max(1, len(names)))
    lines = -(-max(1, len(names)) // columns)
    figure, axes = plt.subplots(
        lines, columns, figsize=(4.2 * columns, 2.8 * lines), squeeze=False, layout="constrained"
    )
    for axis in axes.flat[len(names) :]:
        axis.axis("off")
    for axis, name in zip(axes.flat, names, strict=False):
        for kind, width, colour in (("train", 0.6, "tab:blue"), ("valid", 2.0, "tab:orange")):
            points = [(r["step"], r[name]) for r in rows[kind] if name in r]
            if points:
                axis.plot(*zip(*points, strict=True), lw=width, color=colour, label=kind)
        axis.set_title(name)
        axis.set_xlabel("step")
        axis.legend()
    figure.savefig(out, dpi=110)
    plt.close(figure)
