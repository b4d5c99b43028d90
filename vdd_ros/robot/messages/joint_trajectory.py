"""trajectory_msgs/JointTrajectory: joint positions or velocities at one or more instants."""

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.errors import ObservationError
from vdd_ros.robot.cdr.readers import Pick
from vdd_ros.robot.layouts import Layout, shown_names
from vdd_ros.robot.messages.message import Message
from vdd_ros.robot.quantities import POSITIONS, VELOCITIES

Floats = NDArray[np.float64]

POINT = "trajectory_msgs/msg/JointTrajectoryPoint"


class TrajectoryLayout:
    """Numbers of a JointTrajectory point, by default the first, found by joint name.

    Before writing, the message needs its points: `message.points = [JointTrajectoryPoint()]`. Other lists of a point
    stay empty.

    Args:
        joints: Names of the joints.
        numbers: The list to use: `positions` or `velocities`.
    """

    def __init__(self, joints: Sequence[str], numbers: str = "positions") -> None:
        self._joints = tuple(joints)
        self._numbers = numbers
        self.paths = ("joint_names", f"points[0].{numbers}")

    def read(self, message: Any, out: Floats) -> None:
        """See Layout."""
        numbers = getattr(message.points[0], self._numbers) if message.points else None
        for slot, (_, index) in enumerate(self.select([message.joint_names, numbers])):
            out[slot] = numbers[index]  # type: ignore[index]  # `select` refuses None

    def select(self, values: Sequence[Any]) -> list[Pick]:
        """See SelectiveLayout."""
        names, numbers = list(values[0]), values[1]
        missing = [name for name in self._joints if name not in names]
        if missing:
            raise ObservationError(f"a JointTrajectory lacks the joints {missing}; it has {shown_names(names)}")
        if numbers is None or len(numbers) != len(names):
            raise ObservationError(
                f"a JointTrajectory of {len(names)} joints has no such {self._numbers} in its first point"
            )
        return [(1, names.index(name)) for name in self._joints]

    def write(self, values: Floats, message: Any) -> None:
        """See Layout."""
        self.write_point(values, message, 0)

    def write_point(self, values: Floats, message: Any, number: int) -> None:
        """See PointLayout."""
        point = message.points[number]
        if len(getattr(point, self._numbers)) != len(self._joints):
            message.joint_names = list(self._joints)
            setattr(point, self._numbers, array("d", bytes(8 * len(self._joints))))
        np.frombuffer(getattr(point, self._numbers))[:] = values


@dataclass(frozen=True, kw_only=True)
class JointTrajectory(Message):
    """A JointTrajectory; controllers read a zero stamp as "now", any other as the start time."""

    def command_layout(self, names: Sequence[str], units: Sequence[str]) -> Layout:
        """See Message."""
        return TrajectoryLayout(names, self.list_of(units[0]))

    def empty(self, new: Callable[[str], Any], *, points: int = 1, period_s: float = 0.0) -> Any:
        """See Message."""
        message = new(self.type)
        message.points = [new(POINT) for _ in range(points)]
        for number, point in enumerate(message.points, start=1):
            at_ns = round(number * period_s * 1e9)
            point.time_from_start.sec, point.time_from_start.nanosec = divmod(at_ns, 1_000_000_000)
        return message


MESSAGE = JointTrajectory(
    type="trajectory_msgs/msg/JointTrajectory",
    lists={"positions": POSITIONS, "velocities": VELOCITIES},
    named_by="joint",
    observed=False,
    commands=True,
    has_header=True,
    keeps_zero_stamp=True,
    has_points=True,
)
