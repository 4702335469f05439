"""Small text encoders to be trained: attention, convolutions (TCN) or recurrence (GRU) in the same post-LN layer.

State dicts have BERT's names as Hugging Face writes them, so that a transformer's folder is a BERT's; what stands in
attention's place is `attention.self.taps`, or `.gates` and `.hidden` (extra: train)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sanderling.errors import InputError
from sanderling.runtime.graph_spec import ENCODERS, TAPS
from sanderling.text.pretrain import TOKENIZER, save_folder

# Layers and hidden width of each kind: each about a third of MiniLM-L6's multiplications.
LAYERS = {"transformer": 2, "tcn": 3, "gru": 2}
FFN = {"tcn": 2, "gru": 2}  # times the width; a transformer has its teacher's
GATES = {
    "weight_ih_l0": "gates.weight",
    "bias_ih_l0": "gates.bias",
    "weight_hh_l0": "hidden.weight",
    "bias_hh_l0": "hidden.bias",
}


class Attention(nn.Module):
    """Of each token to all that are there (Vaswani et al. 2017)."""

    def __init__(self, d: int, heads: int, layer: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = nn.Linear(d, d), nn.Linear(d, d), nn.Linear(d, d)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        split = (*x.shape[:2], self.heads, -1)
        q, k, v = (part(x).reshape(split).transpose(1, 2) for part in (self.query, self.key, self.value))
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=there[:, None, None])
        return mixed.transpose(1, 2).reshape(x.shape)


class Convolution(nn.Module):
    """Three taps around each token, 2^layer apart (Bai, Kolter and Koltun 2018, not causal), GELU."""

    def __init__(self, d: int, heads: int, layer: int) -> None:
        super().__init__()
        self.dilation, self.taps = 2**layer, nn.Linear(TAPS * d, d)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        step, n = self.dilation, x.shape[1]
        seen = F.pad(x * there[..., None], (0, 0, step, step))
        return F.gelu(self.taps(torch.cat([seen[:, k * step : k * step + n] for k in range(TAPS)], -1)))


class Recurrence(nn.Module):
    """A gated recurrent unit over the tokens (Cho et al. 2014); padding comes after a text."""

    def __init__(self, d: int, heads: int, layer: int) -> None:
        super().__init__()
        self.gru = nn.GRU(d, d, batch_first=True)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        return self.gru(x)[0]


MIXERS: dict[str, type[nn.Module]] = dict(zip(ENCODERS, (Attention, Convolution, Recurrence), strict=True))


class Layer(nn.Module):
    """x = norm(x + out(mixer(x))); x = norm(x + down(gelu(up(x))))."""

    def __init__(self, config: dict[str, Any], layer: int) -> None:
        super().__init__()
        d, ffn, eps = config["hidden_size"], config["intermediate_size"], config["layer_norm_eps"]
        self.mixer = MIXERS[config["mixer"]](d, config["num_attention_heads"], layer)
        self.out, self.up, self.down = nn.Linear(d, d), nn.Linear(d, ffn), nn.Linear(ffn, d)
        self.out_norm, self.down_norm = nn.LayerNorm(d, eps=eps), nn.LayerNorm(d, eps=eps)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        x = self.out_norm(x + self.out(self.mixer(x, there)))
        return self.down_norm(x + self.down(F.gelu(self.up(x))))


NAMES = {
    "mixer.gru.": "attention.self.",
    "mixer.": "attention.self.",
    "out.": "attention.output.dense.",
    "out_norm.": "attention.output.LayerNorm.",
    "up.": "intermediate.dense.",
    "down.": "output.dense.",
    "down_norm.": "output.LayerNorm.",
}


class TextNetwork(nn.Module):
    """ids int64 and there bool (texts, tokens) -> embeddings (texts, d) of length 1: the mean over the tokens."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.config, d = config, config["hidden_size"]
        self.words = nn.Embedding(config["vocab_size"], d)
        self.places = nn.Embedding(config["max_position_embeddings"], d)
        self.types = nn.Embedding(config["type_vocab_size"], d)
        self.norm = nn.LayerNorm(d, eps=config["layer_norm_eps"])
        self.layers = nn.ModuleList(Layer(config, i) for i in range(config["num_hidden_layers"]))

    def forward(self, ids: Tensor, there: Tensor) -> Tensor:
        x = self.norm(self.words(ids) + self.places.weight[: ids.shape[1]] + self.types.weight[0])
        for layer in self.layers:
            x = layer(x, there)
        weight = there[..., None].to(x.dtype)
        return F.normalize((x * weight).sum(1) / weight.sum(1), dim=-1)

    def tensors(self) -> dict[str, Tensor]:
        """The weights under BERT's names."""
        return {_bert_name(name): value.detach().contiguous().clone() for name, value in self.state_dict().items()}


def _bert_name(name: str) -> str:
    tables = {"words": "word_embeddings", "places": "position_embeddings", "types": "token_type_embeddings"}
    part, _, rest = name.partition(".")
    if part in tables:
        return f"embeddings.{tables[part]}.{rest}"
    if part == "norm":
        return f"embeddings.LayerNorm.{rest}"
    i, _, rest = rest.partition(".")
    short = next(short for short in NAMES if rest.startswith(short))
    last = rest.removeprefix(short)
    return f"encoder.layer.{i}.{NAMES[short]}{GATES.get(last, last)}"


def student(mixer: str, teacher: dict[str, Any], tensors: dict[str, Tensor]) -> TextNetwork:
    """A network of `mixer` with the tables of a teacher (config.json, weights under BERT's names); a transformer
    starts from evenly spaced layers of it (Sanh et al. 2019). The tables stay: words that training never shows keep
    their place. Raises InputError."""
    if mixer not in MIXERS:
        raise InputError(f"expected an architecture of {', '.join(MIXERS)}, found {mixer!r}; choose one")
    d, layers = teacher["hidden_size"], min(LAYERS[mixer], teacher["num_hidden_layers"])
    config = {"layer_norm_eps": 1e-12, "type_vocab_size": 2, **teacher, "num_hidden_layers": layers, "mixer": mixer}
    if mixer != "transformer":
        config |= {"model_type": "sanderling-text", "intermediate_size": FFN[mixer] * d}
    network = TextNetwork(config)
    with torch.no_grad():
        for name, own in network.state_dict().items():
            source = _bert_name(name)
            if source.startswith("encoder.layer."):
                if mixer != "transformer":
                    continue
                i, _, rest = source.removeprefix("encoder.layer.").partition(".")
                source = f"encoder.layer.{int(i) * teacher['num_hidden_layers'] // layers}.{rest}"
            own.copy_(tensors[source])
    for table in (network.words, network.places, network.types, network.norm):
        table.requires_grad_(False)
    return network


def save_network(network: TextNetwork, source: Path, out: Path, max_tokens: int) -> None:
    """A folder that `sanderling.export.bert.read_bert` reads; the tokenizer is that of the folder `source`."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(network.config, indent=1) + "\n")
    (out / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": max_tokens}) + "\n")
    save_folder(network.tensors(), source, out, TOKENIZER)  # last: a folder with weights is whole
