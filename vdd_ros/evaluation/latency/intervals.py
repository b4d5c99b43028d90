"""Confidence intervals over repeats, and over autocorrelated ticks."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vdd_ros.evaluation.latency.summary import median_interval

Floats = NDArray[np.float64]

RESAMPLES = 2000


@dataclass(frozen=True)
class Repeated:
    """Repeated measurements of one number.

    Attributes:
        median: Median of the repeats.
        interval: Interval of the median, from order statistics; None with fewer than two repeats.
    """

    median: float
    interval: tuple[float, float] | None

    @classmethod
    def of(cls, values: Floats) -> "Repeated":
        """Summarise repeats (n,); NaN stands for a missing one and is ignored."""
        measured = np.sort(values[np.isfinite(values)])
        if not len(measured):
            return cls(math.nan, None)
        return cls(float(np.median(measured)), median_interval(measured) if len(measured) > 1 else None)


def median_confidence(count: int) -> float:
    """Return the exact confidence of the interval of `median_interval` for `count` values.

    A few repeats cannot give 95 %: the range of three contains the median with probability 0.75.
    """
    if count < 1:
        return 0.0
    low, _ = median_interval(np.arange(count, dtype=np.float64))
    outside = sum(math.comb(count, below) for below in range(round(low) + 1)) / 2**count
    return 1.0 - 2.0 * outside


def mean_interval(values: Floats, seed: int = 0) -> tuple[float, float]:
    """Return a 95 % interval of the mean of a time series, by a circular block bootstrap (Politis and Romano 1992).

    Neighbouring ticks are correlated, so drawing single ticks would make the interval too narrow. The blocks have about
    the square root of the length.

    Args:
        values: (n,) in the order of time, n at least 1.
        seed: Seed of the draws.
    """
    count = len(values)
    block = max(round(math.sqrt(count)), 1)
    wrapped = np.concatenate([values, values[: block - 1]])
    sums = np.convolve(wrapped, np.ones(block), "valid")  # (n,) of the block that begins at each value
    blocks = math.ceil(count / block)
    starts = np.random.default_rng(seed).integers(count, size=(RESAMPLES, blocks))
    low, high = np.percentile(sums[starts].sum(axis=1) / (blocks * block), [2.5, 97.5]).tolist()
    return low, high
