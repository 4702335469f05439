"""Payments as signals: channels of a district's customers and of a terminal, one sample a time step.

What a customer is used to comes from the history days alone, so that every channel can be computed as payments arrive,
and so that the clean days after them, which calibrate, look as later days do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sanderling.uses.simulate_payments import DAY, Payments

STEP = 1800.0  # seconds a sample: a patch of 8 is 4 hours
SMALL = 3.0  # an amount that only tests a card
QUICK = 1200.0  # seconds between two payments of one card
CUSTOMER_CHANNELS = ("payments", "largest_excess", "new_terminals", "odd_hours", "quick_repeats")
TERMINAL_CHANNELS = ("payments", "mean_log_amount", "small_amounts", "new_cards")


@dataclass(frozen=True)
class View:
    """x (entities, steps, channels) float32, NaN where no payment says anything; truth (entities, steps, 4) int64:
    payments of each value of `Payments.fraud`.
    """

    name: str
    channels: tuple[str, ...]
    x: np.ndarray
    truth: np.ndarray


@dataclass(frozen=True)
class Habits:
    """Per payment, from the history days: excess (log of the amount over the customer's median), new (the customer
    never paid there), surprise (-log2 of the customer's share of payments in that hour over the even share, at least
    0), quick (the card's previous payment was at most QUICK seconds ago).
    """

    excess: np.ndarray
    new: np.ndarray
    surprise: np.ndarray
    quick: np.ndarray


def habits(p: Payments) -> Habits:
    customers, terminals = len(p.district), int(p.terminal.max()) + 1
    before = p.time < p.plan.history_days * DAY
    known = np.zeros((customers, terminals), bool)
    known[p.customer[before], p.terminal[before]] = True
    usual = np.full(customers, np.median(p.amount[before]))
    order = np.argsort(p.customer[before], kind="stable")
    who, first = np.unique(p.customer[before][order], return_index=True)
    for customer, amounts in zip(who, np.split(p.amount[before][order], first[1:]), strict=True):
        usual[customer] = np.median(amounts)
    hour = (p.time % DAY // 3600).astype(np.int64)
    hours = np.ones((customers, 24))  # one payment in each hour before the first is seen
    np.add.at(hours, (p.customer[before], hour[before]), 1)
    wide = hours + np.roll(hours, 1, axis=1) + np.roll(hours, -1, axis=1)
    surprise = np.maximum(-np.log2(24 * wide / wide.sum(axis=1, keepdims=True)), 0)
    by_card = np.lexsort((p.time, p.customer))
    gap = np.full(len(p.time), np.inf)
    same = p.customer[by_card][1:] == p.customer[by_card][:-1]
    gap[by_card[1:]] = np.where(same, np.diff(p.time[by_card]), np.inf)
    excess = np.log(np.maximum(p.amount, 0.01) / usual[p.customer])
    return Habits(excess, ~known[p.customer, p.terminal], surprise[p.customer, hour], gap <= QUICK)


def views(p: Payments) -> tuple[View, View]:
    """What a bank sees of its customers' districts, and what it sees of its terminals."""
    h = habits(p)
    steps = int(p.plan.days * DAY / STEP)
    at = np.minimum((p.time / STEP).astype(np.int64), steps - 1)

    def total(entity: np.ndarray, count: int, values: np.ndarray) -> np.ndarray:
        return np.bincount(entity * steps + at, values, count * steps).reshape(count, steps)

    def truth(entity: np.ndarray, count: int) -> np.ndarray:
        return np.stack([total(entity, count, p.fraud == kind) for kind in range(4)], axis=-1).astype(np.int64)

    one = np.ones(len(at))
    group, groups = p.district[p.customer], int(p.district.max()) + 1
    largest = np.zeros((groups, steps))
    np.maximum.at(largest, (group, at), h.excess)
    parts = [total(group, groups, one), largest, *(total(group, groups, v) for v in (h.new, h.surprise, h.quick))]
    customers = View("customers", CUSTOMER_CHANNELS, _stacked(parts), truth(group, groups))

    shops = p.plan.terminals
    count = total(p.terminal, shops, one)
    with np.errstate(invalid="ignore"):
        size = total(p.terminal, shops, np.log(np.maximum(p.amount, 0.01))) / count
    parts = [count, size, total(p.terminal, shops, p.amount < SMALL), total(p.terminal, shops, h.new)]
    return customers, View("terminals", TERMINAL_CHANNELS, _stacked(parts), truth(p.terminal, shops))


def _stacked(parts: list[np.ndarray]) -> np.ndarray:
    return np.ascontiguousarray(np.stack(parts, axis=-1), np.float32)
