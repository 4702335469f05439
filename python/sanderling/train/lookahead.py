"""Lookahead around any optimiser (Zhang et al. 2019): k fast steps, then one slow step back."""

from __future__ import annotations

import torch


class Lookahead:
    """Keeps slow weights; every `k` fast steps slow += alpha * (fast - slow), fast = slow.

    Args:
        optimizer: the fast optimiser; its parameter groups are used as they are.
        k: fast steps between two slow steps.
        alpha: slow step size in (0, 1].
    """

    def __init__(self, optimizer: torch.optim.Optimizer, k: int = 5, alpha: float = 0.5) -> None:
        if k < 1 or not 0 < alpha <= 1:
            raise ValueError(f"Lookahead: expected k >= 1 and 0 < alpha <= 1, found {k}, {alpha}")
        self.optimizer = optimizer
        self.k, self.alpha = k, alpha
        self.count = 0
        self.slow = [p.detach().clone() for p in self._parameters()]

    def _parameters(self) -> list[torch.nn.Parameter]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def zero_grad(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)

    @torch.no_grad()
    def step(self) -> None:
        self.optimizer.step()
        self.count += 1
        if self.count % self.k == 0:
            self.synchronise()

    @torch.no_grad()
    def synchronise(self) -> None:
        """One slow step; afterwards fast and slow weights are equal."""
        for p, slow in zip(self._parameters(), self.slow, strict=True):
            slow.lerp_(p, self.alpha)
            p.copy_(slow)

    def state_dict(self) -> dict:
        return {"fast": self.optimizer.state_dict(), "slow": self.slow, "count": self.count}

    def load_state_dict(self, state: dict) -> None:
        self.optimizer.load_state_dict(state["fast"])
        self.count = state["count"]
        for slow, saved in zip(self.slow, state["slow"], strict=True):
            slow.copy_(saved)
