"""Continued masked-language training of an encoder on unlabelled domain text (extra: text, and torch)."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sanderling.errors import FormatError, InputError
from sanderling.extras import require

MASKED, KEPT, REPLACED = 0.15, 0.1, 0.1  # share of tokens; of those, as they are and by a random token (BERT)
IGNORED = -100  # torch's label of a position without loss
STATE = "training.pt"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")
POOLING = ("modules.json", "sentence_bert_config.json", "1_Pooling/config.json")
Progress = Callable[[int, int, float], None]


def offline() -> None:
    """No hub and no telemetry, whatever the environment says: models come from folders and installed packages."""
    os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a BERT-type encoder. Raises FormatError."""
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise FormatError(f"expected a BERT's config.json in {folder}, found: {error}; name an encoder") from error
    if not isinstance(config, dict) or config.get("model_type") != "bert":
        raise FormatError(
            f"expected a BERT-type encoder in {folder}, found another; name one that training starts from"
        )
    return config


def load_encoder(folder: Path, masked: bool) -> tuple[Any, Any]:
    """(tokenizer, torch model) of a Hugging Face folder; masked: with a language head, tied to the embeddings. Raises
    FormatError for another than a BERT."""
    offline()
    read_config(folder)
    transformers = require("transformers", "text")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    kind = transformers.AutoModelForMaskedLM if masked else transformers.AutoModel
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return tokenizer, kind.from_pretrained(folder, local_files_only=True)


def save_encoder(model: Any, source: Path, out: Path) -> None:
    """A folder like `source` with this model's weights: what `sanderling.export.bert.read_bert` reads."""
    tensors = {name: value.detach().contiguous().clone() for name, value in model.state_dict().items()}
    save_folder(tensors, source, out, ("config.json", *TOKENIZER, *POOLING))


def save_folder(tensors: dict[str, Any], source: Path, out: Path, names: Sequence[str]) -> None:
    """`out`/model.safetensors, replaced atomically, beside the files of `source` with these names that are there."""
    out.mkdir(parents=True, exist_ok=True)
    for name in names:
        if (source / name).exists():
            (out / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(source / name, out / name)
    temporary = out / ".model.safetensors"
    require("safetensors.torch", "text").save_file(tensors, temporary, metadata={"format": "pt"})
    os.replace(temporary, out / "model.safetensors")


def mask(tokens: Any, special: Any, mask_id: int, vocabulary: int, generator: Any) -> tuple[Any, Any]:
    """(inputs, labels) of token ids (batch, tokens): `MASKED` of those that are not special are to be predicted, most
    of
    them hidden; labels elsewhere `IGNORED`."""
    torch = require("torch", "train")
    chosen = (torch.rand(tokens.shape, generator=generator) < MASKED) & ~special
    how = torch.rand(tokens.shape, generator=generator)
    other = torch.randint(0, vocabulary, tokens.shape, generator=generator)
    inputs = torch.where(chosen & (how < REPLACED), other, tokens)
    inputs = torch.where(chosen & (how >= REPLACED + KEPT), torch.full_like(tokens, mask_id), inputs)
    return inputs, torch.where(chosen, tokens, torch.full_like(tokens, IGNORED))


def resume(out: Path, settings: dict[str, Any], model: Any, optimizer: Any) -> int:
    """The step to go on with, 0 without `out`/training.pt; loads what that holds. Raises InputError for one of other
    settings."""
    state = out / STATE
    if not state.exists():
        return 0
    saved = require("torch", "train").load(state, weights_only=True)
    if saved["settings"] != settings:
        raise InputError(f"expected {state} of the same settings, found {saved['settings']}; choose another folder")
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    return int(saved["step"])


def keep(out: Path, settings: dict[str, Any], model: Any, optimizer: Any, step: int) -> None:
    """Writes what `resume` reads, whole."""
    out.mkdir(parents=True, exist_ok=True)
    state = out / STATE
    kept = {"settings": settings, "model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
    require("torch", "train").save(kept, state.with_suffix(".part"))
    os.replace(state.with_suffix(".part"), state)


def pretrain(
    texts: Sequence[str],
    source: Path,
    out: Path,
    steps: int = 200,
    batch: int = 16,
    max_tokens: int = 128,
    rate: float = 5e-5,
    seed: int = 0,
    save_every: int = 50,
    progress: Progress | None = None,
) -> list[float]:
    """Trains for `steps` batches and writes the encoder to the folder `out`; the losses of the steps run now.

    An interrupted run goes on from `out`/training.pt; its result is that of a run in one go. Raises InputError for no
    text
    or a state of other settings."""
    torch = require("torch", "train")
    if not texts:
        raise InputError("expected texts to train on, found none; give lines of the domain")
    torch.manual_seed(seed)  # of the language head, which the encoder's file lacks
    tokenizer, model = load_encoder(source, masked=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    settings = {
        "steps": steps,
        "batch": batch,
        "max_tokens": max_tokens,
        "rate": rate,
        "seed": seed,
        "texts": len(texts),
    }
    first = resume(out, settings, model, optimizer)
    losses = []
    model.train()
    for step in range(first, steps):
        # A step's randomness is its own, so that a resumed run repeats nothing and skips nothing.
        chosen = random.Random(f"{seed} {step}").choices(texts, k=batch)
        torch.manual_seed(seed * 1_000_003 + step)
        generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
        tokens = tokenizer(
            chosen,
            truncation=True,
            max_length=max_tokens,
            padding=True,
            return_tensors="pt",
            return_special_tokens_mask=True,
        )
        special = tokens.pop("special_tokens_mask").bool()
        inputs, labels = mask(tokens["input_ids"], special, tokenizer.mask_token_id, len(tokenizer), generator)
        if not (labels != IGNORED).any():
            continue
        loss = model(input_ids=inputs, attention_mask=tokens["attention_mask"], labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = rate * (1 - step / steps)
        optimizer.step()
        losses.append(loss.item())
        if (step + 1) % save_every == 0 and step + 1 < steps:
            keep(out, settings, model, optimizer, step + 1)
        if progress is not None:
            progress(step + 1, steps, losses[-1])
    save_encoder(model.base_model, source, out)
    (out / STATE).unlink(missing_ok=True)
    return losses
