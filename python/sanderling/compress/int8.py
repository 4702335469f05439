"""The INT8 reference of the whole pipeline (docs/model.md) in torch: the oracle of the C++ engine.

It takes the tensors that are written to the native file, so both compute on the same integers, and shares
no code with the engine. Cleaning and scaling are `sanderling.signal.scale`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..model.config import HEAD_DIM, N_COMPONENTS, ModelConfig
from ..signal.scale import apply_scale, clean, fit_scale, gap_mask, squash, voices, whole_windows
from ..signal.wavelet import patch_features, windows
from .arithmetic import exp32, f32, fma, gelu, lane_sum, layer_norm, linear, log1p
from .grid import (
    attend,
    integer_product,
    patch_mean,
    qgemm,
    quantize_rows,
    smooth,
    soft_min,
    unit_heads,
    windowed,
)
from .tail import Tail, held, positive, tail_of, threshold

MIN_REFERENCE = 256  # samples
OF_HISTORY = [0, 1, 2, 3, 4, 7]
LEAST_VARIATION = 0.3
EXPECTED_DISTANCE = 5.6
RAMPS = {64: (0.027063294, 1.118068e-5), 16: (0.21650635, 6.684492e-4)}  # of a raw window: its steps
ERRATIC = (0.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 1.5)
SPREAD_FLOOR = (0.3, 0.3, 2.0, 0.15, 0.6, 0.15, 1.0, 0.3)
MOST_LEVEL, LEAST_RAW, STEADY, PER_SHARE = 0.75, 1.0, 0.2, 3.3333333


@dataclass
class Tokens:
    """One channel's tokens: what does not depend on the reference memory.

    z (T, d) float32; metric (heads, T, 32) integers as float32 with their scales (heads, T); history (T, 64): the last
    squashed samples; fixed (T, 8): components with the three distances still 0; y (8 T,) squashed samples.
    """

    z: Tensor
    metric: tuple[Tensor, Tensor]
    history: Tensor
    fixed: Tensor
    y: Tensor

    def part(self, n: int) -> Tokens:
        """The first n tokens."""
        m, m_scale = self.metric
        y = self.y[: len(self.y) // len(self.z) * n]
        return Tokens(self.z[:n], (m[:, :n], m_scale[:, :n]), self.history[:n], self.fixed[:n], y)


Places = tuple[Tensor, Tensor]
Rows = tuple[Tensor, Tensor]  # integers as float32, scales
Memory = tuple[Rows, tuple[Rows, ...]]


@dataclass
class Calibration:
    """What a reference part sets, per channel."""

    location: np.ndarray
    spread: np.ndarray
    memory: list[Memory]
    level: list[Tensor]
    voice: np.ndarray
    center: list[Tensor]
    width: list[Tensor]
    tails: list[Tail]
    threshold: float


class Int8Reference:
    """Scores recordings as the engine must.

    Args:
        config: the network's dimensions.
        tensors: numpy arrays by the names of docs/format.md.
    """

    def __init__(self, config: ModelConfig, tensors: Mapping[str, np.ndarray]) -> None:
        self.config = config
        self.t = {k: torch.tensor(np.asarray(v), dtype=torch.float32) for k, v in tensors.items()}
        self.inv_sqrt_d = torch.tensor(np.float32(1) / np.sqrt(np.float32(HEAD_DIM)))
        self.calibration: Calibration | None = None

    def calibrate(
        self, x: np.ndarray, scaling: str = "robust", false_alarms: float = 1.0, period_s: float = 0.0
    ) -> Int8Reference:
        """Calibrate on a normal recording (samples, channels), at least 256 samples (ValueError)."""
        self.calibration = self._calibrated(_two_dimensional(x), scaling, false_alarms, period_s)
        return self

    @property
    def threshold(self) -> float:
        """Of the last `calibrate`; NaN before it."""
        return self.calibration.threshold if self.calibration else float("nan")

    def scores(self, x: np.ndarray) -> np.ndarray:
        """float32 (time,), higher = more anomalous; cold unless `calibrate` was called."""
        per_channel, cold, voice = self._channel_scores(_two_dimensional(x))
        return np.where(np.arange(len(per_channel)) < cold, np.float32(0), self._aggregate(per_channel, voice))

    def channel_scores(self, x: np.ndarray) -> np.ndarray:
        """float32 (time, channels): score_c, NaN beyond `max_gap`, 0 while cold."""
        per_channel, cold, _ = self._channel_scores(_two_dimensional(x))
        per_channel[:cold] = 0
        return per_channel

    def cold_threshold(self, x: np.ndarray) -> float:
        """The threshold that a cold start on this recording sets."""
        return self._calibrated(_two_dimensional(x)[: self.config.cold_samples]).threshold

    def _channel_scores(self, x: np.ndarray) -> tuple[np.ndarray, int, np.ndarray]:
        """score_c, how many samples are cold, the channels' voices."""
        c, cold, samples = self.calibration, 0, len(x)
        if c is None:
            cold = self.config.cold_samples
            if samples <= cold:
                return np.zeros(x.shape, np.float32), samples, voices(x)
            c = self._calibrated(x[:cold])
        elif x.shape[1] != len(c.location):
            raise ValueError(f"x: expected {len(c.location)} channels, found {x.shape[1]}")
        tail = -samples % self.config.patch
        padded = np.concatenate([x, np.repeat(x[-1:], tail, axis=0)])
        tokens = self._tokens(padded, c.location, c.spread)
        out = np.empty(padded.shape, np.float32)
        for i, token in enumerate(tokens):
            components = self._components(token, c.memory[i], c.level[i], None)
            s = self._smoothed(token, components, c.center[i], c.width[i], self._weights(c.center[i]))
            out[:, i] = held(positive(c.tails[i].values(s.numpy()))).repeat(self.config.patch)
        out[gap_mask(np.isfinite(padded), self.config.max_gap)] = np.nan
        return out[:samples], cold, c.voice

    def _aggregate(self, per_channel: np.ndarray, voice: np.ndarray) -> np.ndarray:
        """Section 7's score of the channels that are not NaN; NaN if none is left. (n, channels) -> (n,)."""
        score = np.full(len(per_channel), np.nan, np.float32)
        for i, row in enumerate(per_channel):
            there = np.isfinite(row)
            if there.any():
                values, weights = row[there], voice[there]
                top = -np.sort(-values)[: self.config.top_k]
                loudest = np.cumsum(top, dtype=np.float32)[-1] / np.float32(len(top))
                weight = np.float32(weights.sum())
                mean = np.cumsum(weights * values, dtype=np.float32)[-1] / weight if weight > 0 else loudest
                joined = np.sqrt(mean) * np.sqrt(np.sqrt(loudest) * np.sqrt(mean))
                score[i] = loudest if mean == loudest else joined
        return score

    def _calibrated(
        self, x: np.ndarray, scaling: str = "robust", false_alarms: float = 1.0, period_s: float = 0.0
    ) -> Calibration:
        if len(x) < MIN_REFERENCE:
            raise ValueError(f"reference: expected at least {MIN_REFERENCE} samples, found {len(x)}")
        config = self.config
        location, spread = fit_scale(x, scaling)
        count = len(x) // config.patch
        tokens = self._tokens(x[: count * config.patch], location, spread)
        missing = ~np.isfinite(x[: count * config.patch])
        place = self._places(count, *config.memory_shape(count, x.shape[1]))
        warm = self._warm(count)
        near = self._near(count, place)
        c = Calibration(location, spread, [], [], voices(x), [], [], [], 0.0)
        live = []
        for token, gaps in zip(tokens, missing.T, strict=True):
            level = self._level(token, place, near[1], warm)
            memory = self._rows(token, place, level)
            components = self._components(token, memory, level, near)
            center, width = _normalisers(components[warm:])
            s = self._smoothed(token, components, center, width, self._weights(center))[warm:].numpy()
            tail = tail_of(s[whole_windows(gaps, warm)])
            c.memory.append(memory)
            c.level.append(level)
            c.center.append(center)
            c.width.append(width)
            c.tails.append(tail)
            live.append(positive(tail.values(s)))
        scores = self._aggregate(np.stack(live, 1), c.voice)[whole_windows(missing.any(1), warm)]
        c.threshold = threshold(scores, config.patch, false_alarms, period_s)
        return c

    def _places(self, tokens: int, rows: int, raw_rows: int) -> Places:
        """Tokens of the metric memory, and the samples at which the raw memory's windows end."""

        def middles(n: int, first: int, end: int) -> Tensor:
            return torch.tensor([first + (2 * j + 1) * (end - first) // (2 * n) for j in range(n)])

        whole = self.config.raw_window - 1
        return middles(rows, 0, tokens), middles(raw_rows, whole, tokens * self.config.patch)

    def _near(self, tokens: int, place: Places) -> tuple[Tensor, Tensor]:
        """For both memories (T, rows) bool: the rows that a token of the reference leaves out."""
        token, n, block = torch.arange(tokens)[:, None], self.config.patch, min(self.config.loo_block, tokens // 4)
        return (token - place[0]).abs() < block, (token * n + n - 1 - place[1]).abs() < block * n

    def _rows(self, token: Tokens, place: Places, level: Tensor) -> Memory:
        """The reference memory of a channel."""
        m, m_scale = token.metric
        return (m[:, place[0]], m_scale[:, place[0]]), self._raw_rows(token, place, level)

    def _raw_rows(self, token: Tokens, place: Places, level: Tensor) -> tuple[Rows, ...]:
        length = self.config.raw_window
        return _raw(token.y.unfold(0, length, 1)[place[1] - (length - 1)], level)

    def _level(self, token: Tokens, place: Places, near: Tensor, warm: int) -> Tensor:
        """How much of its level a channel's raw windows lose."""
        whole, shape = (
            self._raw_distance(token, self._raw_rows(token, place, level), level, near)[warm:].median()
            for level in (f32(0.0), f32(1.0))
        )
        wide = whole.clamp_min(LEAST_RAW)
        share = (whole * whole - shape * shape) / (wide * wide)
        return MOST_LEVEL * ((share - f32(STEADY)) * f32(PER_SHARE)).clamp(0, 1)

    def _warm(self, tokens: int) -> int:
        """Tokens at the start that do not count in the reference's statistics."""
        return min(self.config.n_layers * self.config.window, tokens // 4)

    def _layer(self, name: str, x: Tensor) -> Tensor:
        t = self.t
        return qgemm(x, t[f"{name}.weight"], t[f"{name}.scale"], t[f"{name}.bias"])

    def _norm(self, name: str, x: Tensor) -> Tensor:
        return layer_norm(x, self.t[f"{name}.weight"], self.t[f"{name}.bias"])

    def _encode(self, features: Tensor) -> Tensor:
        """(T, in_features) of one channel -> z (T, d)."""
        t = self.t
        h = linear(features, t["embed.weight"], t["embed.bias"])
        for i, heads in enumerate(self.config.n_heads):
            r = self._layer(f"blk.{i}.qkv", self._norm(f"blk.{i}.attn_norm", h))
            o = windowed(r, heads, HEAD_DIM, t[f"blk.{i}.attn_bias"], self.inv_sqrt_d)
            h = h + self._layer(f"blk.{i}.out", o)
            u = self._layer(f"blk.{i}.ffn_up", self._norm(f"blk.{i}.ffn_norm", h))
            h = h + self._layer(f"blk.{i}.ffn_down", gelu(u))
        return self._norm("norm", h)

    def _decode(self, z: Tensor) -> Tensor:
        """(C, T, d) -> p (C, T, 17)."""
        heads = self.config.graph_heads
        r = self._layer("graph.qkv", z.transpose(0, 1))
        q, k, v = r.reshape(*r.shape[:2], 3, heads, HEAD_DIM).permute(2, 0, 3, 1, 4)
        o = attend(q, k, v, self.inv_sqrt_d).transpose(1, 2).flatten(2)
        g = self._norm("graph.norm", z + self._layer("graph.out", o).transpose(0, 1))
        return linear(g, self.t["head.weight"], self.t["head.bias"])

    def window_scores(self, x: np.ndarray, valid: np.ndarray, reference: int) -> np.ndarray:
        """Smoothed s_bar of an already scaled training window, as `Sanderling.token_scores` gives it in training.

        Args:
            x, valid: (time, channels) scaled float32 and 0/1; time a multiple of 8.
            reference: tokens at the start that are the memory; their own distances leave near rows out.

        Returns:
            float32 (channels, tokens).
        """
        _, raw_rows = self.config.memory_shape(reference)
        place = self._places(reference, reference, raw_rows)
        near = self._near(reference, place)
        out = []
        for token in self._tokens_of(x.astype(np.float32), valid):
            level = self._level(token.part(reference), place, near[1], self._warm(reference))
            memory = self._rows(token.part(reference), place, level)
            own = self._components(token.part(reference), memory, level, near)
            center, width = _normalisers(own[self._warm(reference) :])
            components = torch.cat([own, self._components(token, memory, level, None)[reference:]])
            out.append(self._smoothed(token, components, center, width, self.t["fusion.weight"]).numpy())
        return np.stack(out)

    def _weights(self, center: Tensor) -> Tensor:
        """The fusion's weights (8,) of a channel with these centers."""
        ratio = center[2] / (EXPECTED_DISTANCE * center[7].clamp_min(LEAST_VARIATION))
        return self.t["fusion.weight"] + (2 * ratio - 1).clamp(0, 1) * torch.tensor(ERRATIC)

    def _tokens(self, raw: np.ndarray, location: np.ndarray, spread: np.ndarray) -> list[Tokens]:
        filled, valid = clean(raw)
        return self._tokens_of(apply_scale(filled, location, spread, self.config.clip), valid)

    @torch.no_grad()
    def _tokens_of(self, scaled: np.ndarray, valid: np.ndarray) -> list[Tokens]:
        """State machine over whole patches of a recording (time, C), one entry a channel."""
        config, n = self.config, self.config.patch
        x = torch.from_numpy(scaled.T.copy())
        y = squash(x)
        f = patch_features(y, torch.from_numpy(valid.T.copy()), config.levels, n)
        z = torch.stack([self._encode(channel) for channel in f])
        p = self._decode(z)
        patches, history = y.unflatten(-1, (-1, n)), windows(y, config.raw_window, n)
        error = F.pad(patch_mean((patches[:, 1:] - p[:, :-1, n : 2 * n]).abs()), (1, 0))
        log_scale = p[:, :-1, 2 * n].clamp(-4, 4)
        likelihood = F.pad(error[:, 1:] * exp32(-log_scale) + log_scale, (1, 0))
        fixed = torch.zeros(*error.shape, N_COMPONENTS)
        fixed[..., 3], fixed[..., 4] = error, likelihood
        fixed[..., 5] = patch_mean((patches - p[..., :n]).abs())
        fixed[..., 6] = x.unflatten(-1, (-1, n)).abs().amax(-1)
        centred = history - (lane_sum(history) / config.raw_window)[..., None]
        fixed[..., 7] = (lane_sum(centred * centred) / config.raw_window).sqrt()
        m = unit_heads(self._layer("metric", z), HEAD_DIM).transpose(1, 2)
        return [Tokens(z[c], quantize_rows(m[c]), history[c], fixed[c], y[c]) for c in range(len(z))]

    @torch.no_grad()
    def _components(
        self, token: Tokens, memory: Memory, level: Tensor, left_out: tuple[Tensor, Tensor] | None
    ) -> Tensor:
        """(T, 8) with the distances to the memory; left_out: of each memory (T, rows) bool."""
        out = token.fixed.clone()
        config = self.config
        metric, metric_scale = memory[0]
        far, raw_far = left_out or (None, None)
        q, scale = token.metric
        inv_tau = torch.tensor(np.float32(1) / np.float32(config.metric_tau))
        for h in range(config.metric_heads):
            dot = integer_product(q[h], metric[h]) * (scale[h][:, None] * metric_scale[h])
            out[:, h] = soft_min(dot, f32(1.0), f32(1.0), inv_tau, far).sqrt()
        out[:, config.metric_heads] = self._raw_distance(token, memory[1], level, raw_far)
        return out

    @torch.no_grad()
    def _raw_distance(
        self, token: Tokens, memory: tuple[Rows, ...], level: Tensor, left_out: Tensor | None
    ) -> Tensor:
        """c2 (T,)."""
        inv_tau = torch.tensor(np.float32(1) / np.float32(self.config.raw_tau))
        squares = torch.zeros(())
        for (q, scale), (raw, raw_scale) in zip(_raw(token.history, level), memory, strict=True):
            own = (scale * scale) * (q * q).sum(-1)
            other = (raw_scale * raw_scale) * (raw * raw).sum(-1)
            dot = integer_product(q, raw) * (scale[:, None] * raw_scale)
            squares = squares + soft_min(dot, own[:, None], other, inv_tau, left_out)
        return (squares * f32(1 / len(memory))).sqrt()

    @torch.no_grad()
    def _smoothed(self, token: Tokens, components: Tensor, center: Tensor, width: Tensor, weights: Tensor) -> Tensor:
        """s_bar (T,); weights (8,): the fusion's."""
        r = (components - center) / width
        l = torch.sign(r) * log1p(r.abs())  # noqa: E741 - docs/model.md's letter
        filling = self.config.raw_window // self.config.patch - 1
        l[:filling, OF_HISTORY] = l[:filling, OF_HISTORY].clamp_max(0)
        inputs = torch.cat([token.z, l, torch.zeros_like(l)], dim=-1)
        s = self._layer("scorer.fc2", gelu(self._layer("scorer.fc1", inputs)))[:, 0]
        for k, weight in enumerate(weights):
            s = fma(weight, l[:, k].clamp_min(0), s)
        return smooth(s, self.config.smooth)


def _two_dimensional(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, np.float32)
    return x[:, None] if x.ndim == 1 else x


def _raw(windows: Tensor, level: Tensor) -> tuple[Rows, ...]:
    """Of raw windows (n, 64), oldest first, both of section 6, quantised; level (): how much of it is taken out."""
    found = []
    for length, (ramp_step, level_step) in RAMPS.items():
        part, order = windows[..., -length:], torch.arange(1, length + 1)
        mean = lane_sum(part * ((order * order) * f32(level_step)))
        found.append(quantize_rows((part - (level * mean)[..., None]) * (order * f32(ramp_step))))
    return tuple(found)


def _normalisers(components: Tensor) -> tuple[Tensor, Tensor]:
    """Center and spread (8,) over the reference's tokens; torch's median is the lower one."""
    center = components.median(0).values
    deviation = (components - center).abs().median(0).values
    widest = torch.maximum(1.4826 * deviation, 0.1 * center.abs())
    return center, torch.maximum(widest, torch.tensor(SPREAD_FLOOR))
