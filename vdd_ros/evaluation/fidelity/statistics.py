"""Distances between two sets of actions, and estimates of a measure over many states."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

Floats = NDArray[np.float64]

BOOTSTRAP_SAMPLES = 2000


def directions(dim: int, count: int, rng: np.random.Generator) -> Floats:
    """Return random directions to project on, (count, dim); in one dimension the only one there is, (1, 1)."""
    if dim == 1:
        return np.ones((1, 1))
    drawn = rng.standard_normal((count, dim))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def sliced_wasserstein(first: Floats, second: Floats, onto: Floats) -> float:
    """Return the Wasserstein-1 distance of two sets of equal size (N, D), averaged over directions (L, D).

    In one dimension it is the exact Wasserstein-1 distance of the two sets.
    """
    return float(np.abs(np.sort(first @ onto.T, axis=0) - np.sort(second @ onto.T, axis=0)).mean())


def energy_distance(first: Floats, second: Floats) -> float:
    """Return 2 E|x - y| - E|x - x'| - E|y - y'| of sets (N, D) and (M, D), without bias: below 0 by chance."""
    return float(2 * cdist(first, second).mean() - _spread(first) - _spread(second))


def _spread(samples: Floats) -> float:
    """Return the mean distance of two different samples."""
    count = len(samples)
    return float(cdist(samples, samples).sum() / (count * (count - 1)))


@dataclass(frozen=True)
class Estimate:
    """A measure over states.

    Attributes:
        mean, median: Over the states.
        interval: Bootstrap 95 % interval of the mean; it takes the states as independent.
    """

    mean: float
    median: float
    interval: tuple[float, float]

    @classmethod
    def of(cls, values: Floats, seed: int = 0) -> "Estimate":
        """Summarise one value for each state, (S,)."""
        drawn = np.random.default_rng(seed).integers(len(values), size=(BOOTSTRAP_SAMPLES, len(values)))
        low, high = np.percentile(values[drawn].mean(axis=1), [2.5, 97.5])
        return cls(float(values.mean()), float(np.median(values)), (float(low), float(high)))


@dataclass(frozen=True)
class AgainstFloor:
    """A measure of teacher against student, beside its floor, teacher against teacher.

    Attributes:
        student: Teacher against student.
        floor: Teacher against teacher: the limit set by the number of samples.
        difference: Student less floor, state by state.
    """

    student: Estimate
    floor: Estimate
    difference: Estimate

    @classmethod
    def of(cls, student: Floats, floor: Floats) -> "AgainstFloor":
        """Summarise one value of each for each state, (S,) and (S,)."""
        return cls(Estimate.of(student), Estimate.of(floor), Estimate.of(student - floor))


def entropy(shares: Floats) -> float:
    """Return the entropy of shares (M,), which need not sum to 1, in nats; 0 if there are none."""
    total = shares.sum()
    if total <= 0:
        return 0.0
    positive = shares[shares > 0] / total
    return max(float(-(positive * np.log(positive)).sum()), 0.0)


def correlation(first: Floats, second: Floats) -> float | None:
    """Return Pearson's correlation of two measures over the states, (S,) each; None if one is constant."""
    if min(first.std(), second.std()) == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])
