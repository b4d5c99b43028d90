"""The progress of a trajectory that was sent: the points that are over, and those still to come."""

import math

import numpy as np

from vdd_ros.robot.command_channel import Floats


class Trajectory:
    """The points of the last trajectory, a period apart; the robot follows them even if ticks are lost.

    Args:
        size: Numbers of a point.
        period_s: Time between the points.

    Attributes:
        points: (m, size) all points; none before the first trajectory and after `drop`.
        planned: The points from the one that is due on.
        passed: The last set point before that one, (size,).
        now_s: The time up to which it has advanced, in seconds.
    """

    def __init__(self, size: int, period_s: float) -> None:
        self.points: Floats = np.empty((0, size))
        self.planned = self.points
        self.passed = [0.0] * size
        self.now_s = math.inf
        self._sent_s = math.inf
        self._period_s = period_s

    def begin(self, points: Floats, now_s: float) -> None:
        """Take the points (m, size) sent at a time, in seconds; the first one is under way."""
        self.points, self.planned = points, points[1:]
        self._sent_s, self.passed = now_s, points[0].tolist()

    def elapse(self, now_s: float, *, in_tick: bool = True) -> None:
        """Advance to a time in seconds.

        Args:
            now_s: The time.
            in_tick: Whether a tick begins now, early or late; otherwise the due point is the one under way, since the
                robot would have to hurry to reach a later one within a period.
        """
        self.now_s = now_s
        if not len(self.planned):
            return
        periods = (now_s - self._sent_s) / self._period_s
        over = max(0, round(periods) if in_tick else math.floor(periods))
        self.planned = self.points[over:]
        if over:
            self.passed = self.points[: min(over, len(self.points))][-1].tolist()

    def step(self) -> Floats | None:
        """Note that the point that was due is under way, and return it, (size,); None if the trajectory is over."""
        if not len(self.planned):
            return None
        point, self.planned = self.planned[0].copy(), self.planned[1:]
        self.passed = point.tolist()
        return point

    def stop(self, place: list[float]) -> None:
        """Note that the robot was sent to a place, (size,), in place of the rest."""
        self.passed, self.planned = place, self.planned[:0]

    def rest(self) -> "Trajectory":
        """Return the points to come, the first of which is due, as a trajectory of their own."""
        rest = Trajectory(len(self.passed), self._period_s)
        rest.points = rest.planned = self.planned.copy()
        rest._sent_s = self._sent_s + (len(self.points) - len(self.planned)) * self._period_s
        return rest

    def drop(self) -> None:
        """Forget all points."""
        self.planned = self.points = self.points[:0]
