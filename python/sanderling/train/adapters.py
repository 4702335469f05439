"""Low-rank adapters: theta + delta, delta = up @ down, on a trained network's projections.

LoRA (Hu et al. 2021). The sum is rounded to the INT8 grid of the network's file where its matrix has one, with a
straight-through gradient (Bengio et al. 2013): what is trained is what the merged file will hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

LEVELS = 127.0
# More than this pays nothing on a recording of one machine; it binds on networks whose 3 % are many.
MAX_RANK = 8


def row_steps(weight: Tensor, steps: Tensor) -> Tensor:
    """Steps (N,) of a matrix (N, K): the given ones, wider where a row has outgrown +-127 of them."""
    outgrown = weight.abs().amax(1) > (LEVELS + 0.5) * steps
    return torch.where(outgrown, weight.abs().amax(1) / LEVELS, steps)


def on_steps(weight: Tensor, steps: Tensor) -> Tensor:
    """weight (N, K) rounded to integers in +-127 times `steps` (N,); a row of step 0 is 0."""
    safe = torch.where(steps > 0, steps, torch.ones_like(steps))[:, None]
    return torch.round(weight / safe).clamp(-LEVELS, LEVELS) * steps[:, None]


class LowRank(nn.Module):
    """Parametrisation of a weight (N, K): weight + up (N, rank) @ down (rank, K), on the grid if there is one.

    Args:
        steps: (N,) INT8 steps of the file's matrix; None: it is float there.
    """

    steps: Tensor | None

    def __init__(self, weight: Tensor, rank: int, steps: Tensor | None, generator: torch.Generator) -> None:
        super().__init__()
        rows, columns = weight.shape
        self.up = nn.Parameter(torch.zeros(rows, rank))
        self.down = nn.Parameter(torch.randn(rank, columns, generator=generator) / columns**0.5)
        self.register_buffer("steps", steps)

    def forward(self, weight: Tensor) -> Tensor:
        moved = weight + self.up @ self.down
        if self.steps is None:
            return moved
        with torch.no_grad():
            rounding = on_steps(moved, row_steps(moved, self.steps)) - moved
        return moved + rounding


def ranks_within(shapes: Mapping[str, tuple[int, int]], budget: int) -> dict[str, int]:
    """Rank of each matrix so that the adapters have at most `budget` parameters, most even first.

    Each round adds one to the rank of every matrix that can still have it; the last round goes in the order
    of `shapes`. A rank stays at most `MAX_RANK` and below both sides of its matrix.
    """
    ranks = dict.fromkeys(shapes, 0)
    left, grew = budget, True
    while grew:
        grew = False
        for name, (rows, columns) in shapes.items():
            if ranks[name] < min(MAX_RANK, rows - 1, columns - 1) and rows + columns <= left:
                ranks[name] += 1
                left -= rows + columns
                grew = True
    return ranks


def attach(
    layers: Mapping[str, nn.Linear], steps: Mapping[str, Tensor], budget: int, seed: int
) -> list[nn.Parameter]:
    """Put adapters on `layers`, first ones first, with at most `budget` parameters in all.

    Args:
        steps: INT8 steps (N,) by name, of the layers that have a grid.

    Returns:
        The adapters' parameters; everything else of these layers is frozen.
    """
    generator = torch.Generator().manual_seed(seed)
    shapes = {name: (layer.out_features, layer.in_features) for name, layer in layers.items()}
    trained: list[nn.Parameter] = []
    for name, rank in ranks_within(shapes, budget).items():
        if rank:
            weight = layers[name].weight
            adapter = LowRank(weight.detach(), rank, steps.get(name), generator)
            parametrize.register_parametrization(layers[name], "weight", adapter, unsafe=True)
            trained += [adapter.up, adapter.down]
    return trained


def merge(layers: Iterable[nn.Linear]) -> None:
    """theta <- theta + delta, in place; the adapters are gone."""
    for layer in layers:
        if parametrize.is_parametrized(layer, "weight"):
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
