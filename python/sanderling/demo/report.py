"""The report as one HTML page with its pictures inside."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 0.5rem 0 1.5rem; }
td, th { padding: 0.2rem 0.8rem; border-bottom: 1px solid #ddd; text-align: right; }
td:first-child, th:first-child { text-align: left; }
img { max-width: 100%; } .ok { color: #2e7d32; } .failed { color: #c62828; font-weight: bold; }
code { font-size: 0.85em; }
"""


def cell(value: object) -> str:
    """A number with four digits, anything else as text."""
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def table(columns: list[str], rows: list[list[object]]) -> str:
    """An HTML table."""
    head = "".join(f"<th>{escape(c)}</th>" for c in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell(v))}</td>" for v in row) + "</tr>" for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def picture(path: Path) -> str:
    """An <img> that carries the file."""
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<p><img alt="{escape(path.stem)}" src="data:image/png;base64,{data}"></p>'


def quality(report: dict) -> str:
    """Detection quality per recording, and the pictures."""
    kinds = ("zero_shot", "calibrated", "random", "amplitude", "raw_knn")
    rows = [
        [name, row["samples"], row["channels"], row["reference"]]
        + [row.get(f"vus_pr_{k}", "no labels") for k in kinds]
        + [report["vus_pr_pruned"].get(name, "no labels")]
        for name, row in report["recordings"].items()
    ]
    columns = ["recording", "samples", "channels", "reference", *kinds, "demo's pruned model"]
    return "<h2>Detection quality (VUS-PR)</h2>" + table(columns, rows)


def compression(report: dict) -> str:
    """What pruning, distillation and quantisation cost on kept-back generated signals."""
    columns = ["step", "MACs a patch", "INT8 bytes", "AUROC", "AUC-PR"]
    rows = [
        [name, row["macs"], row["int8_bytes"], row["auc_roc"], row["auc_pr"]]
        for name, row in report["compression"].items()
    ]
    return "<h2>Compression</h2>" + table(columns, rows)


def machines(report: dict) -> str:
    """Hashes of the score arrays by instruction set, and the parity with torch."""
    hashes = [[name, digest[:16]] for name, digest in report["scores_sha256"].items()]
    parity = [
        [name, row["spearman"], row["max_difference"]]
        for name, row in report["torch_native"].items()
    ]
    return (
        "<h2>One arithmetic</h2>"
        + table(["instruction set", "sha256 of all scores"], hashes)
        + table(["recording", "Spearman torch INT8 / native", "largest difference / range"], parity)
    )


def write_html(report: dict, folder: Path) -> Path:
    """Write report.html into `folder`; the pictures there go inside the page."""
    checks = "".join(
        f'<li class="{"ok" if held else "failed"}">{escape(name)}: {"yes" if held else "NO"}</li>'
        for name, held in report["checks"].items()
    )
    times = [[name, seconds] for name, seconds in report["stage_seconds"].items()]
    pictures = [folder / "vus_pr.png"] + [folder / f"{name}.png" for name in report["recordings"]]
    body = (
        "<h1>Sanderling: from recordings to a board</h1>"
        f"<ul>{checks}</ul>"
        + quality(report)
        + "".join(picture(p) for p in pictures)
        + compression(report)
        + machines(report)
        + "<h2>Time (seconds)</h2>"
        + table(["stage", "s"], times)
    )
    path = folder / "report.html"
    path.write_text(
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Sanderling</title>"
        f"<style>{STYLE}</style></head><body>{body}</body></html>\n",
        encoding="utf-8",
    )
    return path
