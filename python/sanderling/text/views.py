"""What a text is compared by: its meaning, its words, its look. Each view's distance to the reference becomes nats of
surprise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
NEIGHBOURS = 20  # of an embedding; the r-th nearest weighs 1 / sqrt(r)
LOCAL, SHRINKAGE = 5, 0.3  # neighbours whose differences make the metric, and the identity's share in it
LOOKS = 10  # neighbours of the surface
TAIL = 0.9  # above this quantile of the reference the surprise grows linearly
LEAST_EXCESS = 0.005  # a nat's distance where the reference's texts are all alike; the least of real sets is 0.015
GRID = 2.0**20  # distances and scores are multiples of 1 / GRID: sums in another order stay ties
LOOK_AT_LEAST = 2.0  # nats below which the surface says nothing: 1 reference text in 7 looks that odd


def unit(rows: Matrix) -> Matrix:
    """Rows of length 1; a row of zeros stays."""
    return rows / np.maximum(np.sqrt((rows * rows).sum(1, keepdims=True)), 1e-12)


def on_grid(values: Matrix) -> Matrix:
    """Multiples of 1 / GRID, half to even."""
    return np.rint(values * GRID) / GRID


def _nearest(similarity: Matrix, most: int) -> Matrix:
    """The `most` largest of each row, descending."""
    most = min(most, similarity.shape[1])
    return -np.sort(np.partition(-similarity, most - 1, axis=1)[:, :most], axis=1)


@dataclass
class Meaning:
    """kNN of cosine in the metric of local differences (a Mahalanobis distance, shrunk): x -> unit(x @ whiten).

    The covariance is that of the differences of each reference text to its nearest ones: directions in which neighbours
    differ say little, and get a smaller weight."""

    whiten: Matrix
    memory: Matrix

    @classmethod
    def fit(cls, embeddings: Matrix) -> Meaning:
        rows = unit(embeddings)
        similarity = rows @ rows.T
        np.fill_diagonal(similarity, -2)
        near = np.argsort(-similarity, axis=1, kind="stable")[:, : min(LOCAL, len(rows) - 1)]
        covariance = np.zeros((rows.shape[1],) * 2)
        for column in near.T:
            difference = rows - rows[column]
            covariance += difference.T @ difference
        covariance /= near.size
        level = max(np.trace(covariance) / len(covariance), 1e-12)
        shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * level * np.eye(len(covariance))
        whiten = np.linalg.cholesky(np.linalg.inv(shrunk))
        return cls(whiten, unit(rows @ whiten))

    def similarity(self, embeddings: Matrix) -> Matrix:
        return unit(unit(embeddings) @ self.whiten) @ self.memory.T

    def distance(self, embeddings: Matrix) -> NDArray[np.float64]:
        return _ranked(self.similarity(embeddings))

    def leave_one_out(self) -> NDArray[np.float64]:
        similarity = self.memory @ self.memory.T
        np.fill_diagonal(similarity, -2)
        return _ranked(similarity, len(similarity) - 1)


def _ranked(similarity: Matrix, most: int = NEIGHBOURS) -> NDArray[np.float64]:
    near = _nearest(similarity, min(NEIGHBOURS, most))
    weight = 1 / np.sqrt(np.arange(1, near.shape[1] + 1))
    return 1 - near @ weight / weight.sum()


@dataclass
class Look:
    """Mean Euclidean distance to the nearest surfaces of the reference, each feature scaled by its spread there."""

    centre: NDArray[np.float64]
    spread: NDArray[np.float64]
    memory: Matrix

    @classmethod
    def fit(cls, features: Matrix) -> Look:
        centre, spread = features.mean(0), features.std(0) + 1e-3
        return cls(centre, spread, (features - centre) / spread)

    def distance(self, features: Matrix) -> NDArray[np.float64]:
        return -_nearest(-self._pairs((features - self.centre) / self.spread), LOOKS).mean(1)

    def leave_one_out(self) -> NDArray[np.float64]:
        pairs = self._pairs(self.memory)
        np.fill_diagonal(pairs, np.inf)
        return -_nearest(-pairs, min(LOOKS, len(pairs) - 1)).mean(1)

    def _pairs(self, rows: Matrix) -> Matrix:
        return np.stack([np.sqrt(((self.memory - row) ** 2).sum(1)) for row in rows])


@dataclass
class Scale:
    """A distance -> nats: -ln of the share of the reference that is as far, and beyond the `TAIL` quantile an
    exponential
    tail with the reference's mean excess."""

    ranks: NDArray[np.float64]  # the reference's distances, ascending
    start: float
    excess: float

    @classmethod
    def fit(cls, distances: NDArray[np.float64]) -> Scale:
        ranks = np.sort(on_grid(distances))
        start = float(np.quantile(ranks, TAIL))
        above = ranks[ranks > start] - start
        least = 1e-3 * float(ranks[-1] - ranks[0]) + LEAST_EXCESS
        return cls(ranks, start, max(float(above.mean()) if len(above) else 0.0, least))

    def nats(self, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        distances = on_grid(distances)
        as_far = len(self.ranks) - np.searchsorted(self.ranks, distances, "left")
        at_start = -np.log(1 - TAIL)
        inside = np.minimum(-np.log((as_far + 0.5) / (len(self.ranks) + 1)), at_start)
        return np.where(distances > self.start, at_start + (distances - self.start) / self.excess, inside)
