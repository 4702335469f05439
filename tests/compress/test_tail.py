"""From s_bar to the score: the numpy reference, the torch network, and what docs/model.md promises."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from sanderling.compress.tail import held, positive, tail_of  # noqa: E402
from sanderling.model import SIZES, Sanderling  # noqa: E402
from sanderling.model.components import erratic_share  # noqa: E402


def s_bar(tokens: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).gamma(2.0, 0.5, tokens).astype(np.float32)


def test_network_and_reference_agree():
    model = Sanderling(SIZES["micro"])
    s, reference = s_bar(400, 1), 200
    tail = tail_of(s[model.warm_up(reference) : reference])
    found = model.channel_scores(torch.from_numpy(s)[None, None], reference)[0, 0]
    np.testing.assert_allclose(found, held(positive(tail.values(s))), rtol=1e-5)


def test_a_peak_decays_and_hides_no_higher_one():
    scores = np.array([1, 5, 1, 1, 6, 1], np.float32)
    np.testing.assert_allclose(held(scores), [1, 5, 4.5, 4.05, 6, 5.4], rtol=1e-6)


def test_a_channel_is_scaled_by_its_tail_but_never_up_without_bound():
    wide = 4 * s_bar(1000, 2)
    assert tail_of(wide).spread > 1
    still = tail_of(np.full(100, 2, np.float32))
    assert (still.offset, still.spread) == (2, 0.5)


@pytest.mark.parametrize(
    ("distance", "variation", "share"), [(1.0, 1.0, 0.0), (4.2, 1.0, 0.5), (6.0, 1.0, 1.0), (0.5, 0.01, 0.0)]
)
def test_the_share_of_variation_grows_with_what_the_reference_does_not_predict(distance, variation, share):
    center = torch.zeros(8)
    center[2], center[7] = distance, variation
    assert float(erratic_share(center)) == pytest.approx(share, abs=1e-6)
