"""The rest of an ended episode's trajectory, until the robot's position is known."""

import numpy as np
from numpy.typing import NDArray

from vdd_ros.robot.command_channel import CommandChannel, Floats


class StaleTrajectory:
    """Keeps the point that was due when an episode ended, and replaces it by the robot's position.

    The robot may have been moved: a point of the old episode would pull it back.
    """

    def __init__(self) -> None:
        self._point: Floats | None = None
        self._end_s = 0.0

    @property
    def pending(self) -> bool:
        """Whether a trajectory of an ended episode may still be under way."""
        return self._point is not None

    def keep(self, due: Floats, end_s: float) -> None:
        """Keep the point (n,) that was due, of a trajectory that ends at a time, in seconds."""
        self._point, self._end_s = due.copy(), end_s

    def forget(self) -> None:
        """Keep nothing."""
        self._point = None

    def take(self, channel: CommandChannel, newest: NDArray[np.float32], now_s: float) -> Floats | None:
        """Return the robot's position, (1, n); None if the trajectory is over.

        Unmeasured numbers are those of the point that was due.

        Args:
            channel: The commands.
            newest: (obs_dim,) observation of the new episode.
            now_s: The time in seconds, on the clock of the trajectory's end.
        """
        point, self._point = self._point, None
        if point is None or now_s >= self._end_s:
            return None
        place = np.empty_like(point)
        channel.measure(newest, place)
        return np.where(channel.measured, place, point)[None]
