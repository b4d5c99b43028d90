"""Binds the entries of a robot file to the features of a policy or task by name."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vdd_ros.features import Feature
from vdd_ros.robot.quantities import unit_factor

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


def bind(wanted: Sequence[tuple[str | None, str]], entries: Sequence[Feature]) -> tuple[Indices, Floats]:
    """Return, for each name and unit, the entry's index and the factor to that unit; index and factor 0 for no name."""
    found = {entry.name: (index, entry.unit) for index, entry in enumerate(entries)}
    bound = [
        (0, 0.0) if name is None else (found[name][0], unit_factor(found[name][1], unit, name)) for name, unit in wanted
    ]
    return np.array([index for index, _ in bound], dtype=np.int64), np.array([factor for _, factor in bound])
