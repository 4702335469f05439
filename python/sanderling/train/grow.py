"""Grow a trained network to twice its width without changing what it computes.

Function-preserving widening (Net2Wider, Chen et al. 2016; for transformers bert2BERT, Chen et al.
2022): every unit gets a copy, and what reads both copies splits its weight between them. The split
is uneven at random, so that the copies receive different gradients and part ways.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..model import ModelConfig, Sanderling
from ..model.config import HEAD_DIM, N_COMPONENTS


def doubled(config: ModelConfig) -> ModelConfig:
    """The configuration with d_model, heads and FFN widths times two; the rest stays."""
    return config.replace(
        d_model=2 * config.d_model,
        n_heads=tuple(2 * h for h in config.n_heads),
        ffn=tuple(2 * f for f in config.ffn),
    )


def _split(weight: Tensor, inputs: int, generator: torch.Generator) -> Tensor:
    """Columns 0..inputs-1 are read twice, each with a share of the weight; later columns stay."""
    shared, rest = weight[:, :inputs], weight[:, inputs:]
    share = 0.25 + 0.5 * torch.rand(shared.shape, generator=generator)
    return torch.cat([shared * share, shared * (1 - share), rest], dim=1)


def _copy_heads(rows: Tensor) -> Tensor:
    """(3 * heads * 32, ...) -> (3 * 2 heads * 32, ...): Q, K and V each get a copy of every head."""
    parts = rows.reshape(3, -1, HEAD_DIM, *rows.shape[1:])
    return torch.cat([parts, parts], dim=1).reshape(-1, *rows.shape[1:])


def widen(model: Sanderling, seed: int = 0) -> Sanderling:
    """A network of twice the width that returns what `model` returns, to float rounding."""
    old, config = model.config, doubled(model.config)
    wide = Sanderling(config, model.decoder.channel_independent)
    generator = torch.Generator().manual_seed(seed)
    state, target = model.state_dict(), wide.state_dict()
    for name, value in state.items():
        grown = value.float()
        if target[name].shape[0] > grown.shape[0]:
            of_heads = name.endswith(("attn.qkv.weight", "attn.qkv.bias"))
            grown = _copy_heads(grown) if of_heads else torch.cat([grown, grown])
        if target[name].shape[1:] != grown.shape[1:]:
            reads = grown.shape[1] - (2 * N_COMPONENTS if name == "scorer.fc1.weight" else 0)
            grown = _split(grown, reads, generator)
        if grown.shape != target[name].shape:
            raise ValueError(
                f"{name}: expected {tuple(target[name].shape)} after widening a network of d_model "
                f"{old.d_model}, found {tuple(grown.shape)}"
            )
        target[name] = grown
    wide.load_state_dict(target)
    return wide
