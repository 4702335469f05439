"""Intervals against what is known of a mean's spread."""

import numpy as np
import pytest

from sanderling.evaluate.bootstrap import interval, interval_of_ratio, interval_over_sets

NAN = float("nan")


def test_width_is_that_of_a_mean():
    values = np.random.default_rng(0).normal(0.5, 0.2, 400)
    low, high = interval(values)
    # 400 values: the normal approximation holds; 2,000 draws place the quantiles within a tenth of it.
    half = 1.96 * values.std() / 20
    assert high - values.mean() == pytest.approx(half, rel=0.1)
    assert values.mean() - low == pytest.approx(half, rel=0.1)


def test_the_same_each_time_and_undefined_values_left_out():
    values = [0.1, None, 0.9, NAN, 0.4]
    assert interval(values) == interval([0.1, 0.9, 0.4])
    many = np.random.default_rng(2).random(50)
    assert interval(many, seed=1) != interval(many) == interval(many, seed=0)
    assert interval([0.3, 0.3, 0.3]) == pytest.approx((0.3, 0.3))


@pytest.mark.parametrize("values", [[], [0.5], [NAN, None, 0.5]])
def test_one_value_has_no_interval(values):
    assert np.isnan(interval(values)).all()


def test_over_sets_the_spread_shrinks_with_the_sets():
    rng = np.random.default_rng(1)
    sets = [rng.normal(0.5, 0.2, 100) for _ in range(4)]
    low, high = interval_over_sets(sets)
    mean = np.mean([s.mean() for s in sets])
    # Independent sets: the errors of four means add up as squares, so half of one set's. Drawn alike they would not.
    half = 1.96 * np.sqrt(sum(s.var() / 100 for s in sets)) / 4
    assert (high - low) / 2 == pytest.approx(half, rel=0.1) and low < mean < high
    single = interval_over_sets([sets[0], [0.7], []])
    alone = interval(sets[0])
    assert single[1] - single[0] == pytest.approx((alone[1] - alone[0]) / 2)
    assert np.isnan(interval_over_sets([[0.1], [0.9]])).all()


def test_ratio_draws_pairs():
    # Every pair has the ratio 2: drawn together there is no spread at all.
    assert interval_of_ratio([2, 4, 60], [1, 2, 30]) == pytest.approx((2, 2))
    low, high = interval_of_ratio([0, 4, 1, 0, 3], [1, 1, 1, 1, 1])
    assert low < 1.6 < high
    assert np.isnan(interval_of_ratio([1], [1])).all()
