"""Raw distance of docs/model.md, section 6, against its definition in numpy: two windows, each with its nearest row."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("gguf", reason="the export extra is not installed")

from sanderling.export.reading import read_native  # noqa: E402

from sanderling import Detector  # noqa: E402
from sanderling.signal.scale import apply_scale, squash  # noqa: E402
from tests.helpers.random_model import write_random_native  # noqa: E402

REFERENCE, SPIKE = 1600, 2000


def recording():
    rng = np.random.default_rng(3)
    x = np.sin(np.arange(2400) / 6) + 0.02 * rng.standard_normal(2400)
    x[SPIKE : SPIKE + 4] += 4
    return x.astype(np.float32)[:, None]


def nearest(y, ends, samples):
    """Squared distance (tokens,) of the windows that end with each patch to the nearest of those that end at `ends`."""
    age = np.arange(1, samples + 1) / samples
    windows = np.lib.stride_tricks.sliding_window_view(np.concatenate([np.full(samples - 1, y[0]), y]), samples)
    windows = windows * age * np.sqrt(192 / samples)
    own, rows = windows[7::8], windows[ends]
    return (np.square(own).sum(1)[:, None] + np.square(rows).sum(1) - 2 * own @ rows.T).min(1).clip(0)


@pytest.fixture(scope="module")
def distances(tmp_path_factory):
    """Of the engine, of the definition, and of the long window alone: (tokens,) each."""
    folder = tmp_path_factory.mktemp("short")
    write_random_native(folder / "random.gguf", 0)
    x = recording()
    detector = Detector.load(folder / "random.gguf").fit(x[:REFERENCE])
    detector.save(folder / "calibrated.gguf")
    t = read_native(folder / "calibrated.gguf").tensors
    assert t["cal.level"][0] == 0
    log = detector.explain(x).components[:, 0, 2].astype(np.float64)
    found = np.sign(log) * np.expm1(np.abs(log)) * t["cal.comp_spread"][0, 2] + t["cal.comp_center"][0, 2]
    y = squash(apply_scale(x, t["cal.location"], t["cal.spread"]))[:, 0].astype(np.float64)
    long, short = (nearest(y, t["cal.raw_pos"], n) for n in (64, 16))
    return found, np.sqrt((long + short) / 2), np.sqrt(long)


def test_it_is_the_root_mean_square_of_two_distances_to_the_nearest(distances):
    found, defined, _ = distances
    new = slice(REFERENCE // 8 + 8, None)
    # The soft minimum lies a little above the least, by tau times a few nats; rows are INT8.
    np.testing.assert_allclose(np.square(found[new]), np.square(defined[new]), atol=0.1, rtol=0.03)
    assert found[SPIKE // 8] > 10 * np.median(found)


def test_a_short_anomaly_is_over_when_the_short_window_has_left_it(distances):
    found, _, long = distances
    after = SPIKE // 8 + 4  # the long window still holds the spike, the short one no longer
    assert found[after] < 0.8 * long[after]
    assert long[after] > 3 * np.median(long)
