"""Matches the numbers of a command with the measured numbers that they follow."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CLEAR = 2.0
"""Factor by which the best fit of a command must beat the next one to count as known."""
LEAST_MOTION = 1e-6
"""Standard deviation below which a number counts as not moving."""


@dataclass(frozen=True)
class CommandOrder:
    """The fit of commands to measurements.

    Attributes:
        measured: (n,) index of the measured number that each commanded number is closest to.
        clear: (n,) whether that is certain: every other measured number is at least twice as far away, and no other
            commanded number is closest to the same one.
        distance: (n, m) root mean square of command minus measurement.
    """

    measured: NDArray[np.int64]
    clear: NDArray[np.bool_]
    distance: Floats


def command_order(commands: Floats, measured: Floats) -> CommandOrder | None:
    """Return which measured number each commanded number follows, by the distance between the two.

    Args:
        commands: (ticks, n) commanded positions.
        measured: (ticks, m) measured positions at the same ticks, m at least n.

    Returns:
        The order; None if there are fewer measurements than commands, or no tick.
    """
    if not len(commands) or measured.shape[1] < commands.shape[1]:
        return None
    distance = np.sqrt(np.mean((commands[:, :, None] - measured[:, None, :]) ** 2, axis=0))
    closest = distance.argmin(axis=1)
    ordered = np.sort(distance, axis=1)
    apart = ordered[:, 1] > CLEAR * ordered[:, 0] if measured.shape[1] > 1 else np.ones(len(closest), bool)
    alone = np.bincount(closest, minlength=measured.shape[1])[closest] == 1
    moves = commands.std(axis=0) > LEAST_MOTION
    return CommandOrder(closest, apart & alone & moves, distance)
