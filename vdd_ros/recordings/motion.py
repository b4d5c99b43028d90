"""Motion in recorded commands: which ones differ from another by more than a share of their range."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from vdd_ros.robot.command_channel import CommandChannel
from vdd_ros.robot.limit_sources import range_of
from vdd_ros.robot.urdf import JointLimits

SHARE = 1e-3
"""Share of a command's range by which it must differ to count as motion."""
MOST_RAD = math.pi
"""Range of an orientation: the largest angle between two."""

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Motion:
    """Compares the commands of an episode.

    The range of a number is that between its limits; where neither the robot file nor its description states them,
    that of the episode. Fixed numbers never move.

    Args:
        channel: The commands of the robot file.
        joints: Limits of the joints in a robot description; None if unknown.
    """

    def __init__(self, channel: CommandChannel, joints: Mapping[str, JointLimits] | None) -> None:
        self._turning = [rotation.place for rotation in channel.rotations]
        self._learned = np.array([entry.action is not None for entry in channel.entries])
        self._ranges = np.array([range_of(entry, joints) for entry in channel.entries])

    def moved(self, values: Floats, place: int) -> NDArray[np.int64]:
        """Return the indices of the commands, (t, n), that differ from the one at `place`."""
        ranges = np.where(np.isfinite(self._ranges), self._ranges, np.ptp(values, axis=0))
        differs = np.abs(values - values[place]) > SHARE * ranges
        found: Flags = (differs & self._learned).any(axis=1)
        for turning in self._turning:
            found |= _angles(values[:, turning], values[place, turning]) > SHARE * MOST_RAD
        return np.flatnonzero(found)


def _angles(quaternions: Floats, other: Floats) -> Floats:
    """Return the angles in rad between unit quaternions, (t, 4), and another one, (4,), of either sign."""
    apart, opposed = (np.linalg.norm(quaternions - sign * other, axis=1) for sign in (1, -1))
    return np.asarray(4 * np.arctan2(np.minimum(apart, opposed), np.maximum(apart, opposed)))
