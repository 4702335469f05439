"""Channels of payments against a plain count, and each pattern visible in the channel that is for it."""

import numpy as np
import pytest

from sanderling.uses.payment_channels import QUICK, STEP, View, habits, views
from sanderling.uses.simulate_payments import DAY, Payments, Plan, simulate

PLAN = Plan(customers=240, districts=4, terminals=16, days=36, history_days=10, clean_days=20, incidents=(8, 4, 6))


@pytest.fixture(scope="module")
def payments() -> Payments:
    return simulate(5, PLAN)


@pytest.fixture(scope="module")
def both(payments: Payments) -> tuple[View, View]:
    return views(payments)


def channel(view: View, name: str) -> np.ndarray:
    return view.x[:, :, view.channels.index(name)]


def lift(view: View, name: str, fraud: int) -> float:
    """How far the mean of a channel in steps with a pattern lies above its clean mean, in its clean deviations."""
    first, last = (int(days * DAY / STEP) for days in (PLAN.history_days, PLAN.clean_days))
    values = channel(view, name)
    clean = values[:, first:last]
    marked = values[view.truth[:, :, fraud] > 0]
    return float((np.nanmean(marked) - np.nanmean(clean)) / np.nanstd(clean))


def test_shapes_and_totals(payments: Payments, both: tuple[View, View]) -> None:
    steps = int(PLAN.days * DAY / STEP)
    customers, terminals = both
    assert customers.x.shape == (4, steps, 5) and terminals.x.shape == (16, steps, 4)
    for view in both:
        assert view.x.dtype == np.float32
        assert channel(view, "payments").sum() == len(payments.time) == view.truth.sum()
        assert [view.truth[:, :, k].sum() for k in range(4)] == np.bincount(payments.fraud, minlength=4).tolist()
    quiet = channel(terminals, "payments") == 0
    assert np.array_equal(np.isnan(channel(terminals, "mean_log_amount")), quiet)
    assert np.isfinite(customers.x).all()


def test_one_step_by_hand(payments: Payments, both: tuple[View, View]) -> None:
    p, (_, terminals) = payments, both
    terminal, step = 3, int(25.5 * DAY / STEP)
    here = (p.terminal == terminal) & (p.time >= step * STEP) & (p.time < (step + 1) * STEP)
    count, size, small, new = terminals.x[terminal, step]
    before = p.time < PLAN.history_days * DAY
    seen = set(p.customer[before & (p.terminal == terminal)])
    assert count == here.sum() and small == (p.amount[here] < 3).sum()
    assert new == sum(customer not in seen for customer in p.customer[here])
    assert here.any() and size == pytest.approx(np.log(p.amount[here]).mean(), rel=1e-5)


def test_quick_repeats_by_hand(payments: Payments) -> None:
    p, quick = payments, habits(payments).quick
    for customer in range(0, PLAN.customers, 40):
        at = np.flatnonzero(p.customer == customer)
        assert np.array_equal(quick[at][1:], np.diff(p.time[at]) <= QUICK) and not quick[at[0]]


def test_habits_know_nothing_of_later_days(payments: Payments) -> None:
    p = payments
    cut = int(np.searchsorted(p.time, PLAN.clean_days * DAY))
    parts = [a[:cut] for a in (p.time, p.customer, p.terminal, p.amount, p.fraud, p.incident)]
    short, whole = habits(Payments(*parts, p.district, p.plan)), habits(p)
    for name in ("excess", "surprise", "quick", "new"):
        assert np.array_equal(getattr(short, name), getattr(whole, name)[:cut])


def test_each_pattern_shows_in_its_channels(both: tuple[View, View]) -> None:
    customers, terminals = both
    assert min(lift(customers, name, 1) for name in ("largest_excess", "new_terminals", "quick_repeats")) > 1
    assert min(lift(customers, name, 3) for name in ("new_terminals", "odd_hours")) > 1
    assert min(lift(terminals, name, 2) for name in ("payments", "small_amounts", "new_cards")) > 1
    assert lift(terminals, "mean_log_amount", 2) < -1
