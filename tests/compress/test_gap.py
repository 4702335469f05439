"""A gap in the reference: what fills it does not set the scale of the scores. docs/model.md, section 8, step 5."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("gguf", reason="the export extra is not installed")

from sanderling import Detector  # noqa: E402
from sanderling.signal.scale import whole_windows  # noqa: E402
from tests.compress.calibrations import of_engine, of_graph, of_reference  # noqa: E402

GAP = slice(700, 760)


def recording(samples=3000):
    rng = np.random.default_rng(0)
    x = np.sin(np.arange(samples) / 6) + 0.05 * rng.standard_normal(samples)
    x[2800:2830] = x[2700:2730][::-1] + 1
    return x.astype(np.float32)[:, None]


@pytest.mark.parametrize("gap", [slice(700, 720), GAP, slice(700, 900)])
def test_an_anomaly_is_found_whatever_is_missing_in_the_reference(gap):
    whole, x = recording(), recording()
    x[gap] = np.nan
    clean, gappy = (Detector.load().fit(y[:2000]).decision_function(whole)[2800:2860].max() for y in (whole, x))
    assert gappy > 0.8 * clean


@pytest.mark.parametrize("columns", [slice(0, 1), slice(0, 2)])
def test_three_implementations_leave_out_the_same_tokens(columns, native, tmp_path):
    x = np.concatenate([recording(1200), recording(1200)[::-1]], axis=1)[:, columns].copy()
    x[GAP, 0] = np.inf
    offset, tail = (of_engine(native, x, tmp_path, name) for name in ("offset", "tail"))
    tails = of_reference(native, x, tmp_path, "tails")
    # Tokens shifted by one move these by 2 %, one token less the threshold by 0.3 %; the oracle's rounding by 0.02 %.
    np.testing.assert_allclose(offset, [t.offset for t in tails], rtol=1e-3)
    np.testing.assert_allclose(tail, [t.spread for t in tails], rtol=1e-3)
    np.testing.assert_allclose(of_graph(native, x, tmp_path, "offset"), offset, atol=0.1)
    threshold = Detector.load(tmp_path / "calibrated.gguf").threshold_
    assert threshold == pytest.approx(float(of_reference(native, x, tmp_path, "threshold")), rel=1e-3)


def test_half_must_be_left():
    missing = np.zeros(800, bool)
    missing[405] = True
    assert np.flatnonzero(~whole_windows(missing, 10)).tolist() == list(range(50 - 10, 58 - 10))
    missing[200:640] = True
    assert whole_windows(missing, 10).all()
    missing[100:200] = True
    missing[:] = True
    assert whole_windows(missing, 10).all()
    assert len(whole_windows(missing, 10)) == 90
