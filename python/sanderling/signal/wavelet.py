"""Causal undecimated (a trous) wavelet transform in torch (docs/model.md, section 3).

Source: Holschneider et al. 1989; Mallat, A Wavelet Tour of Signal Processing, 3rd ed., 5.5.
"""

from __future__ import annotations

import torch
from torch import Tensor

HAAR = (0.5, 0.5)


def atrous(y: Tensor, levels: int, taps: tuple[float, ...] = HAAR) -> tuple[list[Tensor], Tensor]:
    """Details d_1..d_levels and the last smooth, so that y = sum(details) + smooth.

    Args:
        y: (..., time) float; before its first sample the signal has the first sample's value.
        levels: dyadic levels; level l looks (len(taps) - 1) * 2**(l - 1) samples back.

    Returns:
        levels tensors (..., time), and the smooth (..., time).
    """
    details = []
    smooth = y
    for level in range(levels):
        stride = 2**level
        reach = (len(taps) - 1) * stride
        padded = torch.cat([smooth[..., :1].expand(*smooth.shape[:-1], reach), smooth], dim=-1)
        n = smooth.shape[-1]
        lower = torch.zeros_like(smooth)
        for k, tap in enumerate(taps):
            lower = lower + tap * padded[..., reach - k * stride : reach - k * stride + n]
        details.append(smooth - lower)
        smooth = lower
    return details, smooth


def patch_features(y: Tensor, valid: Tensor, levels: int, patch: int = 8) -> Tensor:
    """Features of every complete patch: raw | details | smooth | valid.

    Args:
        y: (..., time) float, squashed samples; time is a multiple of `patch`.
        valid: (..., time), 1 where observed.

    Returns:
        (..., time // patch, patch * (levels + 3)).
    """
    details, smooth = atrous(y, levels)
    planes = torch.stack([y, *details, smooth, valid.to(y.dtype)], dim=-2)
    *lead, k, n = planes.shape
    planes = planes.reshape(*lead, k, n // patch, patch).transpose(-3, -2)
    return planes.reshape(*lead, n // patch, k * patch)


def windows(y: Tensor, length: int, patch: int = 8) -> Tensor:
    """The last `length` samples at the end of every patch (first value before the start).

    Args:
        y: (..., time).

    Returns:
        (..., time // patch, length).
    """
    padded = torch.cat([y[..., :1].expand(*y.shape[:-1], length - patch), y], dim=-1)
    return padded.unfold(-1, length, patch)


__all__ = ["HAAR", "atrous", "patch_features", "windows"]
