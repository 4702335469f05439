"""How long to wait before something is tried again."""

import random

_DOUBLINGS = 6


class Backoff:
    """After the n-th failure in a row: first * 2^(n-1) seconds, at most 64 * first.

    The upper half of it is left to chance, so that many devices don't come back at once.
    """

    def __init__(self, first_s: float) -> None:
        self._first_s = first_s
        self.failures = 0

    def next_s(self) -> float:
        whole = self._first_s * 2.0 ** min(self.failures, _DOUBLINGS)
        self.failures += 1
        return whole * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        self.failures = 0
