"""A small encoder learns a large one's embeddings on unlabelled domain text (extra: text, and torch)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sanderling.errors import InputError
from sanderling.extras import require
from sanderling.text.pretrain import STATE, Progress, keep, load_encoder, read_config, resume

FOREIGN = 0.5  # share of a batch whose texts are mixed with random words
WARM = 0.1  # share of the steps over which the rate rises


def distil(
    texts: Sequence[str],
    source: Path,
    out: Path,
    architecture: str,
    steps: int = 200,
    batch: int = 32,
    max_tokens: int = 64,
    rate: float = 1e-3,
    seed: int = 0,
    pooling: str = "mean",
    save_every: int = 50,
    progress: Progress | None = None,
) -> list[float]:
    """Trains an encoder of `architecture` (transformer, tcn, gru) to give the embeddings that the encoder in `source`
    gives, and writes it to the folder `out`; the losses (1 - mean cosine) of the steps run now.

    Half of a batch are domain texts; in the other half words are replaced by random ones of the vocabulary, which the
    teacher knows as well: so the student learns more than its own domain (Hinton et al. 2015, with data that need no
    source). pooling: the teacher's, mean or cls. An interrupted run goes on from `out`/training.pt. Raises InputError,
    FormatError."""
    torch = require("torch", "train")
    from sanderling.text.network import save_network, student

    if not texts:
        raise InputError("expected texts to train on, found none; give lines of the domain")
    config = read_config(source)
    torch.manual_seed(seed)
    tokenizer, teacher = load_encoder(source, masked=False)
    teacher.eval().requires_grad_(False)
    network = student(architecture, config, {k.removeprefix("bert."): v for k, v in teacher.state_dict().items()})
    trained = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=rate, weight_decay=0.01)
    settings = {"architecture": architecture, "steps": steps, "batch": batch, "max_tokens": max_tokens}
    settings |= {"rate": rate, "seed": seed, "texts": len(texts)}
    first = resume(out, settings, network, optimizer)
    most = min(max_tokens, config["max_position_embeddings"])
    words = _whole_words(tokenizer)
    losses = []
    network.train()
    for step in range(first, steps):
        # A step's randomness is its own, so that a resumed run repeats nothing and skips nothing.
        draw = random.Random(f"{seed} {step}")
        chosen = [
            text if draw.random() >= FOREIGN else foreign(text, words, draw) for text in draw.choices(texts, k=batch)
        ]
        tokens = tokenizer(chosen, truncation=True, max_length=most, padding=True, return_tensors="pt")
        there = tokens["attention_mask"].bool()
        wanted = pooled(torch, teacher, tokens["input_ids"], there, pooling)
        loss = 1 - (network(tokens["input_ids"], there) * wanted).sum(-1).mean()
        for group in optimizer.param_groups:
            group["lr"] = rate * min((step + 1) / max(WARM * steps, 1), 1.0) * (1 - step / steps)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        losses.append(loss.item())
        if (step + 1) % save_every == 0 and step + 1 < steps:
            keep(out, settings, network, optimizer, step + 1)
        if progress is not None:
            progress(step + 1, steps, losses[-1])
    save_network(network, source, out, min(2 * most, config["max_position_embeddings"]))
    (out / STATE).unlink(missing_ok=True)
    return losses


def pooled(torch: Any, teacher: Any, ids: Any, there: Any, pooling: str) -> Any:
    """The teacher's embeddings of length 1."""
    with torch.no_grad():
        states = teacher(input_ids=ids, attention_mask=there.long()).last_hidden_state
        weight = there[..., None].to(states.dtype)
        rows = (states * weight).sum(1) / weight.sum(1) if pooling == "mean" else states[:, 0]
        return torch.nn.functional.normalize(rows, dim=-1)


def foreign(text: str, words: Sequence[str], draw: random.Random) -> str:
    """`text` with a share of its words, drawn too, replaced by random ones."""
    share = draw.random()
    return " ".join(draw.choice(words) if draw.random() < share else word for word in text.split())


def _whole_words(tokenizer: Any) -> list[str]:
    """The vocabulary's words of two letters or more."""
    return sorted(token for token in tokenizer.get_vocab() if len(token) > 1 and token.isalpha()) or ["word"]
