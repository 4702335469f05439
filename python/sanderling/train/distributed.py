"""One pre-training in several processes, on one machine or many: started by torchrun, gloo or NCCL between them.

Each process draws its own batches; gradients are averaged (DistributedDataParallel, Li et al. 2020), so that all take
the same step. The first process (rank 0) logs, validates and saves.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ..errors import InputError


@dataclass(frozen=True)
class Place:
    """Where this process stands: `rank` of `world`, and its device. A single process is Place()."""

    rank: int = 0
    world: int = 1
    device: torch.device | None = None

    @property
    def first(self) -> bool:
        return self.rank == 0

    def averaging(self, objective: nn.Module, unused: bool) -> nn.Module:
        """`objective` with its parameters' gradients averaged over the processes after each backward pass.

        unused: whether its forward pass may leave parameters out.
        """
        if self.world == 1:
            return objective
        return DistributedDataParallel(objective, find_unused_parameters=unused)

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process: all get the same answer, so that all stop at the same step."""
        if self.world == 1:
            return flag
        told = torch.tensor(int(flag), device=self.device)
        dist.all_reduce(told, dist.ReduceOp.MAX)
        return bool(told)

    def from_first(self, value: Any) -> Any:
        """What the first process passes (plain types and CPU tensors)."""
        if self.world == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]


@contextmanager
def joined() -> Iterator[Place]:
    """The process group that torchrun's environment describes; a single process without it.

    Raises:
        InputError: the environment is incomplete.
    """
    if "WORLD_SIZE" not in os.environ:
        yield Place()
        return
    try:
        rank, world, local = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    except (KeyError, ValueError) as error:
        raise InputError(
            f"expected RANK, WORLD_SIZE and LOCAL_RANK from torchrun, found {error}; start by torchrun, or unset them"
        ) from error
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", local) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", rank=rank, world_size=world)
    try:
        yield Place(rank, world, device)
    finally:
        dist.destroy_process_group()
