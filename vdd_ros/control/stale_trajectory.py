"""The rest of an ended episode's trajectory, until the robot's position is known."""

import numpy as np
from numpy.typing import NDArray

from vdd_ros.control.trajectory import Trajectory
from vdd_ros.robot.command_channel import CommandChannel, Floats


class StaleTrajectory:
    """Keeps the rest of a trajectory whose episode ended, and replaces it by the robot's position.

    The robot may have been moved: a point of the old episode would pull it back.
    """

    def __init__(self) -> None:
        self._rest: Trajectory | None = None

    @property
    def pending(self) -> bool:
        """Whether a trajectory of an ended episode may still be under way."""
        return self._rest is not None

    def keep(self, rest: Trajectory) -> None:
        """Keep the points that the robot was still to reach."""
        self._rest = rest

    def due(self, now_s: float, *, in_tick: bool) -> Floats | None:
        """Return the point (n,) that is due, and keep nothing; None if the trajectory is over.

        Args:
            now_s: The time in seconds, on the clock of the trajectory.
            in_tick: See `Trajectory.elapse`.
        """
        rest, self._rest = self._rest, None
        if rest is None:
            return None
        rest.elapse(now_s, in_tick=in_tick)
        return rest.planned[0] if len(rest.planned) else None

    def take(self, channel: CommandChannel, newest: NDArray[np.float32], now_s: float) -> Floats | None:
        """Return the robot's position, (1, n), and keep nothing; None if the trajectory is over.

        Unmeasured numbers are those of the point that is due.

        Args:
            channel: The commands.
            newest: (obs_dim,) observation of the new episode.
            now_s: The time in seconds, on the clock of the trajectory, at the begin of a tick.
        """
        point = self.due(now_s, in_tick=True)
        if point is None:
            return None
        place = np.empty_like(point)
        channel.measure(newest, place)
        return np.where(channel.measured, place, point)[None]
