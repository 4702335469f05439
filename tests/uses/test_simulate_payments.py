"""The simulated payments: the same for a seed, clean where they say so, and each pattern is what its text says."""

import numpy as np
import pytest

from sanderling.errors import InputError
from sanderling.uses.simulate_payments import DAY, HABITS, KIND_AMOUNTS, Payments, Plan, simulate

SMALL = Plan(customers=120, districts=4, terminals=16, days=40, history_days=10, clean_days=24, incidents=(6, 4, 5))


@pytest.fixture(scope="module")
def payments() -> Payments:
    return simulate(3, SMALL)


def incidents(p: Payments, fraud: int) -> list[np.ndarray]:
    """Indices of the payments of every incident of one pattern."""
    return [np.flatnonzero(p.incident == number) for number in np.unique(p.incident[p.fraud == fraud])]


def test_a_seed_gives_the_same_payments(payments: Payments) -> None:
    again, other = simulate(3, SMALL), simulate(4, SMALL)
    for name in ("time", "customer", "terminal", "amount", "fraud", "incident"):
        assert np.array_equal(getattr(payments, name), getattr(again, name))
    assert len(other.time) != len(payments.time)


def test_time_order_and_ranges(payments: Payments) -> None:
    p = payments
    assert (np.diff(p.time) >= 0).all() and p.time[0] >= 0 and p.time[-1] < SMALL.days * DAY
    assert p.customer.max() < SMALL.customers and p.terminal.max() < SMALL.terminals
    assert (p.amount > 0).all() and set(np.unique(p.fraud)) == {0, 1, 2, 3}
    ordinary = p.fraud == 0
    assert (p.incident[ordinary] == -1).all() and (p.incident[~ordinary] >= 0).all()
    by_customer = ordinary.sum() / SMALL.customers / SMALL.days
    assert 0.8 * SMALL.rate < by_customer < 1.4 * SMALL.rate


def test_fraud_is_rare_and_never_in_the_clean_days() -> None:
    p = simulate(0)
    assert 0.005 < (p.fraud > 0).mean() < 0.03
    assert p.time[p.fraud > 0].min() >= p.plan.clean_days * DAY
    assert [len(incidents(p, kind)) for kind in (1, 2, 3)] == list(p.plan.incidents)


def test_ordinary_payments_have_kinds_hours_and_weekends(payments: Payments) -> None:
    p = payments
    good = p.fraud == 0
    medians = [np.median(p.amount[good & (p.terminal == t)]) for t in range(SMALL.terminals)]
    assert max(medians) / min(medians) > 0.5 * max(KIND_AMOUNTS) / min(KIND_AMOUNTS)
    hour = p.time[good] % DAY / 3600
    night = ((hour > 1) & (hour < 4)).mean()
    assert 0 < night < 0.03 and abs(np.median(hour) - np.mean(HABITS, axis=0)[0]) < 2
    day = (p.time[good] // DAY).astype(int)
    counts = np.bincount(day, minlength=SMALL.days)
    weekend = np.arange(SMALL.days) % 7 >= 5
    assert counts[weekend].mean() > 1.15 * counts[~weekend].mean()


def test_stolen_cards_pay_much_in_a_burst(payments: Payments) -> None:
    p = payments
    for at in incidents(p, 1):
        assert len(np.unique(p.customer[at])) == 1 and 8 <= len(at) <= 15
        assert np.ptp(p.time[at]) <= 3 * 3600
        own = p.amount[(p.customer == p.customer[at[0]]) & (p.fraud == 0)]
        assert np.exp(np.log(p.amount[at]).mean() - np.log(own).mean()) > 2


def test_compromised_terminals_take_many_small_amounts(payments: Payments) -> None:
    p = payments
    for at in incidents(p, 2):
        assert len(np.unique(p.terminal[at])) == 1 and len(np.unique(p.customer[at])) > 10
        assert (p.amount[at] <= 2.5).all() and 12 * 6 * 0.9 <= len(at) <= 36 * 12
        assert np.ptp(p.time[at]) <= 36 * 3600


def test_takeovers_change_hours_and_merchants(payments: Payments) -> None:
    p = payments
    for at in incidents(p, 3):
        customer = p.customer[at[0]]
        assert (p.customer[at] == customer).all() and (p.time[at] % DAY < 5 * 3600).all()
        assert 3 <= len(np.unique(p.time[at] // DAY)) <= 5
        own = p.terminal[(p.customer == customer) & (p.fraud == 0)]
        favoured = np.argsort(-np.bincount(own, minlength=SMALL.terminals))[:3]
        assert not np.isin(p.terminal[at], favoured).any()


@pytest.mark.parametrize("plan", [Plan(clean_days=76), Plan(history_days=60), Plan(terminals=8), Plan(history_days=0)])
def test_a_plan_without_room_is_refused(plan: Plan) -> None:
    with pytest.raises(InputError, match="expected fraud to have more than 6 days"):
        simulate(0, plan)
