"""Small BERT encoders with random weights, as models in memory and as folders of Hugging Face's layout."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from sanderling.export.bert import MIXERS, OWN_TYPE, BertModel, Vocabulary

SPECIAL = {"padding": 0, "unknown": 1, "cls": 2, "seperator": 3, "mask": 4}
TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
WORDS = (
    "the",
    "pump",
    "error",
    "link",
    "down",
    "##ing",
    "##ed",
    "##tion",
    "connect",
    "über",
    "uber",
    "É",
    "日",
    "本",
    "!",
    ".",
    "[",
    "]",
    ":",
)


def vocabulary(lowercase: bool = True, strip_accents: bool = True, split_ideographs: bool = True) -> Vocabulary:
    """Special tokens, letters at the start and inside of words, a few words."""
    tokens = (*TOKENS, *LETTERS, *(f"##{c}" for c in LETTERS), *LETTERS[:26].upper(), *WORDS)
    return Vocabulary(tokens, SPECIAL, lowercase, strip_accents, split_ideographs)


def random_bert(
    d: int = 64,
    heads: int = 2,
    layers: int = 2,
    ffn: int = 128,
    positions: int = 64,
    seed: int = 0,
    pooling: str = "mean",
    normalise: bool = True,
    words: Vocabulary | None = None,
    mixer: str = "transformer",
) -> BertModel:
    """Weights scaled so that activations keep about unit size."""
    rng = np.random.default_rng(seed)
    words = words or vocabulary()
    config = {
        "model_type": "bert",
        "hidden_act": "gelu",
        "hidden_size": d,
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "intermediate_size": ffn,
        "max_position_embeddings": positions,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
        "vocab_size": len(words.tokens),
    }
    if mixer != "transformer":
        config |= {"model_type": OWN_TYPE, "mixer": mixer}
    tensors: dict[str, np.ndarray] = {}

    def put(name: str, *shape: int, scale: float = 1.0, center: float = 0.0) -> None:
        tensors[name] = (center + scale * rng.standard_normal(shape)).astype(np.float32)

    def norm(name: str) -> None:
        put(f"{name}.weight", d, scale=0.1, center=1.0)
        put(f"{name}.bias", d, scale=0.1)

    def linear(name: str, rows: int, columns: int) -> None:
        put(f"{name}.weight", rows, columns, scale=columns**-0.5)
        put(f"{name}.bias", rows, scale=0.1)

    for name, rows in (("word", len(words.tokens)), ("position", positions), ("token_type", 2)):
        put(f"embeddings.{name}_embeddings.weight", rows, d)
    norm("embeddings.LayerNorm")
    for i in range(layers):
        at = f"encoder.layer.{i}"
        for part, (of, to) in MIXERS[mixer].items():
            linear(f"{at}.attention.self.{part}", to * d, of * d)
        linear(f"{at}.attention.output.dense", d, d)
        norm(f"{at}.attention.output.LayerNorm")
        linear(f"{at}.intermediate.dense", ffn, d)
        linear(f"{at}.output.dense", d, ffn)
        norm(f"{at}.output.LayerNorm")
    return BertModel("random", config, tensors, words, pooling, normalise, positions, "0" * 64)


def write_folder(folder: Path, model: BertModel) -> Path:
    """config.json, model.safetensors, vocab.txt, tokenizer_config.json and sentence-transformers' pooling."""
    from safetensors.numpy import save_file

    words = model.vocabulary
    (folder / "1_Pooling").mkdir(parents=True)
    files = {
        "config.json": dict(model.config),
        "tokenizer_config.json": {
            "do_lower_case": words.lowercase,
            "strip_accents": words.strip_accents,
            "tokenize_chinese_chars": words.split_ideographs,
        },
        "modules.json": [
            {"path": "", "type": "sentence_transformers.models.Transformer"},
            {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
            *([{"path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}] if model.normalise else []),
        ],
        "1_Pooling/config.json": {
            "pooling_mode_cls_token": model.pooling == "cls",
            "pooling_mode_mean_tokens": model.pooling == "mean",
        },
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in words.tokens), encoding="utf-8")
    save_file(dict(model.tensors), folder / "model.safetensors")
    return folder
