"""sensor_msgs/JointState: positions, velocities or efforts by joint name, in any order."""

from collections.abc import Sequence
from dataclasses import dataclass

from vdd_ros.robot.layouts import JointLayout, Layout
from vdd_ros.robot.messages.message import Message
from vdd_ros.robot.quantities import EFFORTS, POSITIONS, VELOCITIES


@dataclass(frozen=True, kw_only=True)
class JointState(Message):
    """A JointState; units are linear for prismatic joints and angular for revolute ones, in all lists."""

    def command_layout(self, names: Sequence[str], units: Sequence[str]) -> Layout:
        """See Message."""
        return JointLayout([(name, self.list_of(units[0])) for name in names])


MESSAGE = JointState(
    type="sensor_msgs/msg/JointState",
    lists={"position": POSITIONS, "velocity": VELOCITIES, "effort": EFFORTS},
    named_by="joint",
    commands=True,
    has_header=True,
)
