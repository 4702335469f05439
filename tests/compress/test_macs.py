"""The MAC formula of docs/model.md, section 10, against a count by hand."""

from __future__ import annotations

import pytest
from sanderling.export.native import complete_config, tensor_specs

from sanderling.compress.macs import (
    bytes_native,
    float_shapes,
    macs,
    macs_saved,
    quantised_shapes,
    skipped_macs,
    weights,
)
from sanderling.model import SIZES


def test_micro_by_hand():
    """d 64, heads (2, 1), FFN (96, 64), 2 graph heads, scorer 64, M 512, one channel."""
    by_hand = {
        "wavelet": 80,
        "embed": 64 * 64,
        "attention": 4 * 64 * 64 + 2 * 16 * 64 + 4 * 64 * 32 + 2 * 16 * 32,
        "ffn": 2 * 64 * 96 + 2 * 64 * 64,
        "metric": 64 * 64,
        "metric_memory": 64 * 512,
        "raw_memory": (64 + 16) * 512,
        "graph": 4 * 64 * 64 + 2 * 64,
        "head": 17 * 64,
        "scorer": 80 * 64 + 64,
    }
    assert macs(SIZES["micro"]) == {**by_hand, "total": 152_912}
    assert sum(by_hand.values()) == 152_912


def test_a_skipped_token_by_hand():
    """d 64, heads (2, 1): of the layers the K and V rows alone."""
    micro = SIZES["micro"]
    kept = skipped_macs(micro)
    assert kept["keys_values"] == 2 * 64 * 64 + 2 * 64 * 32
    assert kept["total"] == 80 + 64 * 64 + 80 * micro.raw_rows + kept["keys_values"]
    assert macs_saved(micro, 0.0, 512, 1) == 0.0
    assert macs_saved(micro, 0.5, 512, 1) == pytest.approx(0.5 * (1 - kept["total"] / macs(micro)["total"]))


def test_memory_and_channels_count():
    config = SIZES["small"]
    at_home = macs(config)
    shorter = macs(config, tokens=100)
    assert at_home["total"] - shorter["total"] == 64 * (512 - 100) + 80 * 8 * (512 - 100)
    assert macs(config, tokens=5000)["raw_memory"] == 80 * config.raw_rows
    assert macs(config, channels=1000)["raw_memory"] == 80 * 65
    assert macs(config, channels=9)["graph"] - at_home["graph"] == 8 * 2 * config.graph_heads * 32


@pytest.mark.parametrize("size", sorted(SIZES))
def test_shapes_are_those_of_the_writer(size):
    config = SIZES[size]
    specs = tensor_specs(complete_config(config.to_dict()))
    matrices = quantised_shapes(config)
    ours: dict[str, tuple[int, ...]] = dict(float_shapes(config))
    for name, (n, k) in matrices.items():
        ours |= {f"{name}.weight": (n, k), f"{name}.scale": (n,), f"{name}.bias": (n,)}
    assert set(ours) == set(specs)
    for name, (_, shape) in specs.items():
        assert ours[name] == shape or shape == (-1,), name
    scales = sum(n for n, _ in quantised_shapes(config).values())
    assert weights(config)["int8"] == sum(n * k for n, k in quantised_shapes(config).values())
    assert bytes_native(config) >= weights(config)["int8"] + 8 * scales
    assert bytes_native(config) % 32 == 0
