"""The result as Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .entries import NATIVE, STREAM, WINDOW

Document = Mapping[str, Any]


def markdown(document: Document) -> str:
    """The whole result."""
    machine = document["machine"]
    caches = ", ".join(f"{name} {size} KiB" for name, size in machine["caches_kib"].items())
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    about = [
        f"{machine['processor']} ({', '.join(machine['isa_flags'])}; {caches})",
        f"{machine['cores']} core(s){', virtual' if machine['virtual'] else ''}, load {machine['load_1min']}",
        f"{machine['system']}; Python {machine['python']}; {packages}",
    ]
    model, rounds = document["model"], f"{document['rounds']} rounds in turns"
    how = [
        f"Model {model['variant']}, {model['bytes']:,} bytes, one channel: 512 x 2 metric and 4,033 raw rows",
        f"one thread{', scheduled before other work' if document['realtime'] else ''}",
        rounds if document["complete"] else f"{rounds}, INTERRUPTED",
    ]
    parts = [
        "# sanderling bench",
        "",
        "; ".join(about) + ".",
        "",
        "; ".join(how) + ".",
        "",
        "## Window: 64 tokens (512 samples), scaled samples in, scores out",
        "",
        *rows_table(document, WINDOW),
        "",
        "## Stream: one patch (8 samples)",
        "",
        *rows_table(document, STREAM),
        "",
        *_not_run(document),
        *_busy(document),
        "## Bars",
        "",
        *bars_table(document),
        "",
        *_footprint(document),
        *_dynamic(document),
        *_peaks(document),
        *[f"Not measured: {key}: {why}" for key, why in document["notes"].items()],
    ]
    return "\n".join(parts).rstrip("\n") + "\n"


def rows_table(document: Document, mode: str) -> list[str]:
    """A mode's rows, the fastest first; `x` is the time over the fastest native one's."""
    rows = sorted((row for row in document["rows"] if row["mode"] == mode), key=lambda row: row["median_us"])
    if not rows:
        return ["Nothing was run."]
    own = next((row["median_us"] for row in rows if row["engine"] == NATIVE), rows[0]["median_us"])
    return _table(
        ("engine", "median us", "p10", "p90", "CPU us", "x", "Spearman", "checked"),
        (
            (
                _name(row),
                _us(row["median_us"]),
                _us(row["p10_us"]),
                _us(row["p90_us"]),
                _us(row["cpu_us"]),
                f"{row['median_us'] / own:.2f}",
                f"{row['spearman']:.4f}",
                "yes" if row["checked"] else "**NO**",
            )
            for row in rows
        ),
    )


def bars_table(document: Document) -> list[str]:
    """Each bar as measured; by CPU: the same ratio of processor times."""

    def said(bar: Mapping[str, Any]) -> tuple[str, ...]:
        if bar["measured"] is None:
            return (bar["name"], _bar(bar), "not run", "", "")
        by_cpu = "" if bar["by_cpu"] is None else f"{bar['by_cpu']:.2f}"
        return (
            bar["name"],
            _bar(bar),
            f"{bar['measured']:.3g} {bar['unit']}",
            by_cpu,
            "yes" if bar["met"] else "**no**",
        )

    return _table(("bar", "wanted", "measured", "by CPU", "met"), map(said, document["bars"]))


def short_table(document: Document) -> list[str]:
    """README's table: every tier but the reference, and each peer's fastest variant that agrees, by mode."""
    best: dict[tuple[str, str], Mapping[str, Any]] = {}
    for row in sorted(document["rows"], key=lambda row: row["median_us"]):
        name = _name(row) if row["engine"] == NATIVE else row["engine"]
        if row["checked"] and row["isa"] != "reference":
            best.setdefault((name, row["mode"]), row)
    names = dict.fromkeys(name for name, mode in best if mode == WINDOW)

    def cell(name: str, mode: str) -> str:
        row = best.get((name, mode))
        if row is None:
            return ""
        return _us(row["median_us"]) + ("" if row["engine"] == NATIVE else f" ({row['variant']})")

    head = ("median, microseconds", "window of 512 samples", "stream, a patch of 8")
    return _table(head, ((name, cell(name, WINDOW), cell(name, STREAM)) for name in names))


def summary(document: Document) -> str:
    """What the terminal shows."""
    parts = []
    for mode in (WINDOW, STREAM):
        parts += ["", f"{mode}:", *rows_table(document, mode)]
    return "\n".join([*parts, "", *_not_run(document), *_busy(document), *bars_table(document)]).strip("\n")


def _footprint(document: Document) -> list[str]:
    keys = ("load_ms", "rss_mib", "model_bytes", "idle_cpu_ms_per_s")
    names = sorted({name for key in keys for name in document[key]} - {"runner"})

    def cell(key: str, name: str) -> str:
        value = document[key].get(name)
        return "" if value is None else f"{value:,}" if key == "model_bytes" else f"{value:g}"

    lines = [
        "## Footprint",
        "",
        "Resident memory is that of a Python process with numpy (about 29 MiB by itself), engine and windows.",
        "",
    ]
    lines += _table(
        ("engine", "load ms", "resident MiB", "model's files, bytes", "idle CPU ms/s"),
        ((name, *(cell(key, name) for key in keys)) for name in names),
    )
    if document["import_ms"]:
        imports = ", ".join(f"{name} {value:g}" for name, value in document["import_ms"].items())
        lines += ["", f"Import, ms (numpy by itself, the others on top of it): {imports}."]
    disk = ", ".join(f"{name} {value / 2**20:.1f}" for name, value in document["disk_bytes"].items())
    lines += [
        "",
        f"Installed, MiB: {disk}. This package as a wheel without weights: {document['wheel_bytes'] / 2**20:.2f} MiB.",
    ]
    if document.get("runner"):
        runner = document["runner"]
        lines += [
            "",
            f"sanderling-run: {runner['rss_mib']} MiB resident (peak), {runner['disk_bytes'] / 2**20:.2f} MiB on disk.",
        ]
    return [*lines, ""]


def _dynamic(document: Document) -> list[str]:
    found = document.get("dynamic")
    if not found:
        return []
    times = ("stream_full_ms", "stream_dynamic_ms", "batch_full_ms", "batch_dynamic_ms")
    table = _table(
        (
            "recording",
            "samples",
            "channels",
            "stream: full ms",
            "dynamic ms",
            "batch: full ms",
            "dynamic ms",
            "skipped",
        ),
        (
            (
                r["recording"],
                f"{r['samples']:,}",
                str(r["channels"]),
                *(f"{r[t]:.1f}" for t in times),
                f"{r['skipped']:.0%}",
            )
            for r in found["recordings"]
        ),
    )
    stream, batch = (f"{found[how]['saved']:.0%}" for how in ("stream", "batch"))
    saved = f"{stream} of the wall time saved patch by patch, {batch} in a batch."
    return ["## Dynamic mode", "", saved, "", *table, ""]


def _peaks(document: Document) -> list[str]:
    found = document.get("peaks")
    if not found:
        return []
    whole = {(row["isa"], row["M"]): row for row in found["gemm"] if row["name"] == "model"}

    def share(isa: str, rows: int, key: str) -> str:
        row = whole.get((isa, rows))
        return "" if row is None else f"{row[key]:.0%}"

    table = _table(
        (
            "tier",
            "INT8 GMAC/s",
            "FP32 GMAC/s",
            "L1 GB/s",
            "L2 GB/s",
            "DRAM GB/s",
            "GEMM M = 64 of peak",
            "GEMV M = 1 of L2",
        ),
        (
            (
                p["isa"],
                *(f"{p[key]:.0f}" for key in ("int8_gmacs", "fp32_gmacs", "l1_gbs", "l2_gbs", "dram_gbs")),
                share(p["isa"], 64, "of_peak"),
                share(p["isa"], 1, "of_l2"),
            )
            for p in found["peaks"]
        ),
    )
    return ["## Measured peaks, one core, and the model's products", "", *table, ""]


def _not_run(document: Document) -> list[str]:
    whys: dict[tuple[str, str], list[str]] = {}
    for row in document["not_run"]:
        whys.setdefault((_name(row), row["why"]), []).append(row["mode"])
    return [
        *(f"Not run: {name} ({', '.join(modes)}): {why}" for (name, why), modes in whys.items()),
        *([""] if whys else []),
    ]


def _busy(document: Document) -> list[str]:
    """A warning where calls waited for the processor: their times say little."""
    waited = [row for row in document["rows"] if row["median_us"] > 1.25 * row["cpu_us"] > 0]
    if not waited:
        return []
    return [
        f"Busy machine: {len(waited)} row(s) waited for the processor; trust CPU time more than the medians.",
        "",
    ]


def _bar(bar: Mapping[str, Any]) -> str:
    return f"{'<=' if bar['at_most'] else '>='} {bar['bar']:g} {bar['unit']}"


def _name(row: Mapping[str, Any]) -> str:
    return f"**native {row['isa']}**" if row["engine"] == NATIVE else f"{row['engine']} {row['variant']}"


def _us(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    line = "|---|" + "---:|" * (len(head) - 1)
    return [f"| {' | '.join(head)} |", line, *(f"| {' | '.join(row)} |" for row in rows)]
