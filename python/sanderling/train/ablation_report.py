"""The ablation table: means, paired differences to the row with everything on, Markdown and plot."""

from __future__ import annotations

import math
from pathlib import Path

from ..errors import DependencyError
from .quality import METRICS, Key, Rows, mean_over_sets, paired_difference, values
from .tables import signed, table

FULL = "full"
MAIN = METRICS[0]
NAMES = {"vus_pr": "VUS-PR", "auc_pr": "AUC-PR"}
PLACES = {"tuning": "tuning list", "injected": "injected"}
SCORES = {"deployed": "deployed score", "network": "network-only score"}


def over_seeds(of_seeds: list[Rows], metric: str) -> dict[Key, float]:
    """(set, name) -> mean over the seeds."""
    found = [values(rows, metric) for rows in of_seeds]
    return {key: sum(f[key] for f in found) / len(found) for key in found[0]}


def compared(full: dict[int, Rows], part: dict[int, Rows], metric: str) -> dict:
    """A cell: the part's mean, full - part with its standard error, and the difference of each seed."""
    seeds = sorted(full.keys() & part.keys())
    a, b = ([of[s] for s in seeds] for of in (full, part))
    difference, error = paired_difference(over_seeds(a, metric), over_seeds(b, metric))
    each = [paired_difference(values(x, metric), values(y, metric))[0] for x, y in zip(a, b, strict=True)]
    mean = mean_over_sets(over_seeds(b, metric))
    return {"mean": mean, "difference": difference, "error": error, "by_seed": each}


def summary(rows: list[dict], titles: dict[str, str]) -> dict:
    """{"places", "seeds", "parts": {name: {"title", "cells": {place: {score: {metric: cell}}}}}}.

    Args:
        rows: of `Ablation.row`; those of the part "full" are what the others are compared with.
    """
    found: dict[str, dict[int, dict]] = {}
    for row in rows:
        found.setdefault(row["part"], {})[row["seed"]] = row["quality"]
    places = [place for place in PLACES if place in rows[0]["quality"]]

    def cells(part: str, place: str, score: str) -> dict:
        full, own = ({seed: q[place][score] for seed, q in found[name].items()} for name in (FULL, part))
        return {metric: compared(full, own, metric) for metric in METRICS}

    parts = {
        part: {
            "title": titles[part],
            "seeds": sorted(found[part]),
            "cells": {place: {score: cells(part, place, score) for score in SCORES} for place in places},
        }
        for part in found
    }
    return {"places": places, "parts": parts}


def verdict(part: dict) -> str:
    """"helps", "hurts", "mixed" or "none": VUS-PR differences of more than two standard errors."""
    cells = [score[MAIN] for place in part["cells"].values() for score in place.values()]
    clear = [c["difference"] for c in cells if abs(c["difference"]) > 2 * c["error"]]
    helps, hurts = any(d > 0 for d in clear), any(d < 0 for d in clear)
    return {(True, False): "helps", (False, True): "hurts", (True, True): "mixed"}.get((helps, hurts), "none")


SENTENCES = {
    "helps": "Helps (more than two standard errors in at least one column, against it in none)",
    "mixed": "Helps in one column and hurts in another",
    "none": "No difference beyond two standard errors in any column: does not help at this budget",
    "hurts": "Hurts at this budget",
}


def markdown(content: dict) -> str:
    """Tables of VUS-PR and AUC-PR, and what helps and what does not."""
    parts, columns = content["parts"], [(place, score) for place in content["places"] for score in SCORES]
    budget, config, n_cells = content["budget"], content["config"], (len(parts) - 1) * len(columns)
    lines = [
        "# Ablation of the pre-training parts\n",
        f"Small networks (d_model {config['d_model']}, {len(config['ffn'])} layers, {content['weights']:,} weights), "
        f"{budget['steps']} steps of {budget['batch']} x {budget['length']} samples each, the same seeds and data "
        f"({content['recordings']} real series beside generated signals); {len(parts[FULL]['seeds'])} seed(s).",
        "Each row leaves one part out. A cell is full - row: positive means that it helps. Differences are paired "
        "by series, averaged over seeds, then over series and sets; after \N{PLUS-MINUS SIGN} the standard error over "
        "series (seeds do not enter it). Bold: more than two standard errors; of a table's "
        f"{n_cells} cells {n_cells / 20:.0f} are so by chance.",
        ", ".join(f"{PLACES[place]}: {count} series" for place, count in content["series"].items())
        + ". The network-only score drops the fusion's components that the network does not compute (raw-window "
        "distance, amplitude, variation); the deployed score has the chosen fusion.\n",
    ]
    for metric in METRICS:
        titles = [NAMES[metric], *(f"{PLACES[place]}, {SCORES[score]}" for place, score in columns)]
        body = []
        for name, part in parts.items():
            cells = [part["cells"][place][score][metric] for place, score in columns]
            if name == FULL:
                body.append(["**full**", *(f"{cell['mean']:.3f}" for cell in cells)])
            else:
                body.append([f"without {part['title']}", *(signed(c["difference"], c["error"]) for c in cells)])
        lines.append(table(titles, body))
    found: dict[str, list[str]] = {}
    for name, part in parts.items():
        if name != FULL:
            found.setdefault(verdict(part), []).append(part["title"])
    lines += [f"- {sentence}: {', '.join(found[kind])}." for kind, sentence in SENTENCES.items() if kind in found]
    return "\n".join(lines) + "\n"


def plot(content: dict, out: Path) -> None:
    """One panel a column of the VUS-PR table: full - row with two standard errors. Raises DependencyError."""
    try:
        import matplotlib
    except ImportError as error:
        raise DependencyError("the ablation plot needs matplotlib: pip install 'sanderling[plot]'") from error
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    parts = {name: part for name, part in content["parts"].items() if name != FULL}
    columns = [(place, score) for place in content["places"] for score in SCORES]
    height = 1.4 + 0.32 * max(1, len(parts))
    figure, axes = plt.subplots(
        1, len(columns), figsize=(3 + 2.6 * len(columns), height), squeeze=False, sharey=True, layout="constrained"
    )
    for axis, (place, score) in zip(axes[0], columns, strict=True):
        cells = [part["cells"][place][score][MAIN] for part in parts.values()]
        bars = [0.0 if math.isnan(c["error"]) else 2 * c["error"] for c in cells]
        axis.errorbar([c["difference"] for c in cells], range(len(cells)), xerr=bars, fmt="o", capsize=3)
        axis.axvline(0, color="0.6", lw=0.8)
        axis.locator_params(axis="x", nbins=4)
        axis.set_title(f"{PLACES[place]}\n{SCORES[score]}", fontsize=9)
        axis.set_xlabel("VUS-PR lost without it", fontsize=8)
    axes[0][0].set_yticks(range(len(parts)), [part["title"] for part in parts.values()], fontsize=8)
    axes[0][0].set_ylim(max(1, len(parts)) - 0.5, -0.5)
    figure.savefig(out, dpi=110)
    plt.close(figure)
