"""The model of docs/model.md as a torch module in exportable form: one graph for sequences and for steps.

FP32: the file's INT8 weights are dequantised, activations are float32. Everything after scaling is inside; names,
shapes and meaning of inputs and outputs are `sanderling.runtime.graph_spec`'s. No control flow depends on data; a trace
has the shapes of its example inputs as constants (T tokens, C channels, memory rows), so TFLite takes it, too. The
wavelet is folded into the embedding (`NativeModel.embedding`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sanderling.export.layers import linear, norm, plain_linear
from sanderling.export.mixers import Convolution, Recurrence
from sanderling.export.reading import NativeModel
from torch import Tensor, nn

from sanderling.errors import InputError
from sanderling.runtime.graph import Arrays, Float32
from sanderling.runtime.graph_spec import (
    ERRATIC,
    EXPECTED_DISTANCE,
    FILLING,
    HEAD_DIM,
    HOLD_DECAY,
    LEAST_VARIATION,
    MEMORIES,
    METRIC_HEADS,
    N_COMPONENTS,
    OF_HISTORY,
    PATCH,
    RAW_WINDOW,
    SEEN_LIMIT,
    STEPS,
    GraphConfig,
    input_shapes,
    layer_state,
    output_shapes,
    state_shapes,
)

HIDDEN = -3e4  # a key that a query must not see; representable in float16, too
INV_SQRT_D = HEAD_DIM**-0.5


class Attention(nn.Module):
    """Causal windowed attention over the block's tokens and the W - 1 before them."""

    bias: Tensor

    def __init__(self, native: NativeModel, i: int) -> None:
        super().__init__()
        self.heads, self.window = native.keys["n_heads"][i], native.keys["window"]
        self.qkv = linear(native, f"blk.{i}.qkv")
        self.out = linear(native, f"blk.{i}.out")
        self.register_buffer("bias", torch.tensor(native.tensors[f"blk.{i}.attn_bias"]))

    def table(self, tokens: int) -> Tensor:
        """(H, T, T + W - 1): bias by distance, HIDDEN outside the window. A constant of the trace."""
        keys = tokens + self.window - 1
        distance = torch.arange(tokens)[:, None] + self.window - 1 - torch.arange(keys)[None]
        inside = (distance >= 0) & (distance < self.window)
        return torch.where(inside, self.bias[:, distance.clamp(0, self.window - 1)], torch.tensor(HIDDEN))

    def forward(self, a: Tensor, past: Tensor, unseen: Tensor) -> tuple[Tensor, Tensor]:
        """a (C, T, d), past (C, 2 H, W - 1, 32), unseen (T + W - 1,) additive -> (C, T, d) and the next past."""
        c, t, _ = a.shape
        heads = self.qkv(a).reshape(c, t, 3 * self.heads, HEAD_DIM).permute(0, 2, 1, 3)
        kv = torch.cat([past, heads[:, self.heads :]], dim=2)
        q, k, v = heads[:, : self.heads], kv[:, : self.heads], kv[:, self.heads :]
        p = torch.softmax((q @ k.transpose(2, 3)) * INV_SQRT_D + (self.table(t) + unseen), dim=-1)
        o = (p @ v).permute(0, 2, 1, 3).reshape(c, t, self.heads * HEAD_DIM)
        return self.out(o), kv[:, :, t:]


MIXERS: dict[str, type[nn.Module]] = {"transformer": Attention, "tcn": Convolution, "gru": Recurrence}


class Layer(nn.Module):
    """A pre-LN layer."""

    def __init__(self, native: NativeModel, i: int) -> None:
        super().__init__()
        self.attn_norm, self.ffn_norm = norm(native, f"blk.{i}.attn_norm"), norm(native, f"blk.{i}.ffn_norm")
        self.attn = MIXERS[native.config.encoder](native, i)
        self.ffn_up, self.ffn_down = linear(native, f"blk.{i}.ffn_up"), linear(native, f"blk.{i}.ffn_down")

    def forward(self, h: Tensor, past: Tensor, unseen: Tensor) -> tuple[Tensor, Tensor]:
        """As Attention, with the residuals."""
        a, past = self.attn(self.attn_norm(h), past, unseen)
        h = h + a
        return h + self.ffn_down(F.gelu(self.ffn_up(self.ffn_norm(h)), approximate="tanh")), past


