"""Differences between two policies in success rate and task entropy, paired by the contexts that both started from.

Rollouts from one context resemble each other, also those of two policies: a box in an awkward pose is awkward for both.
The difference of two rates is therefore more certain than their own intervals suggest, if both met the same contexts.

- Success rates lie near 1 or 0, where a bootstrap over contexts, or a paired t interval, shrinks to a point. Their
  difference has Newcombe's hybrid score interval (Statistics in Medicine 17, 1998, methods 10 of both articles): the
  distances from each rate to the ends of its own Wilson interval are added like standard deviations, with the
  correlation of the rates. With contexts, the Wilson intervals are those for new contexts, and the correlation is over
  contexts (Zou and Donner, Statistics in Medicine 27, 2008). Without, the correlation is 0.
- The entropies of a context are numbers, so the contexts are resampled (bootstrap). Without contexts, the intervals of
  the two entropies are added like those of the rates.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vdd_ros.errors import ConfigurationError
from vdd_ros.tasks.base import Floats, Ints
from vdd_ros.tasks.entropy import Interval
from vdd_ros.tasks.metrics import Score, counts_interval, mean_interval


@dataclass(frozen=True)
class Difference:
    """A difference between two policies.

    Attributes:
        value: That of the first policy less that of the second.
        interval: Its 95 % interval.
        contexts: Number of contexts by which it is paired; 0 for independent rollouts.
    """

    value: float
    interval: Interval
    contexts: int

    def __str__(self) -> str:
        """Return the text for a table."""
        return f"{self.value:+.3f} [{self.interval[0]:+.3f}, {self.interval[1]:+.3f}]"


@dataclass(frozen=True)
class ScoreDifference:
    """The differences between the scores of two policies.

    Attributes:
        success: Of the success rates.
        entropy: Of the task entropies.
    """

    success: Difference
    entropy: Difference

    @classmethod
    def of(cls, first: Score, second: Score) -> "ScoreDifference":
        """Return the differences of two scores whose rollouts started from the same contexts.

        Raises:
            ConfigurationError: The numbers of contexts differ.
        """
        measured = [
            (one.entropy, one.entropy_interval, np.array(one.entropy_by_context, dtype=np.float64))
            for one in (first, second)
        ]
        return cls(success_difference(first.by_context, second.by_context), entropy_difference(*measured))


Counts = Sequence[Sequence[int]] | Ints
"""(C, 2) successes and rollouts of each context."""


def success_difference(first: Counts, second: Counts) -> Difference:
    """Return the difference of two success rates.

    Args:
        first: (C, 2) successes and rollouts of the first policy from each context, C at least 1.
        second: (C, 2) those of the second policy, from the same contexts in the same order.

    Raises:
        ConfigurationError: The arrays have other shapes, or a context lacks rollouts.
    """
    one, two = np.asarray(first), np.asarray(second)
    if one.ndim != 2 or one.shape != two.shape or one.shape[1] != 2 or not len(one) or min(one.min(), two.min()) < 0:
        raise _apart(one.shape, two.shape)
    if not (one[:, 1].all() and two[:, 1].all()):
        raise ConfigurationError("a context without rollouts cannot be compared; give rollouts from each to both")
    rates = [float(counts[:, 0].sum() / counts[:, 1].sum()) for counts in (one, two)]
    intervals = [counts_interval(counts[:, 0], counts[:, 1]) for counts in (one, two)]
    value, together = rates[0] - rates[1], _correlation(one, two)
    interval = _hybrid(rates[0], intervals[0], rates[1], intervals[1], together)
    return Difference(value, interval, len(one) if len(one) > 1 else 0)


Entropy = tuple[float, Interval, Floats]
"""A task entropy, its 95 % interval, and the entropy of each context, (C,)."""


def entropy_difference(first: Entropy, second: Entropy) -> Difference:
    """Return the difference of two task entropies, from equally many rollouts.

    Task entropies are biased low by an amount that depends on the number of rollouts; at equal numbers it cancels, as
    far as the policies take equally many modes and succeed equally often.

    Args:
        first: That of the first policy.
        second: That of the second policy, from the same contexts in the same order.

    Raises:
        ConfigurationError: The numbers of contexts differ.
    """
    (one, interval, each), (two, other_interval, other_each) = first, second
    if each.shape != other_each.shape:
        raise _apart(each.shape, other_each.shape)
    if len(each) > 1:
        return Difference(one - two, mean_interval(each - other_each), len(each))
    return Difference(one - two, _hybrid(one, interval, two, other_interval, 0.0), 0)


def _apart(first: tuple[int, ...], second: tuple[int, ...]) -> ConfigurationError:
    return ConfigurationError(
        f"outcomes by context of the shapes {first} and {second} cannot be compared; both policies must start from "
        "the same contexts"
    )


def _hybrid(first: float, interval: Interval, second: float, other: Interval, correlation: float) -> Interval:
    """Return the interval of first - second from their own intervals."""
    below, above = first - interval[0], interval[1] - first
    other_below, other_above = second - other[0], other[1] - second
    down = math.sqrt(max(below**2 + other_above**2 - 2 * correlation * below * other_above, 0.0))
    up = math.sqrt(max(above**2 + other_below**2 - 2 * correlation * above * other_below, 0.0))
    return first - second - down, first - second + up


def _correlation(first: NDArray[np.integer], second: NDArray[np.integer]) -> float:
    """Return the correlation of two success rates over contexts, with the variances on which their intervals rest."""
    count = len(first)
    if count == 1:
        return 0.0
    excess = [counts[:, 0] - counts[:, 0].sum() / counts[:, 1].sum() * counts[:, 1] for counts in (first, second)]
    covariance = count / (count - 1) * float(excess[0] @ excess[1]) / float(first[:, 1].sum() * second[:, 1].sum())
    spread = _deviation(first, excess[0]) * _deviation(second, excess[1])
    return covariance / spread if spread > 0 else 0.0


def _deviation(counts: NDArray[np.integer], excess: Floats) -> float:
    """Return the standard deviation of a rate over contexts, at least that of independent rollouts."""
    total, successes = float(counts[:, 1].sum()), float(counts[:, 0].sum())
    clustered = len(counts) / (len(counts) - 1) * float(excess @ excess) / total**2
    return math.sqrt(max(clustered, successes * (total - successes) / total**3))
