"""The model's dimensions: the `sanderling.*` keys of docs/format.md that describe the network."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ..runtime.graph_spec import ENCODERS

N_COMPONENTS = 8
HEAD_DIM = 32
MIN_ROWS = 64  # of a reference memory, whatever the number of channels


@dataclass(frozen=True)
class ModelConfig:
    """Dimensions of a network; widths may differ by layer after pruning.

    d_model, ffn and scorer_hidden are multiples of 16. n_heads and ffn have one entry a layer.
    """

    d_model: int = 512
    n_heads: tuple[int, ...] = (16, 16, 16, 16)
    ffn: tuple[int, ...] = (1024, 1024, 1024, 1024)
    patch: int = 8
    levels: int = 5
    window: int = 16
    graph_heads: int = 2
    metric_heads: int = 2
    scorer_hidden: int = 256
    raw_window: int = 64
    smooth: int = 1
    top_k: int = 1
    max_gap: int = 32
    cold_samples: int = 512
    memory_tokens: int = 512
    memory_budget: int = 8192
    raw_rows: int = 4096
    raw_budget: int = 65536
    loo_block: int = 16
    probe_every: int = 8
    clip: float = 20.0
    metric_tau: float = 0.05
    raw_tau: float = 0.02
    skip_level: float = 1.3
    encoder: str = "transformer"
    head_dim: int = field(default=HEAD_DIM, init=False)

    def __post_init__(self) -> None:
        if len(self.n_heads) != len(self.ffn) or not self.n_heads:
            raise ValueError(
                f"n_heads, ffn: expected one entry a layer, found {len(self.n_heads)} and "
                f"{len(self.ffn)}"
            )
        if self.encoder not in ENCODERS:
            raise ValueError(f"encoder: expected one of {', '.join(ENCODERS)}, found {self.encoder!r}")
        for name, value in (("d_model", self.d_model), ("scorer_hidden", self.scorer_hidden)):
            if value <= 0 or value % 16:
                raise ValueError(f"{name}: expected a positive multiple of 16, found {value}")
        if any(f <= 0 or f % 16 for f in self.ffn):
            raise ValueError(f"ffn: expected positive multiples of 16, found {self.ffn}")

    @property
    def n_layers(self) -> int:
        return len(self.n_heads)

    @property
    def in_features(self) -> int:
        """Width of a patch's feature vector: raw, details, smooth, valid."""
        return self.patch * (self.levels + 3)

    def memory_shape(self, tokens: int, channels: int = 1) -> tuple[int, int]:
        """Rows of the metric and of the raw memory for a reference of `tokens` patches."""

        def rows(most: int, budget: int, there: int) -> int:
            return min(there, max(MIN_ROWS, min(most, budget // channels)))

        windows = tokens * self.patch - (self.raw_window - 1)
        return (
            rows(self.memory_tokens, self.memory_budget, tokens),
            rows(self.raw_rows, self.raw_budget, windows),
        )

    def to_dict(self) -> dict:
        """Plain types, as stored in checkpoints and in the native file's keys."""
        d = asdict(self)
        d["n_heads"], d["ffn"] = list(self.n_heads), list(self.ffn)
        if self.encoder == ENCODERS[0]:
            del d["encoder"]  # the native file has no such key
        return d

    @classmethod
    def from_dict(cls, d: dict) -> ModelConfig:
        d = {k: v for k, v in d.items() if k != "head_dim"}
        return cls(**{**d, "n_heads": tuple(d["n_heads"]), "ffn": tuple(d["ffn"])})

    def replace(self, **changes: Any) -> ModelConfig:
        return replace(self, **changes)


SIZES = {
    "base": ModelConfig(),
    "small": ModelConfig(d_model=256, n_heads=(8,) * 4, ffn=(512,) * 4),
    "micro": ModelConfig(d_model=64, n_heads=(2, 1), ffn=(96, 64), scorer_hidden=64, raw_rows=512),
}
