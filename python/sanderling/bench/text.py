"""`sanderling bench --text`: a text encoder beside the installed peers, one thread, rows in turns, checked."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sanderling import _core
from sanderling.errors import InputError

from .apart import Apart
from .machine import describe
from .text_peers import NO_AMX, PEERS, Run

TOKENS = (32, 128)
LEAST_COSINE = 0.9  # to float32, mean of the checked texts; a row below it counts for no bar
CHECKED = 12
ROUNDS, QUICK = 40, 8  # turns of every row
CALLS = 4  # timed of a turn


@dataclass
class TextRow:
    """An engine at a number of tokens; times in microseconds."""

    engine: str
    variant: str
    isa: str
    tokens: int
    run: Run
    cosine: float = 0.0
    wall_us: list[float] = field(default_factory=list)

    @property
    def checked(self) -> bool:
        """Whether the embeddings are float32's, nearly."""
        return self.cosine >= LEAST_COSINE

    def figures(self) -> dict[str, Any]:
        """What is recorded."""
        least, low, median, high = np.percentile(self.wall_us, (0, 10, 50, 90))
        times = {"min_us": least, "p10_us": low, "median_us": median, "p90_us": high}
        named = {name: getattr(self, name) for name in ("engine", "variant", "isa", "tokens", "cosine", "checked")}
        return named | {name: round(float(value), 1) for name, value in times.items()}


def random_ids(count: int, tokens: int) -> np.ndarray:
    """uint32 (count, tokens): [CLS], words of BERT's English vocabulary, [SEP]."""
    rng = np.random.default_rng(tokens)
    words = rng.integers(1996, 20000, (count, tokens - 2))
    return np.column_stack([np.full(count, 101), words, np.full(count, 102)]).astype(np.uint32)


def timed(ask: Run, ids: np.ndarray) -> float:
    """Microseconds of a turn's fastest call but for the first two, which bring the weights back into the caches."""
    if isinstance(ask, Apart):
        return ask.timed(ids)
    times = []
    for _ in range(CALLS + 2):
        start = time.perf_counter_ns()
        ask(ids)
        times.append(time.perf_counter_ns() - start)
    return min(times[2:]) / 1e3


