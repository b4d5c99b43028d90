"""std_msgs/Float64MultiArray: numbers in order, which the labels of a robot file name."""

from collections.abc import Sequence
from dataclasses import dataclass

from vdd_ros.robot.layouts import ArrayLayout, Layout
from vdd_ros.robot.messages.message import Message


@dataclass(frozen=True, kw_only=True)
class Float64MultiArray(Message):
    """A Float64MultiArray; what its numbers are it does not say."""

    def command_layout(self, names: Sequence[str], units: Sequence[str]) -> Layout:
        """See Message."""
        return ArrayLayout(len(names))


MESSAGE = Float64MultiArray(type="std_msgs/msg/Float64MultiArray", named_by="label", commands=True)