class ExportNetwork(nn.Module):
    """Inputs by position in the order of `graph_spec.input_shapes`; returns the tuple of `graph_spec.output_shapes`.

    tokens and channels come from the shape of x.
    """

    fusion: Tensor
    ramp: Tensor
    level_weights: Tensor
    of_history: Tensor
    erratic: Tensor

    def __init__(self, native: NativeModel) -> None:
        super().__init__()
        config: GraphConfig = native.config
        self.config = config
        self.embed = plain_linear(native.embedding(), native.tensors["embed.bias"])
        self.layers = nn.ModuleList(Layer(native, i) for i in range(config.n_layers))
        self.norm = norm(native, "norm")
        self.metric = linear(native, "metric")
        self.graph_qkv, self.graph_out = linear(native, "graph.qkv"), linear(native, "graph.out")
        self.graph_norm = norm(native, "graph.norm")
        self.head = plain_linear(native.tensors["head.weight"], native.tensors["head.bias"])
        # The scorer's last 8 inputs are zeros.
        self.fc1 = linear(native, "scorer.fc1", config.d_model + N_COMPONENTS)
        self.fc2 = linear(native, "scorer.fc2")
        self.register_buffer("fusion", torch.tensor(native.tensors["fusion.weight"]))
        for samples, (ramp_step, level_step) in STEPS.items():
            age = torch.arange(1, samples + 1)
            self.register_buffer(f"ramp_{samples}", age * torch.tensor(ramp_step))
            self.register_buffer(f"level_{samples}", age.square() * torch.tensor(level_step))
        self.register_buffer("of_history", torch.tensor([float(k in OF_HISTORY) for k in range(N_COMPONENTS)]))
        self.register_buffer("erratic", torch.tensor(ERRATIC))
        self.eval().requires_grad_(False)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip(input_shapes(self.config), inputs, strict=True))
        x, valid = given["x"].transpose(0, 1), given["valid"].transpose(0, 1)
        c, n = x.shape
        t = n // PATCH
        index = given["seen"] + torch.arange(t, dtype=torch.float32)
        y = x / (1 + x.abs() / 8)
        signal = torch.cat([given["history"], y], dim=1)
        past_samples = self.windows(signal, t)
        h = self.embed(torch.cat([past_samples, valid.reshape(c, t, PATCH)], dim=-1))

        behind = self.config.window - 1
        unseen = (torch.arange(t + behind, dtype=torch.float32) - behind + given["seen"]).clamp(-1, 0) * -HIDDEN
        state = {"seen": (given["seen"] + t).clamp_max(SEEN_LIMIT), "history": signal[:, n:]}
        past = {}
        for i, layer in enumerate(self.layers):
            name = layer_state(self.config, i)
            h, past[name] = layer(h, given[name], unseen)
        z = self.norm(h)
        p = self.decode(z)

        predicted = torch.cat([given["prediction"][:, None], p[..., PATCH:]], dim=1)
        state["prediction"] = predicted[:, t]
        patches = y.reshape(c, t, PATCH)
        u = self.metric(z).reshape(c, t, METRIC_HEADS, HEAD_DIM)
        u = u * (1 / torch.sqrt((u * u).sum(-1, keepdim=True) + 1e-12))
        error = (patches - predicted[:, :t, :PATCH]).abs().mean(-1)
        log_b = predicted[:, :t, PATCH].clamp(-4, 4)
        known = index.clamp_max(1)  # a stream's first token was not predicted
        windows = past_samples[..., -RAW_WINDOW:]
        centred = windows - windows.mean(-1, keepdim=True)
        distances = self.distances(u, windows, given)
        raw_components = given["component_shift"] + torch.stack(
            [
                *distances,
                error * known,
                (error * torch.exp(-log_b) + log_b) * known,
                (patches - p[..., :PATCH]).abs().mean(-1),
                x.abs().reshape(c, t, PATCH).amax(-1),
                (centred * centred).mean(-1).sqrt(),
            ],
            dim=-1,
        )
        components = self.compress(raw_components, given["center"], given["spread"], index)
        logit = self.score(z, components, given["center"])
        smoothed, past_logits = self.smooth(logit, given.get("logits"), index)
        v = (smoothed - given["offset"][:, None]) / given["tail"][:, None]
        channel_score = self.hold((1 + v.clamp_min(0)) / (1 - v.clamp_max(0)), given["held"])
        state["held"] = channel_score[:, t - 1 :]
        outputs = (
            self.aggregate(channel_score, given["voice"]),
            channel_score,
            smoothed,
            components,
            raw_components,
            p[..., :PATCH],
            u.reshape(c, t, METRIC_HEADS * HEAD_DIM),
        )
        state |= past | past_logits
        return outputs + tuple(state[name] for name in state_shapes(self.config, c))

    def decode(self, z: Tensor) -> Tensor:
        """Section 5: (C, T, d) -> (C, T, 17)."""
        c, t, _ = z.shape
        heads = self.config.graph_heads
        width = heads * HEAD_DIM
        r = self.graph_qkv(z)
        if c == 1:
            o = r[..., 2 * width :]  # one node attends to itself
        else:
            q, k, v = (r[..., i * width : (i + 1) * width].reshape(c, t, heads, HEAD_DIM) for i in range(3))
            p = torch.softmax((q.permute(1, 2, 0, 3) @ k.permute(1, 2, 3, 0)) * INV_SQRT_D, dim=-1)
            o = (p @ v.permute(1, 2, 0, 3)).permute(2, 0, 1, 3).reshape(c, t, width)
        return self.head(self.graph_norm(z + self.graph_out(o)))

    @staticmethod
    def windows(signal: Tensor, t: int) -> Tensor:
        """(C, T, reach + 8): the samples up to each patch's end."""
        patches = signal.reshape(signal.shape[0], -1, PATCH)
        return torch.cat([patches[:, j : j + t] for j in range(patches.shape[1] - t + 1)], dim=-1)

    def distances(self, u: Tensor, windows: Tensor, given: Mapping[str, Tensor]) -> list[Tensor]:
        """c0, c1, c2 (C, T): with a = -squared distance / tau up to the query's norm, softmin = norm - tau E[a]."""

        def expected(query: Tensor, memory: Tensor, tau: float) -> Tensor:
            a = F.pad(query, (0, 1), value=1.0) @ memory
            return tau * (torch.softmax(a, dim=-1) * a).sum(-1)

        metric = 1 - expected(u.permute(0, 2, 1, 3), given["metric_memory"], self.config.metric_tau)
        raw = []
        for name, samples in zip(MEMORIES[1:], STEPS, strict=True):
            w, ramp = windows[..., -samples:], getattr(self, f"ramp_{samples}")
            mean = (w * getattr(self, f"level_{samples}")).sum(-1, keepdim=True)
            w = (w - given["level"][:, None, None] * mean) * ramp
            raw.append(((w * w).sum(-1) - expected(w, given[name], self.config.raw_tau)).clamp_min(0))
        heads = [metric[:, head].clamp_min(0) for head in range(METRIC_HEADS)]
        return [squared.sqrt() for squared in (*heads, (raw[0] + raw[1]) * 0.5)]

    def compress(self, components: Tensor, center: Tensor, spread: Tensor, index: Tensor) -> Tensor:
        """l_k; what compares with a history is at most 0 until the history is full."""
        r = (components - center[:, None]) / spread[:, None]
        l = torch.sign(r) * torch.log(1 + r.abs())  # noqa: E741 - docs/model.md's letter
        filling = (FILLING - index).clamp(0, 1)[:, None] * self.of_history
        return l - l.clamp_min(0) * filling

    def score(self, z: Tensor, l: Tensor, center: Tensor) -> Tensor:  # noqa: E741
        """s (C, T)."""
        ratio = center[:, 2] / (EXPECTED_DISTANCE * center[:, 7].clamp_min(LEAST_VARIATION))
        weights = self.fusion + (2 * ratio - 1).clamp(0, 1)[:, None] * self.erratic
        hidden = F.gelu(self.fc1(torch.cat([z, l], dim=-1)), approximate="tanh")
        return self.fc2(hidden)[..., 0] + (l.clamp_min(0) * weights[:, None]).sum(-1)

    @staticmethod
    def hold(score: Tensor, last: Tensor) -> Tensor:
        """(C, T): each token's score or what is left of a peak before it, whichever is more. last (C, 1)."""
        t = score.shape[1]
        age = np.arange(t)[:, None] - np.arange(-1, t)[None]
        # In numpy, so that a trace has the numbers: TFLite has no power in float64.
        decay = torch.tensor(np.where(age >= 0, HOLD_DECAY ** np.maximum(age, 0), 0), dtype=torch.float32)
        return (torch.cat([last, score], dim=1)[:, None] * decay).amax(-1)

    def smooth(self, s: Tensor, past: Tensor | None, index: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """s_bar (C, T), and the logits that the next call needs."""
        n, t = self.config.smooth, s.shape[1]
        if past is None:
            return s, {}
        rows = torch.cat([past, s], dim=1)
        total = rows[:, :t]
        for k in range(1, n):
            total = total + rows[:, k : k + t]
        return total / (index + 1).clamp_max(n), {"logits": rows[:, t:]}

    def aggregate(self, channel_score: Tensor, voice: Tensor) -> Tensor:
        """(C, T), (C,) -> (T,)."""
        k = min(self.config.top_k, channel_score.shape[0])
        loudest = channel_score.amax(0) if k == 1 else channel_score.topk(k, dim=0).values.mean(0)
        mean = (channel_score * voice[:, None]).sum(0) / voice.sum()
        return mean.sqrt() * (loudest.sqrt() * mean.sqrt()).sqrt()


class TorchEngine:
    """The module as an engine (`sanderling.runtime.graph`): what the FP32 engines are compared with."""

    name, version = "torch", str(torch.__version__)
    channels: int | None = None
    tokens: tuple[int, ...] | None = None
    rows: tuple[int, int] | None = None
    stored: Arrays | None = None

    def __init__(self, native: NativeModel) -> None:
        self.network = ExportNetwork(native)
        self.config = native.config
        self.metadata: Mapping[str, Any] = {"precision": "fp32", "profile": "torch"}

    @torch.no_grad()
    def run(self, inputs: Arrays, outputs: Sequence[str]) -> dict[str, Float32]:
        """As `Engine.run`."""
        given = (torch.from_numpy(np.array(inputs[name])) for name in input_shapes(self.config))
        found = dict(zip(output_shapes(self.config), self.network(*given), strict=True))
        return {name: found[name].numpy() for name in outputs}

    def write(self, path: bytes, metadata: Mapping[str, Any], calibration: Arrays) -> None:
        """As `Engine.write`."""
        raise InputError("expected a graph from a file to save, found the torch module; save the native model")
