"""The network: encoder, graph-attention decoder, scorer; forward returns (x_hat, score)."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..signal.scale import squash, unsquash
from ..signal.wavelet import patch_features
from .components import (
    ERRATIC,
    RawWindows,
    erratic_share,
    log_compress,
    metric_embedding,
    normalisers,
    raw_components,
)
from .config import HEAD_DIM, N_COMPONENTS, ModelConfig
from .decoder import Decoded, GraphDecoder
from .encoder import Encoder

HOLD_DECAY = 0.9
PER_DECADE = 0.43429448  # 1 / ln 10
LEAST_TAIL = 0.5


def percentile(x: Tensor, percent: int) -> Tensor:
    """(..., n) -> (..., 1). An interpolated one moves channels against each other (SMAP A-1: VUS-PR 0.30, not 0.34)."""
    rank = (percent * x.shape[-1] + 99) // 100 - 1
    return x.sort(-1).values[..., rank : rank + 1]


def held(scores: Tensor) -> Tensor:
    """(..., tokens): a peak decays over the tokens after it."""
    last, out = torch.zeros_like(scores[..., :1]), []
    for score in scores.split(1, dim=-1):
        last = torch.maximum(score, HOLD_DECAY * last)
        out.append(last)
    return torch.cat(out, dim=-1)


class Scorer(nn.Module):
    """MLP on embedding and log-compressed components, plus a learned non-negative fusion.

    docs/model.md, section 7: s = MLP([z | l | 0]) + sum_k w_k max(l_k, 0), w_k = fusion_k + u erratic_k >= 0.
    In training u = 0.
    """

    erratic: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.d_model + 2 * N_COMPONENTS, config.scorer_hidden)
        self.fc2 = nn.Linear(config.scorer_hidden, 1)
        self.fusion_raw = nn.Parameter(torch.full((N_COMPONENTS,), -1.0))
        self.register_buffer("erratic", torch.tensor(ERRATIC), persistent=False)
        nn.init.zeros_(self.fc2.weight)
        nn.init.zeros_(self.fc2.bias)

    @property
    def fusion(self) -> Tensor:
        """Non-negative weights (8,)."""
        return F.softplus(self.fusion_raw)

    def forward(self, z: Tensor, l: Tensor, u: Tensor | None = None) -> Tensor:  # noqa: E741 - the paper's letter
        """z (..., d_model), l (..., 8), u (...,) or None for 0 -> s (...,)."""
        inputs = torch.cat([z, l, torch.zeros_like(l)], dim=-1)
        logit = self.fc2(F.gelu(self.fc1(inputs), approximate="tanh")).squeeze(-1)
        weights = self.fusion if u is None else self.fusion + u[..., None] * self.erratic
        return logit + (l.clamp_min(0) * weights).sum(-1)


class Encoded(NamedTuple):
    x: Tensor  # (batch, channels, time) scaled
    y: Tensor  # (batch, channels, time) squashed
    z: Tensor  # (batch, channels, tokens, d_model)
    u: Tensor  # (batch, channels, tokens, metric heads, 32)
    decoded: Decoded


class Sanderling(nn.Module):
    """The detector's network.

    Input: scaled samples x (batch, time, channels) (signal.scale), time a multiple of 8.
    """

    def __init__(self, config: ModelConfig, channel_independent: bool = False) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.metric = nn.Linear(config.d_model, config.metric_heads * HEAD_DIM)
        self.decoder = GraphDecoder(config, channel_independent)
        self.scorer = Scorer(config)

    def features(self, x: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """x (batch, time, channels) -> x, y (batch, channels, time) and patch features."""
        x = x.transpose(1, 2)
        valid = torch.ones_like(x) if valid is None else valid.transpose(1, 2)
        y = squash(x)
        return x, y, patch_features(y, valid, self.config.levels, self.config.patch)

    def encode(self, x: Tensor, valid: Tensor | None = None, mask: Tensor | None = None) -> Encoded:
        """Everything up to the decoder. mask (batch, channels, tokens) bool hides patches."""
        x, y, f = self.features(x, valid)
        b, c, t, k = f.shape
        hidden = None if mask is None else mask.reshape(b * c, t)
        z = self.encoder(f.reshape(b * c, t, k), hidden).reshape(b, c, t, -1)
        u = metric_embedding(self.metric(z))
        return Encoded(x, y, z, u, self.decoder(z))

    def compressed(self, e: Encoded, reference: int) -> Tensor:
        """Log-compressed components l (batch, channels, tokens, 8) of the whole sequence; see `levels`."""
        return self.levels(e, reference)[0]

    def levels(self, e: Encoded, reference: int) -> tuple[Tensor, Tensor]:
        """l (batch, channels, tokens, 8) of the whole sequence, and u (batch, channels, 1) of section 7.

        The first `reference` tokens are the reference: their distances leave near rows out.
        """
        n = reference * self.config.patch
        level = RawWindows(self.config, e.y[..., :n], reference).level(self.warm_up(reference))
        live = raw_components(self.config, e.x, e.y, e.u, e.decoded, reference, False, level)
        cut = Encoded(
            e.x[..., :n],
            e.y[..., :n],
            e.z[:, :, :reference],
            e.u[:, :, :reference],
            Decoded(*(d[:, :, :reference] for d in e.decoded)),
        )
        own = raw_components(self.config, cut.x, cut.y, cut.u, cut.decoded, reference, True, level)
        components = torch.cat([own, live[:, :, reference:]], dim=2)
        center, spread = normalisers(own[:, :, self.warm_up(reference) :])
        return log_compress(self.config, components, center, spread), erratic_share(center)

    def warm_up(self, reference: int) -> int:
        """Tokens at the start that do not count in the reference's statistics (section 8)."""
        return min(self.config.n_layers * self.config.window, reference // 4)

    def token_scores(self, z: Tensor, l: Tensor, u: Tensor | None = None) -> Tensor:  # noqa: E741
        """Smoothed s_bar (batch, channels, tokens): mean of s over the last `smooth` tokens; u as in `Scorer`."""
        s = self.scorer(z, l, u)
        n = self.config.smooth
        total = F.pad(s, (n - 1, 0)).unfold(-1, n, 1).sum(-1)
        count = torch.arange(1, s.shape[-1] + 1, device=s.device).clamp_max(n)
        return total / count

    def channel_scores(self, s_bar: Tensor, reference: int) -> Tensor:
        """Positive scores score_c (batch, channels, tokens), by the tail of the reference's (sections 7 and 8)."""
        counted = s_bar[..., self.warm_up(reference) : reference]
        offset = percentile(counted, 99)
        tail = ((offset - percentile(counted, 90)) * PER_DECADE).clamp_min(LEAST_TAIL)
        v = (s_bar - offset) / tail
        return held(torch.where(v >= 0, 1 + v, 1 / (1 - v.clamp_max(0))))

    def forward(
        self, x: Tensor, valid: Tensor | None = None, reference: int = 64
    ) -> tuple[Tensor, Tensor]:
        """Reconstruct and score.

        Args:
            x: (batch, time, channels) scaled samples; time a multiple of 8.
            valid: the same shape, 1 where observed; None: all observed.
            reference: tokens at the start that count as normal (64 = a cold start).

        Returns:
            x_hat (batch, time, channels) in scaled units, and score (batch, time), higher = more
            anomalous.
        """
        e = self.encode(x, valid)
        scores = self.channel_scores(
            self.token_scores(e.z, *self.levels(e, reference)), reference
        )
        voice = voices(x[:, : reference * self.config.patch].transpose(1, 2))
        score = aggregate(scores, voice, self.config.top_k).repeat_interleave(self.config.patch, dim=-1)
        limit = squash(self.config.clip)
        x_hat = unsquash(e.decoded.reconstruction.clamp(-limit, limit)).flatten(2).transpose(1, 2)
        return x_hat, score


def voices(reference: Tensor) -> Tensor:
    """Section 8, step 1: reference (..., channels, time) -> (..., channels), 0 for switches unless all are."""
    ordered = reference.sort(dim=-1).values
    voice = ((ordered.diff(dim=-1) != 0).sum(-1) > 1).to(reference.dtype)
    return torch.where((voice > 0).any(-1, keepdim=True), voice, torch.ones_like(voice))


def aggregate(scores: Tensor, voice: Tensor, top_k: int) -> Tensor:
    """Section 7: score_c (..., channels, tokens) and voices (..., channels) -> (..., tokens)."""
    loudest = scores.topk(min(top_k, scores.shape[-2]), dim=-2).values.mean(-2)
    mean = (scores * voice[..., None]).sum(-2) / voice.sum(-1, keepdim=True)
    return mean.sqrt() * (loudest.sqrt() * mean.sqrt()).sqrt()
