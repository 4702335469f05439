"""Simulated card payments with three fraud patterns. Nothing here is real data: every table made of it says SIMULATED.

Customers live in districts, pay at a few terminals that they like (mostly of their district) and now and then at any
other, at amounts that depend on the terminal's kind and on themselves, and at hours that follow their habit (early,
usual, late); payments of a day are Poisson, more at weekends. The first `clean_days` have no fraud (of them, the first
`history_days` only show what each customer is used to); after them, incidents begin at random times:

| pattern | what is added |
|---|---|
| stolen card | 8 to 15 payments of one card within 1 to 3 hours, at any terminals, of 4 to 10 times the usual amount |
| compromised terminal | for 12 to 36 hours 6 to 12 payments an hour of 0.5 to 2.5 at one terminal, by random cards |
| account takeover | for 3 to 5 days 4 to 8 payments a day from 0 to 5 h, at new terminals, of 1 to 2 times the usual |

The numbers are chosen to be plausible and to span easy and hard; they are fitted to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sanderling.errors import InputError

PATTERNS = ("stolen card", "compromised terminal", "account takeover")  # fraud 1, 2, 3
KIND_AMOUNTS = (28.0, 52.0, 20.0, 150.0, 5.0)  # median of groceries, fuel, restaurants, electronics, kiosks
AMOUNT_SPREAD = 0.45  # of the logarithm
FAVOURED = 6  # terminals of a customer
LOCAL = 0.8  # share of them in the customer's district
HABITS = ((9.0, 2.5), (14.0, 4.0), (19.0, 2.5))  # hour and spread of each habit's day
WANDERING = 0.05  # share of payments at any terminal
WEEKEND = 1.3
DAY = 86_400.0


@dataclass(frozen=True)
class Plan:
    """Sizes of a simulation. incidents: of each of `PATTERNS`. rate: payments a customer and day, on average."""

    customers: int = 1200
    districts: int = 12
    terminals: int = 48
    days: int = 80
    history_days: int = 20
    clean_days: int = 50
    rate: float = 2.0
    incidents: tuple[int, int, int] = (24, 12, 16)


@dataclass(frozen=True)
class Payments:
    """Arrays (payments,) in time order: time float64 (seconds since the start), customer, terminal int64, amount
    float64, fraud int8 (0 none, else 1 + index in PATTERNS), incident int64 (-1 none, else running number). district
    (customers,): each customer's.
    """

    time: np.ndarray
    customer: np.ndarray
    terminal: np.ndarray
    amount: np.ndarray
    fraud: np.ndarray
    incident: np.ndarray
    district: np.ndarray
    plan: Plan


@dataclass(frozen=True)
class _City:
    """kind (terminals,), likes (customers, FAVOURED), habit, purse, rate (customers,): see the module's text."""

    kind: np.ndarray
    likes: np.ndarray
    habit: np.ndarray
    purse: np.ndarray
    rate: np.ndarray

    def amounts(self, rng: np.random.Generator, customer: np.ndarray, terminal: np.ndarray) -> np.ndarray:
        usual = np.asarray(KIND_AMOUNTS)[self.kind[terminal]] * self.purse[customer]
        return usual * np.exp(AMOUNT_SPREAD * rng.standard_normal(len(customer)))


def simulate(seed: int = 0, plan: Plan | None = None) -> Payments:
    """Payments of a plan; the same seed and plan give the same payments. InputError for a plan without room."""
    plan = plan or Plan()
    room = 0 < plan.history_days < plan.clean_days < plan.days - 6
    if not room or plan.terminals < max(plan.districts, 2 * FAVOURED):
        raise InputError(f"expected fraud to have more than 6 days and each district a terminal, found {plan}")
    rng = np.random.default_rng(seed)
    district = np.arange(plan.customers) % plan.districts
    city = _build(rng, plan, district)
    parts = [_ordinary(rng, plan, city)]
    number = 0
    for pattern, (count, make) in enumerate(zip(plan.incidents, (_stolen, _compromised, _takeover), strict=True), 1):
        for _ in range(count):
            time, customer, terminal, amount = make(rng, plan, city)
            marks = np.full(len(time), pattern), np.full(len(time), number)
            parts.append((time, customer, terminal, amount, *marks))
            number += 1
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.argsort(columns[0], kind="stable")
    time, customer, terminal, amount, fraud, incident = (column[order] for column in columns)
    return Payments(time, customer, terminal, np.round(amount, 2), fraud.astype(np.int8), incident, district, plan)


