"""A text encoder's folder or package in any of the formats: the verb's side of `bert`, `bert_onnx`, `bert_tflite`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sanderling.export.bert import OWN_TYPE, PACKAGES, read_bert, write_bert

from sanderling.errors import InputError

OPTIONS = {"native": (), "onnx": ("precision", "target"), "tflite": ("precision", "target", "tokens")}


def is_text_encoder(source: Path) -> bool:
    """Whether `source` names an installed package with an encoder, or is a folder with one."""
    if str(source) in PACKAGES:
        return True
    try:
        found = json.loads((source / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("model_type") in ("bert", OWN_TYPE)


def write_text_encoder(out: Path, source: Path, format: str, **given: Any) -> None:
    """Writes it as `format` (native, onnx, tflite). given: precision, target, tokens, as the format has them; INT8
    unless asked otherwise. Raises InputError, FormatError, DependencyError."""
    if format not in OPTIONS:
        raise InputError(f"expected a format of {', '.join(OPTIONS)} for a text encoder, found {format}; choose one")
    odd = sorted(set(given) - set(OPTIONS[format]))
    if odd:
        raise InputError(f"expected no --{' --'.join(odd)} for a text encoder as {format}; leave them out")
    model = read_bert(source)
    if format == "native":
        write_bert(out, model)
        return
    given = {"precision": "int8", **given}
    if format == "onnx":
        from sanderling.export.bert_onnx import write_bert_onnx

        write_bert_onnx(out, model, **given)
    else:
        from sanderling.export.bert_tflite import write_bert_tflite

        write_bert_tflite(out, model, **given)
