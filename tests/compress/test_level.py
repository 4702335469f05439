"""How much of its level a channel's raw windows lose: four implementations of docs/model.md, section 8, step 2."""

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")
gguf = pytest.importorskip("gguf", reason="the export extra is not installed")


from sanderling.model import ModelConfig  # noqa: E402
from sanderling.model.components import RawWindows  # noqa: E402
from sanderling.signal.scale import apply_scale, fit_scale, squash  # noqa: E402
from tests.compress.calibrations import of_engine, of_graph, of_reference  # noqa: E402
from tests.compress.recordings import wandering  # noqa: E402


def of_network(path, x, folder, name):
    tokens, config = len(x) // 8, ModelConfig(d_model=64, n_heads=(2, 1), ffn=(96, 64))
    y = torch.from_numpy(squash(apply_scale(x, *fit_scale(x))).T.copy())[None]
    return RawWindows(config, y, tokens).level(min(config.n_layers * config.window, tokens // 4))[0].numpy()


@pytest.mark.parametrize("way", [of_engine, of_reference, of_graph, of_network])
def test_a_level_that_never_comes_back_is_taken_out_and_a_steady_one_kept(way, native, tmp_path):
    x = wandering(1200)
    level = way(native, x, tmp_path, "level")
    assert level.shape == (2,)
    assert level[1] == 0
    # Quantised windows differ by a little from float ones.
    assert level[0] == pytest.approx(of_reference(native, x, tmp_path, "level")[0], abs=0.02)
    assert 0.3 < level[0] <= 0.75


def test_what_is_taken_out_no_longer_counts(native):
    x = wandering(1200)
    y = torch.from_numpy(squash(apply_scale(x, *fit_scale(x))).T.copy())[None]
    raw = RawWindows(ModelConfig(d_model=64, n_heads=(2, 1), ffn=(96, 64)), y, 150)
    moved = RawWindows(raw.config, y + 0.7, 150)
    moved.rows = raw.rows
    whole = torch.ones(1, 2)
    torch.testing.assert_close(moved.distance(whole, False), raw.distance(whole, False), atol=2e-3, rtol=1e-3)
    # The steady channel was never at such a level.
    assert (moved.distance(0 * whole, False) > raw.distance(0 * whole, False) + 1)[0, 1].float().mean() > 0.9
