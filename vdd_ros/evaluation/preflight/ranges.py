"""Values outside the demonstrations, values that never change, and limits that cut a policy's actions."""

import numpy as np
from numpy.typing import NDArray

from vdd_ros.evaluation.preflight.moments import Floats, Moments

FAR = 5.0
"""Deviations from the mean of the demonstrations beyond which a value is outside of them."""
ROUNDING = 1e-6
"""Relative; statistics are kept in single precision."""
ENOUGH = 50
"""Smallest number of values for reporting that an entry never changes."""


def outside(values: Floats, wanted: Moments, low: Floats, high: Floats) -> Floats:
    """Return the share of values, (d,), that lie outside the demonstrations.

    Args:
        values: (ticks, d).
        wanted: Moments of the demonstrations.
        low: (d,) smallest demonstrated values; infinite if unknown, then `FAR` deviations from the mean.
        high: (d,) largest ones.
    """
    least = np.where(np.isfinite(low), low, wanted.mean - FAR * wanted.std)
    most = np.where(np.isfinite(high), high, wanted.mean + FAR * wanted.std)
    return np.asarray(((values < least) | (values > most)).mean(axis=0))


def dead(values: Floats) -> NDArray[np.bool_]:
    """Return which entries, (d,), are exactly zero at all ticks, as from drivers that do not measure them."""
    if len(values) < ENOUGH:
        return np.zeros(values.shape[1], bool)
    return np.asarray((values == 0).all(axis=0))


def cuts(mean: float, std: float, low: float, high: float) -> bool:
    """Return whether limits cut numbers with this mean and standard deviation, whatever their distribution.

    Numbers between two limits have a variance of at most (high - mean) (mean - low), the bound of Bhatia and Davis
    (2000), American Mathematical Monthly 107(4).
    """
    return not low <= mean <= high or std**2 > (high - mean) * (mean - low) * (1 + ROUNDING)
