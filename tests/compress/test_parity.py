"""The torch INT8 reference against the C++ engine: two implementations of docs/model.md on the same integers."""

from __future__ import annotations

import os

import numpy as np
import pytest
from sanderling.export.native import complete_config

from sanderling.compress.int8 import Int8Reference
from sanderling.compress.quality import spearman
from sanderling.model import ModelConfig
from tests.compress.recordings import generated, real, wandering
from tests.helpers.random_model import DEFAULT, random_tensors, write_random_native

core = pytest.importorskip("sanderling._core")

MODELS = {
    "micro": (0, {}),
    "uneven": (1, {"d_model": 128, "n_heads": [3, 1, 2], "ffn": [160, 64, 96], "scorer_hidden": 96, "top_k": 2}),
}


def with_gaps() -> np.ndarray:
    """Short and long gaps, a channel that starts late, every channel missing at once, an infinity."""
    x = generated(3000, 3, seed=3)
    x[100:110, 0] = x[1500:1600, 1] = x[:40, 2] = x[2000:2100] = np.nan
    x[700, 0] = np.inf
    return x


RECORDINGS = {
    "one channel, a tail": (generated(4003, 1, seed=1), 1500),
    "five channels": (generated(3001, 5, seed=2), 1000),
    "gaps": (with_gaps(), 1000),
    "wandering": (wandering(2400), 1200),
    "constant": (np.full((1200, 1), 3.0, np.float32), 600),
}


def engine(path: str, x: np.ndarray, reference: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, float]:
    """Scores, scores a channel and threshold of the C++ core."""
    model = core.Model.open(path, "")
    if reference is not None:
        model = model.calibrate(np.ascontiguousarray(reference), False, 1.0, 0.0)
    stream = core.Stream(model, x.shape[1], 1.0, 0.0)
    parts = [stream.update(x, blame=True), stream.flush(blame=True)]
    threshold = stream.threshold
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]), threshold


def assert_agree(found: np.ndarray, wanted: np.ndarray) -> None:
    """Spearman >= 0.999 and at most 2 % of the 1-99 % range apart; NaN at the same places."""
    np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted))
    a, b = (v[~np.isnan(v)].ravel() for v in (found, wanted))
    low, high = np.percentile(b, [1, 99])
    if high == low:
        np.testing.assert_allclose(a, b, rtol=1e-5)
        return
    assert np.abs(a - b).max() <= 0.02 * (high - low)
    assert spearman(a, b) >= 0.999


def reference_of(name: str) -> Int8Reference:
    seed, changes = MODELS[name]
    keys = complete_config({**DEFAULT, **changes})
    config = ModelConfig.from_dict({k: v for k, v in keys.items() if k not in ("version", "variant")})
    return Int8Reference(config, random_tensors({**DEFAULT, **changes}, seed))


@pytest.fixture(scope="module", params=sorted(MODELS))
def pair(request, tmp_path_factory):
    seed, changes = MODELS[request.param]
    path = tmp_path_factory.mktemp("parity") / f"{request.param}.gguf"
    write_random_native(path, seed, **changes)
    return request.param, str(path)


@pytest.mark.parametrize("recording", sorted(RECORDINGS))
@pytest.mark.parametrize("calibrated", (False, True), ids=("cold", "calibrated"))
def test_generated(pair, recording, calibrated):
    name, path = pair
    x, end = RECORDINGS[recording]
    check(name, path, x, x[:end] if calibrated else None)


def check(name: str, path: str, x: np.ndarray, part: np.ndarray | None) -> None:
    reference = reference_of(name)
    scores, channel_scores, threshold = engine(path, x, part)
    if part is not None:
        reference.calibrate(part)
    own = reference.cold_threshold(x) if part is None else reference.threshold
    assert_agree(reference.scores(x), scores)
    assert_agree(reference.channel_scores(x).T, channel_scores.T)
    assert own == pytest.approx(threshold, rel=0.02)


@pytest.mark.skipif(not os.environ.get("SANDERLING_DATA"), reason="SANDERLING_DATA is not set")
@pytest.mark.parametrize("calibrated", (False, True), ids=("cold", "calibrated"))
def test_real(pair, calibrated):
    for _, x, end in real():
        check(*pair, x, x[:end] if calibrated else None)


def test_short_recording_scores_zero(pair):
    name, path = pair
    x = generated(300, 2)
    scores, _, _ = engine(path, x, None)
    assert not scores.any() and scores.shape == (300,)
    np.testing.assert_array_equal(reference_of(name).scores(x), scores)
