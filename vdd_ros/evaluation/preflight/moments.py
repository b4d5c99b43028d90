"""Compares recorded values with mean and deviation of demonstrations: misfit in nats."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TAIL = 8.0
"""Degrees of freedom of the Student density of a recording's mean, which may lie anywhere in the demonstrations."""
WIDER, NARROWER = 0.5, 2.0
"""Standard deviations of the logarithm of recorded by demonstrated deviation: a short recording varies less, never
much more."""
AT_REST = 2.0
"""Misfit in nats of the deviation of an entry at rest, which is hardly informative."""
LEAST_RATIO = 1e-9
"""Assumed ratio of recorded to demonstrated deviation of an entry at rest, since 0 has no logarithm."""
MOVES = 0.2
"""Ratio of recorded to demonstrated deviation from which an entry counts as moved as in a demonstration."""
FITS = 3.4
"""Misfit in nats up to which recorded values fit the demonstrations: three deviations from their mean."""
CERTAIN = float(np.log(1000.0))
"""Nats of improvement that an explanation needs, in addition to the logarithm of the number of explanations tried."""

NOISE_MARGIN = 5.0
"""Standard errors by which the noise variance may be underestimated."""


class Moments(NamedTuple):
    """Mean and standard deviation of n entries, (n,) each; of recorded values that of their motion."""

    mean: Floats
    std: Floats

    @classmethod
    def of(cls, values: Floats) -> "Moments":
        """Return the moments of recorded values, (messages, n), in order of time.

        The variance of white noise is half the mean square of its differences; for motion these are far smaller.
        Subtracting it, with a margin for few values, leaves the deviation of the motion.
        """
        noise = 0.5 * np.mean(np.diff(values, axis=0) ** 2, axis=0) if len(values) > 1 else np.zeros(values.shape[1])
        noise *= 1 + NOISE_MARGIN / np.sqrt(len(values))
        return cls(values.mean(axis=0), np.sqrt(np.maximum(values.var(axis=0) - noise, 0)))


def off_centre(mean: Floats, wanted: Moments) -> Floats:
    """Return the misfit of means: minus the logarithm of a Student density, relative to its maximum."""
    z = (mean - wanted.mean) / wanted.std
    return np.asarray(0.5 * (TAIL + 1) * np.log1p(z**2 / TAIL))


def off_width(std: Floats, wanted: Moments) -> Floats:
    """Return the misfit of deviations; an entry at rest counts as one that hardly moves."""
    ratio = np.log(np.maximum(std / wanted.std, LEAST_RATIO))
    wider = 0.5 * (np.maximum(ratio, 0) / WIDER) ** 2
    return np.asarray(wider + np.minimum(0.5 * (np.minimum(ratio, 0) / NARROWER) ** 2, AT_REST))


def misfit(found: Moments, wanted: Moments) -> Floats:
    """Return the misfit of recorded moments with demonstrated ones, in nats, 0 at best; shapes broadcast."""
    return off_centre(found.mean, wanted) + off_width(found.std, wanted)


def fits(found: Moments, wanted: Moments) -> NDArray[np.bool_]:
    """Return whether recorded moments fit the demonstrations, for each entry."""
    return np.asarray((off_centre(found.mean, wanted) <= FITS) & (off_width(found.std, wanted) <= FITS))
