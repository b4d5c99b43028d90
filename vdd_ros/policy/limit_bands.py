"""Thresholds from which actions count as cut by a policy's limit."""

import numpy as np
from numpy.typing import NDArray

from vdd_ros.policy.spec import PolicySpec


def limit_bands(spec: PolicySpec) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the thresholds from which actions count as cut, (act_dim,) each, in physical units.

    Graphs clip a millionth of the range inside the limits, so that rounding cannot exceed them.
    """
    low, high = np.array([(entry.low, entry.high) for entry in spec.action]).T
    margin = 2e-6 * (high - low)
    return low + margin, high - margin


def beyond(action: NDArray[np.floating], low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which entries of actions (..., act_dim) lie at or beyond bounds (act_dim,)."""
    return np.logical_or(action <= low, action >= high)
