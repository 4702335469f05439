"""The compression curve's summary, Markdown and plot."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import DependencyError
from ..train.quality import mean_over_sets, paired_difference, values
from ..train.tables import signed, table

BASE, GRADUAL = "base", "gradual"
ONE_SHOT, SCRATCH, SCRATCH_DISTILLED = "one_shot", "scratch", "scratch_distilled"
TITLES = {
    BASE: "base",
    ONE_SHOT: "pruned at once, then distilled",
    SCRATCH: "same shape from scratch, pre-training losses",
    SCRATCH_DISTILLED: "same shape from scratch, distilled",
}
KEPT, WITHIN, RANKS = 0.95, 0.01, 0.99  # of the base's VUS-PR at the compared share; INT8 to FP32


def title(row: str) -> str:
    """A row's name in the tables."""
    kind, _, percent = row.partition("-")
    return f"gradual, {percent} %" if kind == GRADUAL else TITLES[row]


def _vus(rows: list[dict]) -> dict:
    return values(rows, "vus_pr")


def summary(rows: list[dict], compared: float) -> dict:
    """{"rows": [one a row], "compared": the gradual row at that share, or None}.

    Args:
        rows: results of `Curve.row`, the base first.
    """
    by_name = {row["row"]: row for row in rows}
    chosen = by_name.get(f"{GRADUAL}-{compared:.0%}".rstrip("%"))
    base = mean_over_sets(_vus(rows[0]["tuning"]["float"]))
    found = []
    for row in rows:
        tuning, kept = row["tuning"], row["kept_back"]
        mean = mean_over_sets(_vus(tuning["float"]))
        ranks = np.array([r["spearman"] for r in tuning["int8"]])
        entry = {
            **{key: row[key] for key in ("row", "macs", "macs_share", "weights", "file_bytes", "config")},
            "vus_pr": mean,
            "of_base": mean / base,
            "vus_pr_network": mean_over_sets(_vus(tuning["network"])),
            "vus_pr_int8": mean_over_sets(_vus(tuning["int8"])),
            "int8_difference": paired_difference(_vus(tuning["int8"]), _vus(tuning["float"])),
            "spearman": float(np.nanmean(ranks)),
            "spearman_least": float(np.nanmin(ranks)),
            "kept_back": kept,
        }
        if chosen is not None:
            for name in ("float", "network"):
                entry[f"to_chosen_{name}"] = paired_difference(_vus(tuning[name]), _vus(chosen["tuning"][name]))
        found.append(entry)
    return {"rows": found, "compared": None if chosen is None else chosen["row"]}


def _curve_table(rows: list[dict]) -> str:
    titles = [
        "network", "MACs a patch", "of base", "weights", "INT8 file, bytes", "VUS-PR, FP32", "of base's",
        "VUS-PR, INT8", "INT8 - FP32", "Spearman mean (least)", "injected AUC-PR, FP32", "injected AUC-PR, INT8",
    ]  # fmt: skip
    body = [
        [
            title(r["row"]),
            f"{r['macs']:,}",
            f"{r['macs_share']:.1%}",
            f"{r['weights']:,}",
            f"{r['file_bytes']:,}",
            f"{r['vus_pr']:.3f}",
            f"{r['of_base']:.1%}",
            f"{r['vus_pr_int8']:.3f}",
            signed(*r["int8_difference"]),
            f"{r['spearman']:.4f} ({r['spearman_least']:.4f})",
            f"{r['kept_back']['float']['auc_pr']:.3f}",
            f"{r['kept_back']['int8_engine']['auc_pr']:.3f}",
        ]
        for r in rows
    ]
    return table(titles, body)


def _compared_table(rows: list[dict], chosen: str) -> str:
    titles = ["at the same MACs", "MACs", "VUS-PR", "to gradual", "network only", "to gradual", "injected AUC-PR"]
    body = [
        [
            title(r["row"]),
            f"{r['macs_share']:.1%}",
            f"{r['vus_pr']:.3f}",
            "" if r["row"] == chosen else signed(*r["to_chosen_float"]),
            f"{r['vus_pr_network']:.3f}",
            "" if r["row"] == chosen else signed(*r["to_chosen_network"]),
            f"{r['kept_back']['float']['auc_pr']:.3f}",
        ]
        for r in rows
        if r["row"] in (BASE, chosen, ONE_SHOT, SCRATCH, SCRATCH_DISTILLED)
    ]
    return table(titles, body)


INT8_ROWS = {
    "int8_engine": "engine",
    "int8_layers_row": "layers, row scales",
    "int8_layers_static": "layers, static (NNCF)",
}


def _int8_table(rows: list[dict]) -> str:
    titles = ["network", "INT8", "AUC-PR", "FP32 - INT8", "Spearman to FP32", "error on anomalies"]
    body = []
    for r in rows:
        exact = r["kept_back"]["float"]["auc_pr"]
        for key, name in INT8_ROWS.items():
            found = r["kept_back"][key]
            body.append(
                [
                    title(r["row"]),
                    name,
                    f"{found['auc_pr']:.4f}",
                    f"{exact - found['auc_pr']:+.4f}",
                    f"{found['spearman_to_pruned']:.4f}",
                    f"{found['anomalous_error']:.4f}",
                ]
            )
    return table(titles, body)


