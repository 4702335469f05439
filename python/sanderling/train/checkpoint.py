"""Checkpoints of a training run, and the final weights as bf16 safetensors."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import torch

from ..errors import FormatError, ReadError
from ..files import write_file
from ..model import ModelConfig, Sanderling


def save_checkpoint(path: Path, state: dict) -> None:
    """Write atomically: an interrupted save, or a full disk (StorageError), leaves the previous checkpoint whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    binary = BytesIO()  # torch makes a RuntimeError of what the disk says
    torch.save(state, binary)
    write_file(path, lambda file: file.write(binary.getbuffer()))


def load_checkpoint(path: Path) -> dict:
    """Read a checkpoint written by `save_checkpoint` (weights and plain types only)."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ReadError(f"{path}: expected a checkpoint, found no such file") from error
    except Exception as error:
        raise FormatError(
            f"{path}: expected a checkpoint written by 'sanderling pretrain', found {error}; "
            "delete it to start again"
        ) from error


def save_weights(path: Path, model: Sanderling, metadata: dict[str, str]) -> None:
    """Final weights in bfloat16 (matrices) and float32 (vectors), with the config inside. Raises StorageError."""
    from safetensors.torch import save

    tensors = {
        name: (p.to(torch.bfloat16) if p.ndim > 1 else p.float()).contiguous()
        for name, p in model.state_dict().items()
    }
    data = save(tensors, {**metadata, "config": json.dumps(model.config.to_dict(), sort_keys=True)})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, lambda file: file.write(data))


def load_weights(path: Path) -> tuple[Sanderling, dict[str, str]]:
    """A float32 model in eval mode, and the metadata, from a file of `save_weights`."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "pt") as f:
            metadata = dict(f.metadata() or {})
            state = {name: f.get_tensor(name).float() for name in f.keys()}
        config = ModelConfig.from_dict(json.loads(metadata.pop("config")))
        model = Sanderling(config)
        model.load_state_dict(state)
    except FileNotFoundError as error:
        raise ReadError(f"{path}: expected a .safetensors file, found no such file") from error
    except OSError as error:  # a folder or a device
        found = f"found another thing ({error}); check the path"
        raise ReadError(f"{path}: expected a .safetensors file, {found}") from error
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise FormatError(
            f"{path}: expected weights written by 'sanderling pretrain', found {error}"
        ) from error
    return model.eval(), metadata
