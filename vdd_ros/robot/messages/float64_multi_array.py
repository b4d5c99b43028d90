"""std_msgs/Float64MultiArray: numbers in the order of the robot file's labels."""

from collections.abc import Sequence
from dataclasses import dataclass

from vdd_ros.robot.layouts import ArrayLayout, Layout
from vdd_ros.robot.messages.message import Message


@dataclass(frozen=True, kw_only=True)
class Float64MultiArray(Message):
    """A Float64MultiArray; its numbers may have any quantity."""

    def command_layout(self, names: Sequence[str], units: Sequence[str]) -> Layout:
        """See Message."""
        return ArrayLayout(len(names))


MESSAGE = Float64MultiArray(type="std_msgs/msg/Float64MultiArray", named_by="label", commands=True)
