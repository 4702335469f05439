"""What depends on what when the network gets narrower: torch-pruning's graph over our layers.

torch-pruning (Fang et al. 2023, DepGraph) follows tensors through autograd. Windowed attention pads and
folds, which its tracer reads wrongly, so it traces a stand-in on the same modules with the same couplings: a
product of Q, K and V in attention's place ties their channels to the output's.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch_pruning as tp
from torch import Tensor, nn

from ..model import ModelConfig, Sanderling
from ..model.config import HEAD_DIM, N_COMPONENTS
from .network import encoder_layers

STEP = 16  # channels: widths stay multiples of the kernels' lane count


class Couplings(nn.Module):
    """The stand-in that is traced; it shares the model's modules."""

    def __init__(self, model: Sanderling) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        """features (tokens, in_features) -> the outputs whose widths stay."""
        m = self.model
        h = m.encoder.embed(features) + m.encoder.mask_token
        for layer in encoder_layers(m):
            h = h + self._attend(layer.attn.qkv, layer.attn.out, layer.attn_norm(h))
            h = h + layer.ffn_down(nn.functional.gelu(layer.ffn_up(layer.ffn_norm(h))))
        z = m.encoder.norm(h)
        g = m.decoder.norm(z + self._attend(m.decoder.qkv, m.decoder.out, z))
        components = features[:, : 2 * N_COMPONENTS]
        a = nn.functional.gelu(m.scorer.fc1(torch.cat([z, components], dim=-1)))
        return m.decoder.head(g), m.metric(z), m.scorer.fc2(a)

    @staticmethod
    def _attend(qkv: nn.Linear, out: nn.Linear, x: Tensor) -> Tensor:
        q, k, v = qkv(x).chunk(3, dim=-1)
        return out(q * k * v)


@dataclass(frozen=True)
class Candidate:
    """The least important unit of one kind: what goes, what it costs, what is left."""

    kind: str  # "d_model", "heads.0", "ffn.0", "scorer_hidden"
    channels: list[int]  # of the group's root layer
    importance: float  # first-order estimate of the loss's change
    config: ModelConfig  # after it has gone


def _with_entry(values: tuple[int, ...], i: int, value: int) -> tuple[int, ...]:
    return (*values[:i], value, *values[i + 1 :])


class Pruner:
    """Structured pruning of one model in place, by torch-pruning's groups and importance.

    Args:
        model: gradients of the loss must be in its parameters when candidates are asked for.
        floors: smallest ModelConfig that may be reached, by field.
    """

    def __init__(self, model: Sanderling, floors: dict[str, int]) -> None:
        self.model, self.floors = model, floors
        # Sums over the whole group make units of different kinds comparable (Molchanov et al. 2019).
        self.importance = tp.importance.GroupTaylorImportance(group_reduction="sum", normalizer=None, bias=True)
        self.trace()

    def trace(self) -> None:
        """(Re)build the graph: torch-pruning keeps stale offsets of split tensors after a cut."""
        m = self.model
        with warnings.catch_warnings():
            # It reports parameters that its trace does not reach: fusion_raw stays, attn.bias goes by head.
            warnings.filterwarnings("ignore", message="Unwrapped parameters detected")
            self.graph = tp.DependencyGraph().build_dependency(
                Couplings(m),
                torch.zeros(2, m.config.in_features),
                unwrapped_parameters=[(m.encoder.mask_token, 0)],
            )

    def _axes(self) -> Iterator[tuple[str, nn.Linear, Callable, int, int, int]]:
        """kind, root layer, pruning function, channels, unit and floor (in channels)."""
        m, outputs, inputs = self.model, tp.prune_linear_out_channels, tp.prune_linear_in_channels
        c, floors = m.config, self.floors
        yield "d_model", m.encoder.embed, outputs, c.d_model, STEP, floors["d_model"]
        for i, layer in enumerate(encoder_layers(m)):
            width = c.n_heads[i] * HEAD_DIM
            yield f"heads.{i}", layer.attn.out, inputs, width, HEAD_DIM, floors["heads"] * HEAD_DIM
            yield f"ffn.{i}", layer.ffn_up, outputs, c.ffn[i], STEP, floors["ffn"]
        yield "scorer_hidden", m.scorer.fc1, outputs, c.scorer_hidden, STEP, floors["scorer_hidden"]

    def candidates(self) -> Iterator[Candidate]:
        """The least important unit of every kind that is above its floor."""
        for kind, root, function, channels, unit, floor in self._axes():
            if channels - unit < floor:
                continue
            group = self.graph.get_pruning_group(root, function, list(range(channels)))
            value = self.importance(group)
            if kind.startswith("heads"):
                heads = value.reshape(-1, HEAD_DIM).sum(1)
                worst = int(heads.argmin())
                chosen = list(range(worst * HEAD_DIM, (worst + 1) * HEAD_DIM))
            else:
                chosen = sorted(value.argsort()[:unit].tolist())
            yield Candidate(kind, chosen, float(value[chosen].sum()), self._without(kind, channels - unit))

    def _without(self, kind: str, channels: int) -> ModelConfig:
        c = self.model.config
        name, _, layer = kind.partition(".")
        if name == "heads":
            return c.replace(n_heads=_with_entry(c.n_heads, int(layer), channels // HEAD_DIM))
        if name == "ffn":
            return c.replace(ffn=_with_entry(c.ffn, int(layer), channels))
        return c.replace(**{name: channels})

    def remove(self, candidate: Candidate) -> None:
        """Prune the candidate's group; parameters are replaced, gradients included."""
        root, function = next((r, f) for kind, r, f, *_ in self._axes() if kind == candidate.kind)
        name, _, layer = candidate.kind.partition(".")
        group = self.graph.get_pruning_group(root, function, candidate.channels)
        if not self.graph.check_pruning_group(group):
            raise ValueError(f"{candidate.kind}: expected a group that may be pruned, found {group}")
        group.prune()
        if name == "heads":
            # The distance bias has one row a head, which no channel index reaches.
            attention = encoder_layers(self.model)[int(layer)].attn
            gone = candidate.channels[0] // HEAD_DIM
            keep = [h for h in range(attention.n_heads) if h != gone]
            attention.bias = nn.Parameter(attention.bias.detach()[keep])
            attention.n_heads = len(keep)
        self.model.config = candidate.config
        self.trace()


def rebuilt(model: Sanderling) -> Sanderling:
    """A fresh model of the pruned dimensions with the pruned weights (nothing of the tracer left)."""
    fresh = Sanderling(model.config, model.decoder.channel_independent)
    fresh.load_state_dict(model.state_dict())
    return fresh.train(model.training)
