"""Which measured number each number of a command follows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Floats = NDArray[np.float64]

CLEAR = 2.0
"""Factor by which the best fit of a command must beat the next one to count as known."""
LEAST_MOTION = 1e-6
"""Standard deviation below which a number does not move, so that its motion tells nothing."""


@dataclass(frozen=True)
class CommandOrder:
    """The fit of commands to measurements.

    Attributes:
        measured: (n,) index of the measured number that each commanded number follows.
        clear: (n,) whether that is certain: every other measured number fits at most half as well.
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
        The assignment with the least sum of distances; None if there are fewer measurements than commands, or no tick.
    """
    if not len(commands) or measured.shape[1] < commands.shape[1]:
        return None
    distance = np.sqrt(np.mean((commands[:, :, None] - measured[:, None, :]) ** 2, axis=0))
    rows, columns = linear_sum_assignment(distance)
    chosen = distance[rows, columns]
    others = distance.copy()
    others[rows, columns] = np.inf
    next_best = others.min(axis=1) if measured.shape[1] > 1 else np.full(len(rows), np.inf)
    moves = commands.std(axis=0) > LEAST_MOTION
    return CommandOrder(columns.astype(np.int64), (next_best > CLEAR * chosen) & moves, distance)
