"""Few labels into the encoder: low-rank adapters (Hu et al. 2021), theta + delta, at most 3 % of the parameters
trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sanderling.errors import InputError
from sanderling.extras import require
from sanderling.text.pretrain import load_encoder, save_encoder

MOST_SHARE = 0.03
ANCHORS, TEMPERATURE = 64, 0.1
OPTIMIZERS = {"adam": ("Adam", 1e-3), "rmsprop": ("RMSprop", 5e-4), "sgd": ("SGD", 5e-2)}
TARGETS = ("query", "value")
Progress = Callable[[int, int, float], None]


@dataclass(frozen=True)
class Tuned:
    """share: trained of all parameters; losses: cross-entropy and KL of each step."""

    share: float
    losses: tuple[tuple[float, float], ...]


def adapt(
    normal: Sequence[str],
    anomalous: Sequence[str],
    source: Path,
    out: Path,
    steps: int = 60,
    batch: int = 16,
    rank: int = 8,
    optimizer: Literal["adam", "rmsprop", "sgd"] = "adam",
    regulariser: float = 1.0,
    max_tokens: int = 64,
    seed: int = 0,
    progress: Progress | None = None,
) -> Tuned:
    """Writes the encoder with its adapters merged to the folder `out`.

    Loss: cross-entropy of a linear head on the pooled embedding, half of each batch anomalous, + regulariser x
    KL(frozen ||
    adapted) of softmax(cos(text, anchor) / 0.1) over `ANCHORS` normal texts: neighbourhoods stay where labels don't ask
    otherwise. Raises InputError for too few texts, an unknown optimizer or a rank above `MOST_SHARE`."""
    torch = require("torch", "train")
    if optimizer not in OPTIMIZERS:
        raise InputError(f"expected an optimizer of {', '.join(OPTIMIZERS)}, found {optimizer!r}")
    if len(normal) < 2 or len(anomalous) < 2:
        raise InputError(f"expected at least 2 texts of each kind, found {len(normal)} and {len(anomalous)}")
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    tokenizer, model = load_encoder(source, masked=False)
    model.eval().requires_grad_(False)
    total = sum(p.numel() for p in model.parameters())
    layers = _insert(torch, model, rank)
    head = torch.nn.Linear(model.config.hidden_size, 1)
    trained = [p for layer in layers for p in (layer.down, layer.up)] + list(head.parameters())
    share = sum(p.numel() for p in trained) / total
    if share > MOST_SHARE:
        raise InputError(f"expected at most {MOST_SHARE:.0%} of the parameters, found {share:.1%}; lower the rank")

    def embed(texts: Sequence[str]) -> Any:
        tokens = tokenizer(list(texts), truncation=True, max_length=max_tokens, padding=True, return_tensors="pt")
        weight = tokens["attention_mask"][..., None].float()
        rows = (model(**tokens).last_hidden_state * weight).sum(1) / weight.sum(1)
        return torch.nn.functional.normalize(rows, dim=1)

    def frozen(texts: Sequence[str]) -> Any:
        for layer in layers:
            layer.on = False
        with torch.no_grad():
            rows = embed(texts)
        for layer in layers:
            layer.on = True
        return rows

    anchors = frozen([normal[i] for i in torch.randperm(len(normal), generator=generator)[:ANCHORS]])
    name, rate = OPTIMIZERS[optimizer]
    solver = getattr(torch.optim, name)(trained, lr=rate)
    losses = []
    for step in range(steps):
        picks = [(normal, torch.randint(len(normal), (batch // 2,), generator=generator))]
        picks.append((anomalous, torch.randint(len(anomalous), (batch // 2,), generator=generator)))
        texts = [group[i] for group, chosen in picks for i in chosen]
        target = torch.arange(len(texts)).ge(batch // 2).float()
        rows = embed(texts)
        entropy = torch.nn.functional.binary_cross_entropy_with_logits(head(rows)[:, 0] * 4, target)
        before = (frozen(texts) @ anchors.T / TEMPERATURE).log_softmax(1)
        after = (rows @ anchors.T / TEMPERATURE).log_softmax(1)
        divergence = torch.nn.functional.kl_div(after, before, log_target=True, reduction="batchmean")
        solver.zero_grad()
        (entropy + regulariser * divergence).backward()
        solver.step()
        losses.append((entropy.item(), divergence.item()))
        if progress is not None:
            progress(step + 1, steps, losses[-1][0])
    _merge(torch, model)
    save_encoder(model, source, out)
    return Tuned(share, tuple(losses))


def _insert(torch: Any, model: Any, rank: int) -> list[Any]:
    """Replaces the `TARGETS` of every layer by themselves + up(down(x)); up starts at zero."""

    class Adapter(torch.nn.Module):
        def __init__(self, base: Any) -> None:
            super().__init__()
            self.base, self.on = base, True
            self.down = torch.nn.Parameter(torch.randn(rank, base.in_features) / base.in_features**0.5)
            self.up = torch.nn.Parameter(torch.zeros(base.out_features, rank))

        def forward(self, x: Any) -> Any:
            y = self.base(x)
            return y + x @ self.down.T @ self.up.T if self.on else y

    adapters = []
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if name in TARGETS and isinstance(child, torch.nn.Linear):
                adapters.append(Adapter(child))
                setattr(parent, name, adapters[-1])
    return adapters


def _merge(torch: Any, model: Any) -> None:
    with torch.no_grad():
        for parent in list(model.modules()):
            for name, child in list(parent.named_children()):
                if hasattr(child, "down") and hasattr(child, "base"):
                    child.base.weight += child.up @ child.down
                    setattr(parent, name, child.base)
