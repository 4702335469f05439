"""Batch scores that may wait for what follows."""

import json

import numpy as np
import pytest

import sanderling
from sanderling.cli.main import main
from sanderling.errors import InputError
from sanderling.runtime.hindsight import with_hindsight


def direct(scores, hindsight, patch):
    return [
        np.nan if np.isnan(s) else np.nanmean(scores[i : i + hindsight + 1 : patch]) for i, s in enumerate(scores)
    ]


@pytest.mark.parametrize("hindsight", [0, 8, 24, 512])
def test_a_score_is_the_mean_with_those_that_follow_it(hindsight):
    rng = np.random.default_rng(0)
    scores = rng.uniform(size=100).astype(np.float32)
    scores[30:41] = scores[-1] = np.nan
    found = with_hindsight(scores, hindsight, 8, 0)
    np.testing.assert_allclose(found, direct(scores, hindsight, 8), rtol=1e-6)
    kept = with_hindsight(scores, hindsight, 8, 20)
    assert np.array_equal(kept[:20], scores[:20]) and np.array_equal(kept[20:], found[20:], equal_nan=True)
    assert with_hindsight(scores[:0], hindsight, 8, 0).shape == (0,)


def recording(samples=1500):
    x = np.sin(np.arange(samples) / 5)[:, None] + np.random.default_rng(1).normal(0, 0.05, (samples, 1))
    x[1200:1240] += 3
    return x.astype(np.float32)


@pytest.mark.parametrize("calibrated", [True, False])
def test_every_batch_method_has_it_and_the_stream_does_not(calibrated):
    x = recording()
    plain, late = sanderling.Detector.load(), sanderling.Detector.load(hindsight=64)
    if calibrated:
        plain.fit(x[:1000]), late.fit(x[:1000])
    now = plain.decision_function(x)
    then = late.decision_function(x)
    np.testing.assert_allclose(then, with_hindsight(now, 64, 8, 0 if calibrated else 512), rtol=1e-6)
    # What the event's end tells is known at its beginning.
    assert then[1200:1208].mean() > 2 * now[1184:1192].mean()
    assert np.array_equal(late.explain(x).scores, then)
    assert np.array_equal(late.predict(x), (then > late.threshold_).astype(np.int8))
    stream = late.stream()
    assert np.array_equal(np.concatenate([stream.update(x), stream.flush()]), now)


def test_frames_wait_for_whole_frames():
    x = np.random.default_rng(2).normal(size=(64 * 600, 1)).astype(np.float32)
    wanted = {"period_s": 1 / 6400, "frame_ms": 10.0}
    now = sanderling.Detector.load(**wanted).decision_function(x)
    then = sanderling.Detector.load(**wanted, hindsight=16).decision_function(x)
    np.testing.assert_allclose(then, with_hindsight(now, 16 * 64, 8 * 64, 512 * 64), rtol=1e-6)
    assert not then[: 512 * 64].any() and then[512 * 64 :].all()


@pytest.mark.parametrize("wrong", [-8, 4, 520, 8.0, True, "8"])
def test_what_is_no_number_of_patches_is_refused(wrong):
    with pytest.raises(InputError, match="hindsight from 0 to 512 samples in steps of 8, found"):
        sanderling.Detector.load(hindsight=wrong)


def test_score_takes_it(tmp_path, capsys):
    file = tmp_path / "x.csv"
    np.savetxt(file, recording(), header="value", comments="")
    assert main(["score", str(file), "--hindsight", "64", "--json", str(tmp_path / "late.json")]) == 0
    late = json.loads((tmp_path / "late.json").read_text())
    expected = sanderling.Detector.load(hindsight=64).decision_function(recording())
    np.testing.assert_allclose(late["scores"], expected, rtol=1e-5)
    capsys.readouterr()
    assert main(["score", str(file), "--hindsight", "63"]) == 2
    assert "steps of 8, found 63" in capsys.readouterr().err
