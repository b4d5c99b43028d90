"""Entropy of the modes that rollouts took: of their frequencies, nearly without bias, and its 95 % interval."""

import math

import numpy as np
from numpy.typing import NDArray

from vdd_ros.tasks.base import Ints

Interval = tuple[float, float]

BOOTSTRAP_SAMPLES = 2000


def entropy_of_counts(counts: NDArray[np.integer], base: int) -> NDArray[np.float64]:
    """Return the entropy of relative frequencies, to the logarithm of `base`.

    Args:
        counts: (..., K) count of each of K modes.
        base: Number of modes of the task; uniform frequencies over `base` modes give 1.

    Returns:
        (...,) entropies; 0 without any count, and for a task with a single mode.
    """
    if base == 1:
        return np.zeros(counts.shape[:-1])
    total = np.maximum(counts.sum(axis=-1, keepdims=True), 1)
    share = counts / total
    logarithm = np.log(share, out=np.zeros(share.shape), where=share > 0)
    return np.abs(share * logarithm).sum(axis=-1) / math.log(base)


def entropy_estimate(counts: NDArray[np.integer], base: int) -> NDArray[np.float64]:
    """Return a nearly unbiased estimate of the entropy that the counts were drawn with (Chao, Wang and Jost 2013).

    The entropy of relative frequencies is too low by about (K - 1) / (2 N log base) for K modes and N rollouts. This
    estimate sums what N rollouts tell without bias, and extrapolates the rest from the modes that were seen once and
    twice (A. Chao, Y. T. Wang, L. Jost, Entropy and the species accumulation curve, equation 8). It may exceed 1.

    Args:
        counts: (..., K) count of each of K modes.
        base: Number of modes of the task.

    Returns:
        (...,) estimates; 0 without any count, and for a task with a single mode.
    """
    if base == 1:
        return np.zeros(counts.shape[:-1])
    total, once, twice = counts.sum(axis=-1), (counts == 1).sum(axis=-1), (counts == 2).sum(axis=-1)
    harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, int(total.max(initial=0)) + 2))])
    before = np.maximum(counts - 1, 0)  # harmonic[n - 1] - harmonic[c - 1] is the sum of 1 / k for k from c to n - 1
    rest = np.maximum(total - 1, 0)
    told = (counts * (harmonic[rest][..., None] - harmonic[before])).sum(axis=-1) / np.maximum(total, 1)
    flat = [_unseen(*numbers) for numbers in zip(total.flat, once.flat, twice.flat, strict=True)]
    return np.asarray((told + np.reshape(flat, total.shape)) / math.log(base))


def _unseen(total: int, once: int, twice: int) -> float:
    """Return what the modes beyond the rollouts add to an entropy, in nats."""
    if once == 0 or total < 2:
        return 0.0
    share = 2 * twice / ((total - 1) * once + 2 * twice) if twice else 2 / ((total - 1) * (once - 1) + 2)
    if share == 1.0:
        return 0.0
    missing = 1.0 - share
    series = sum(missing**power / power for power in range(1, total))
    return once / total * missing ** (1 - total) * (-math.log(share) - series)


def entropy_interval(counts: Ints, base: int, seed: int = 0) -> Interval:
    """Return a bootstrap 95 % interval of the mean entropy of an equal number of new rollouts.

    From one context, the rollouts are resampled. The entropy of relative frequencies is biased towards low values, and
    a bootstrap sample is biased once more, so the interval is the spread of the bootstrap entropies about their own
    mean, laid about the measured entropy. From several contexts, the contexts are resampled: the interval holds for
    equally many new ones.

    Args:
        counts: (K,) count of each mode; or (C, K), a row for each context, whose entropies are averaged.
        base: Number of modes of the task.
        seed: Seed of the resampling.
    """
    rows = np.atleast_2d(counts)
    if not rows.sum():
        return 0.0, 0.0
    random, entropies = np.random.default_rng(seed), entropy_of_counts(rows, base)
    if len(rows) > 1:
        weights = random.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=BOOTSTRAP_SAMPLES)
        low, high = np.percentile(weights @ entropies / len(rows), [2.5, 97.5])
        return float(low), float(high)
    measured, row = float(entropies[0]), rows[0]
    samples = entropy_of_counts(random.multinomial(row.sum(), row / row.sum(), size=BOOTSTRAP_SAMPLES), base)
    low, high = measured + np.percentile(samples, [2.5, 97.5]) - samples.mean()
    return max(float(low), 0.0), min(float(high), max(measured, 1.0))