def run(source: str, folder: Path, rounds: int, cpu: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Exports `source` (export.bert.find_folder) for every engine that is installed, checks, and times in turns.

    Raises ModelNotFoundError, DependencyError, InputError.
    """
    from sanderling.export.bert import read_bert, write_bert
    from sanderling.export.bert_network import embedding

    os.sched_setaffinity(0, {cpu})
    model = read_bert(source)
    if max(TOKENS) > int(model.config["max_position_embeddings"]):
        raise InputError(f"expected a model of {max(TOKENS)} positions or more, found fewer; take another")
    native = folder / "encoder.gguf"
    write_bert(native, model, max_tokens=max(TOKENS))
    rows: list[TextRow] = []
    not_run: list[dict[str, str]] = []
    makers: list[tuple[str, str, str, Callable[[int], Run]]] = []
    for isa in (name for name in _core.isa_supported() if name != "reference"):
        encoder = _core.TextEncoder.open(os.fsencode(native), isa)
        makers.append(("native", "int8", isa, lambda tokens, e=encoder: e.embed))  # type: ignore[misc]
    for engine, variants in PEERS.items():
        for variant, make in variants.items():
            makers.append((engine, variant, "", lambda tokens, m=make: m(model, folder, tokens)))  # type: ignore[misc]
    for engine, variant, isa, maker in makers:
        for tokens in TOKENS:
            try:
                row = TextRow(engine, variant, isa, tokens, maker(tokens))
            except Exception as error:  # a peer's own errors are of any type
                reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
                not_run.append({"engine": engine, "variant": variant, "tokens": str(tokens), "why": reason})
                say(f"not run: {engine} {variant}, {tokens} tokens: {reason}")
                continue
            texts = random_ids(CHECKED, tokens)
            found = np.stack([np.array(row.run(ids), np.float32).ravel() for ids in texts])
            exact = np.stack([embedding(model, ids.tolist()) for ids in texts])
            row.cosine = round(float((found * exact).sum(1).mean()), 5)
            say(f"{engine} {variant} {isa} {tokens} tokens: cosine {row.cosine}")
            rows.append(row)
    for turn in range(rounds):
        for row in [*rows[turn % len(rows) :], *rows[: turn % len(rows)]]:
            row.wall_us.append(timed(row.run, random_ids(CHECKED, row.tokens)[turn % CHECKED]))
        say(f"round {turn + 1}/{rounds}")
    result = {
        "model": {"name": model.name, "sha256": model.sha256, "file_bytes": native.stat().st_size},
        "machine": describe(),
        "rounds": rounds,
        "rows": [row.figures() for row in rows],
        "not_run": not_run,
    }
    return result | {"bars": bars(rows)}


def bars(rows: list[TextRow]) -> list[dict[str, Any]]:
    """What was asked for: a tier's time against a peer's best, by the median of rounds' ratios and by the minima."""
    wanted = (
        ("amx", "openvino", "", "", 1.5),
        ("amx", "onnxruntime", "int8", "", 2.5),
        ("avx512vnni", "onnxruntime", "int8", "", 1.5),
        ("avx512vnni", "onnxruntime", "int8", NO_AMX, 1.5),
    )
    found = []
    for isa, peer, start, end, bar in wanted:
        for tokens in TOKENS:
            ours = [r for r in rows if (r.engine, r.isa, r.tokens) == ("native", isa, tokens)]
            theirs = [r for r in rows if (r.engine, r.tokens, r.checked) == (peer, tokens, True)]
            theirs = [r for r in theirs if r.variant.startswith(start) and r.variant.endswith(end)]
            if not ours or not theirs:
                continue
            mine = np.array(ours[0].wall_us)
            median = min(float(np.median(np.array(r.wall_us) / mine)) for r in theirs)
            least = min(min(r.wall_us) for r in theirs) / float(mine.min())
            found.append(
                {
                    "isa": isa,
                    "peer": f"{peer} {start}".strip() + end,
                    "tokens": tokens,
                    "bar": bar,
                    "median_ratio": round(median, 2),
                    "min_ratio": round(least, 2),
                    "met": median >= bar,
                }
            )
    return found


def markdown(result: dict[str, Any]) -> str:
    """The tables of csrc/bench/record/text.md."""
    machine, name = result["machine"], result["model"]["name"]
    flags, packages = ", ".join(machine["isa_flags"]), ", ".join(f"{k} {v}" for k, v in machine["packages"].items())
    where = f"{machine['processor']}{' (virtual)' if machine['virtual'] else ''}, {flags}; load {machine['load_1min']}"
    lines = [
        "# Text encoder beside its peers",
        "",
        f"{name}, one thread on one processor, one text a call, {result['rounds']} rounds, each the best of {CALLS}, "
        "answers checked.",
        f"{where}; {packages}. Written by `sanderling bench --text`.",
        "",
        "| engine | weights | ISA | tokens | median us | p10 | min | cosine to FP32 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in result["rows"]:
        times = " | ".join(f"{r[key]:,.0f}" for key in ("median_us", "p10_us", "min_us"))
        agrees = "" if r["checked"] else ", does not agree"
        what = f"{r['engine']} | {r['variant']} | {r['isa']} | {r['tokens']}"
        lines.append(f"| {what} | {times} | {r['cosine']:.4f}{agrees} |")
    lines += [
        "",
        "| bar | tokens | wanted | median of the rounds' ratios | ratio of the minima |",
        "|---|---|---|---|---|",
    ]
    for b in result["bars"]:
        ratios = f"{b['median_ratio']} | {b['min_ratio']}"
        lines.append(f"| {b['isa']} against {b['peer']} | {b['tokens']} | {b['bar']} | {ratios} |")
    lines += [f"\nNot run: {n['engine']} {n['variant']}, {n['tokens']} tokens: {n['why']}" for n in result["not_run"]]
    return "\n".join(lines) + "\n"
