"""NNCF's weight grid, the tensors made from it, and what INT8 does to the scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sanderling.export.native import check_tensors, complete_config

from sanderling.compress.fake import fake_quantised
from sanderling.compress.int8 import Int8Reference
from sanderling.compress.network import Network, quantised_layers, window_scores
from sanderling.compress.quality import agreement, float_scorer, int8_scorer, live_scores, spearman
from sanderling.compress.quantise import quantise, to_native_tensors
from tests.compress.models import SIGNALS, batches, random_model


@pytest.fixture(scope="module")
def model():
    return random_model()


@pytest.fixture(scope="module")
def quantised(model):
    return quantise(model, batches(2))


def test_network_is_the_model(model):
    batch = batches(1)[0]
    with torch.no_grad():
        encoded = model.encode(batch.x, batch.valid)
        wanted = model.token_scores(encoded.z, model.compressed(encoded, batch.reference))
    found = window_scores(model, Network(model), batch.x, batch.valid, batch.reference)
    torch.testing.assert_close(found, wanted)


def test_nncf_grid_is_symmetric_and_reaches_127(model, quantised):
    tensors = to_native_tensors(model, quantised.scales)
    for name, layer, _ in quantised_layers(model):
        q = tensors[f"{name}.weight"]
        assert q.dtype == np.int8 and q.min() >= -127 and q.max() <= 127
        assert (np.abs(q).max(1) == 127).all(), f"{name}: NNCF scales by each row's largest weight"
        error = np.abs(q * tensors[f"{name}.scale"][:, None] - layer.weight.detach().numpy())
        assert (error <= 0.5001 * tensors[f"{name}.scale"][:, None]).all()


def test_grid_without_nncf_is_the_same(model, quantised):
    """`export` needs no calibration data: it gives the file that `compress` gives."""
    with_nncf, without = to_native_tensors(model, quantised.scales), to_native_tensors(model)
    for name, value in with_nncf.items():
        np.testing.assert_allclose(value, without[name], rtol=1e-6, atol=0, err_msg=name)


def test_tensors_are_the_writers(model, quantised):
    check_tensors(complete_config(model.config.to_dict()), to_native_tensors(model, quantised.scales))


def test_nncf_result_rounds_activations(model, quantised):
    """The static stand-in is no float model."""
    batch = batches(1, start=5)[0]
    float_scores = window_scores(model, Network(model), batch.x, batch.valid, batch.reference)
    static = window_scores(model, quantised.network, batch.x, batch.valid, batch.reference)
    assert not torch.equal(float_scores, static)
    assert spearman(float_scores.numpy(), static.numpy()) > 0.95


def test_int8_keeps_the_order_of_scores(model, quantised):
    held_out = SIGNALS.kept_back(8)
    reference = Int8Reference(model.config, to_native_tensors(model, quantised.scales))
    int8, float32 = (live_scores(s, held_out) for s in (int8_scorer(reference), float_scorer(model)))
    assert agreement(int8, float32) >= 0.98


def test_fake_quantiser_stands_in_for_the_engine(model):
    """A layer gives what INT8 arithmetic gives, inside the block and only there."""
    torch.manual_seed(0)
    x = torch.randn(64, model.config.d_model)
    reference = Int8Reference(model.config, to_native_tensors(model))
    with torch.no_grad():
        exact = reference._layer("metric", x)
        before = model.metric(x)
        with fake_quantised(model):
            fake = model.metric(x)
        after = model.metric(x)
    torch.testing.assert_close(fake, exact, rtol=1e-4, atol=1e-5)
    assert torch.equal(before, after)
    assert (before - exact).abs().mean() > 20 * (fake - exact).abs().mean()


def test_reference_refuses_what_it_cannot_use(model):
    reference = Int8Reference(model.config, to_native_tensors(model))
    with pytest.raises(ValueError, match="at least 256 samples"):
        reference.calibrate(np.zeros((255, 1), np.float32))
    reference.calibrate(np.random.default_rng(0).standard_normal((400, 2)).astype(np.float32))
    with pytest.raises(ValueError, match="expected 2 channels, found 3"):
        reference.scores(np.zeros((100, 3), np.float32))
