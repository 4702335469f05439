"""Frames in numpy: the features of signals whose answer is known."""

import numpy as np
import pytest

from sanderling.signal.frames import FEATURES, LEVELS, TAPS, frames

RATE = 48_000
LENGTH = 480  # 10 ms
RMS = slice(0, LEVELS)


def gain(level: int, frequency: float) -> float:
    """|detail| of a sine through the filters up to `level`, from their frequency response."""

    def smooth(stride: int) -> complex:
        w = 2 * np.pi * frequency / RATE * stride
        return sum(tap * np.exp(-1j * w * k) for k, tap in enumerate(TAPS))

    response = 1 - smooth(2 ** (level - 1))
    for lower in range(level - 1):
        response *= smooth(2**lower)
    return abs(response)


@pytest.mark.parametrize("frequency", [600, 3000, 9000, 21000])
def test_a_sine_has_the_levels_of_its_frequency(frequency: int) -> None:
    x = 3 * np.sin(2 * np.pi * frequency * np.arange(20 * LENGTH) / RATE)
    last = frames(x[:, None], LENGTH)[-1]
    gains = np.array([gain(level, frequency) for level in range(1, LEVELS + 1)])
    wanted = np.log(3 / np.sqrt(2) * gains + 1e-12)
    heard = wanted > np.log(1e-3)
    assert heard.sum() >= 3
    np.testing.assert_allclose(last[RMS][heard], wanted[heard], atol=0.02)


def test_kurtosis_tells_noise_from_impacts() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((50 * LENGTH, 1))
    calm = frames(x, LENGTH)[:, -1]
    x[::LENGTH] += 15
    hit = frames(x, LENGTH)[:, -1]
    assert np.median(calm) == pytest.approx(np.log(3), abs=0.3)  # Gaussian, the largest of five levels
    assert np.median(hit) > np.median(calm) + 1
    assert hit.max() <= np.log(LENGTH)


def test_level_is_the_logarithm_of_the_scale() -> None:
    x = np.random.default_rng(1).standard_normal((10 * LENGTH, 2))
    difference = frames(10 * x, LENGTH) - frames(x, LENGTH)
    kurtosis = np.arange(difference.shape[1]) % len(FEATURES) == len(FEATURES) - 1
    np.testing.assert_allclose(difference[:, ~kurtosis], np.log(10), atol=1e-5)
    np.testing.assert_allclose(difference[:, kurtosis], 0, atol=1e-5)


def test_silence_is_finite_and_a_floor() -> None:
    rows = frames(np.zeros((3 * LENGTH, 1)), LENGTH)
    np.testing.assert_allclose(rows[:, :-1], 0.5 * np.log(1e-24), rtol=1e-6)
    np.testing.assert_allclose(rows[:, -1], np.log(3), rtol=1e-6)


def test_missing_values() -> None:
    x = np.random.default_rng(2).standard_normal((8 * LENGTH, 1))
    whole = frames(x, LENGTH)
    x[2 * LENGTH : 2 * LENGTH + LENGTH // 2] = np.nan
    x[5 * LENGTH : 5 * LENGTH + LENGTH // 2 + 1] = np.inf
    rows = frames(x, LENGTH)
    assert np.isnan(rows).all(axis=1).tolist() == [False] * 5 + [True] + [False] * 2
    assert np.isnan(rows).any(axis=1).sum() == 1
    assert rows[:2].tobytes() == whole[:2].tobytes()  # causal
    assert np.abs(rows[2] - whole[2]).max() < 0.5  # half the noise tells about as much


def test_the_last_samples_wait_for_their_frame() -> None:
    x = np.random.default_rng(3).standard_normal((3 * LENGTH + LENGTH - 1, 1))
    assert frames(x, LENGTH).shape == (3, len(FEATURES))


@pytest.mark.parametrize(("shape", "samples"), [((100,), 16), ((100, 1), 15), ((100, 1), 0)])
def test_refused(shape: tuple[int, ...], samples: int) -> None:
    with pytest.raises(ValueError, match="expected values"):
        frames(np.zeros(shape), samples)