def _build(rng: np.random.Generator, plan: Plan, district: np.ndarray) -> _City:
    place = np.arange(plan.terminals) % plan.districts
    likes = np.empty((plan.customers, FAVOURED), np.int64)
    for customer, home in enumerate(district):
        weight = np.where(place == home, LOCAL / (place == home).sum(), (1 - LOCAL) / (place != home).sum())
        likes[customer] = rng.choice(plan.terminals, FAVOURED, replace=False, p=weight / weight.sum())
    spread = 0.3
    return _City(
        kind=rng.integers(0, len(KIND_AMOUNTS), plan.terminals),
        likes=likes,
        habit=rng.integers(0, len(HABITS), plan.customers),
        purse=np.exp(spread * rng.standard_normal(plan.customers)),
        rate=plan.rate * np.exp(spread * rng.standard_normal(plan.customers)),
    )


def _ordinary(rng: np.random.Generator, plan: Plan, city: _City) -> tuple[np.ndarray, ...]:
    weekend = np.where(np.arange(plan.days) % 7 >= 5, WEEKEND, 1.0)
    counts = rng.poisson(city.rate[:, None] * weekend)
    customer = np.repeat(np.arange(plan.customers), counts.sum(axis=1))
    day = np.concatenate([np.repeat(np.arange(plan.days), row) for row in counts])
    centre, width = np.asarray(HABITS).T
    # An hour past midnight belongs to the same day's other end: a few payments at night, as everywhere.
    hour = (centre[city.habit[customer]] + width[city.habit[customer]] * rng.standard_normal(len(day))) % 24
    terminal = city.likes[customer, rng.integers(0, FAVOURED, len(day))]
    terminal = np.where(rng.random(len(day)) < WANDERING, rng.integers(0, plan.terminals, len(day)), terminal)
    none = np.zeros(len(day), np.int64)
    return day * DAY + hour * 3600, customer, terminal, city.amounts(rng, customer, terminal), none, none - 1


def _start(rng: np.random.Generator, plan: Plan, lasting: float) -> float:
    """A random time after the clean days, early enough for `lasting` seconds."""
    return float(rng.uniform(plan.clean_days * DAY, plan.days * DAY - lasting))


def _stolen(rng: np.random.Generator, plan: Plan, city: _City) -> tuple[np.ndarray, ...]:
    count, lasting = int(rng.integers(8, 16)), rng.uniform(1, 3) * 3600
    time = _start(rng, plan, lasting) + np.sort(rng.uniform(0, lasting, count))
    customer = np.full(count, rng.integers(plan.customers))
    terminal = rng.integers(0, plan.terminals, count)
    return time, customer, terminal, city.amounts(rng, customer, terminal) * rng.uniform(4, 10, count)


def _compromised(rng: np.random.Generator, plan: Plan, city: _City) -> tuple[np.ndarray, ...]:
    lasting = rng.uniform(12, 36) * 3600
    count = max(1, int(lasting / 3600 * rng.uniform(6, 12)))
    time = _start(rng, plan, lasting) + np.sort(rng.uniform(0, lasting, count))
    terminal = np.full(count, rng.integers(plan.terminals))
    return time, rng.integers(0, plan.customers, count), terminal, rng.uniform(0.5, 2.5, count)


def _takeover(rng: np.random.Generator, plan: Plan, city: _City) -> tuple[np.ndarray, ...]:
    days = int(rng.integers(3, 6))
    first = int(rng.integers(plan.clean_days, plan.days - days))
    counts = rng.integers(4, 9, days)
    time = np.concatenate([np.sort(rng.uniform(0, 5, n)) * 3600 + (first + i) * DAY for i, n in enumerate(counts)])
    who = int(rng.integers(plan.customers))
    customer = np.full(len(time), who)
    strange = np.setdiff1d(np.arange(plan.terminals), city.likes[who])
    terminal = rng.choice(strange, len(time))
    return time, customer, terminal, city.amounts(rng, customer, terminal) * rng.uniform(1, 2, len(time))