def statements(rows: list[dict], chosen: str) -> list[str]:
    """What the compared share says about the bars, good or bad."""
    by_name = {r["row"]: r for r in rows}
    r = by_name[chosen]

    def word(held: bool) -> str:
        return "reached" if held else "**not reached**"

    difference, _ = r["int8_difference"]
    found = [
        f"{r['macs_share']:.1%} of the base's MACs keep {r['of_base']:.1%} of its VUS-PR: "
        f"the bar of {KEPT:.0%} is {word(r['of_base'] >= KEPT)}.",
        f"INT8 differs from FP32 by {difference:+.4f} VUS-PR (bar {WITHIN}: {word(abs(difference) <= WITHIN)}), mean "
        f"Spearman a series {r['spearman']:.4f} (bar {RANKS}: {word(r['spearman'] >= RANKS)}).",
    ]
    for other in (SCRATCH, SCRATCH_DISTILLED, ONE_SHOT):
        if other in by_name:
            behind, error = by_name[other]["to_chosen_float"]
            clear = abs(behind) > 2 * error
            place = "not distinguishable from" if not clear else "behind" if behind < 0 else "ahead of"
            found.append(
                f"{title(other)[0].upper()}{title(other)[1:]}: {place} gradual pruning "
                f"({behind:+.3f} VUS-PR, standard error {error:.3f})."
            )
    return found


def markdown(content: dict) -> str:
    """The three tables and what they say."""
    rows, options, chosen = content["rows"], content["options"], content["compared"]
    lines = [
        "# Compression curve\n",
        f"Gradual: one run of {options['steps']} distillation steps of {options['batch']} x {options['length']} "
        "samples, a fine-tuned snapshot at each share. VUS-PR: mean over the sets of the tuning list "
        f"({content['series']} series, after the reference), float network and the native file through the engine. "
        f"Spearman: INT8 to FP32 a series. Injected: AUC-PR a patch over {content['windows']} kept-back windows, INT8 "
        "there by the reference of the engine's arithmetic. Differences are paired by series; after "
        "\N{PLUS-MINUS SIGN} the standard error over series; bold: more than two of them.\n",
        _curve_table(rows),
    ]
    if chosen is not None:
        lines += [
            "The other ways have as many steps on the same batches as the gradual run had down to this share. Network "
            "only: the fusion without raw-window distance, amplitude and variation.\n",
            _compared_table(rows, chosen),
            *(f"- {line}" for line in statements(rows, chosen)),
            "",
        ]
    lines += [
        "INT8 activations on anomalous input: row scales (the engine's) and NNCF's static ranges, linear layers alone, "
        "beside the whole engine; error: mean |difference to FP32| on anomalous patches, in standard deviations of the "
        "score.\n",
        _int8_table(rows),
    ]
    return "\n".join(lines)


def plot(content: dict, out: Path) -> None:
    """VUS-PR and AUC-PR against the share of MACs. Raises DependencyError."""
    try:
        import matplotlib
    except ImportError as error:
        raise DependencyError("the curve's plot needs matplotlib: pip install 'sanderling[plot]'") from error
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = content["rows"]
    curve = [r for r in rows if r["row"] == BASE or r["row"].startswith(GRADUAL)]
    others = [r for r in rows if r not in curve]
    panels = {
        "VUS-PR, tuning list": {"FP32": lambda r: r["vus_pr"], "INT8": lambda r: r["vus_pr_int8"]},
        "VUS-PR, network only": {"FP32": lambda r: r["vus_pr_network"]},
        "AUC-PR, injected": {
            "FP32": lambda r: r["kept_back"]["float"]["auc_pr"],
            "INT8": lambda r: r["kept_back"]["int8_engine"]["auc_pr"],
        },
    }
    figure, axes = plt.subplots(1, len(panels), figsize=(4.2 * len(panels), 3.7), layout="constrained")
    for axis, (name, series) in zip(axes, panels.items(), strict=True):
        for (label, value), style in zip(series.items(), ("C0o-", "C1s--"), strict=False):
            axis.plot([r["macs_share"] for r in curve], [value(r) for r in curve], style, label=f"gradual, {label}")
        first = next(iter(series.values()))
        for r, marker in zip(others, ("C2v", "C3x", "C4+"), strict=False):
            axis.plot([r["macs_share"]], [first(r)], marker, ms=8, label=title(r["row"]))
        axis.set_xscale("log")
        axis.set_xticks([r["macs_share"] for r in curve], [f"{r['macs_share']:.0%}" for r in curve])
        axis.minorticks_off()
        axis.set_xlabel("share of the base's MACs")
        axis.set_title(name)
    named = axes[0].get_legend_handles_labels()
    figure.legend(*named, loc="outside lower center", ncols=5, fontsize=8)  # hides no point
    figure.savefig(out, dpi=110)
    plt.close(figure)
