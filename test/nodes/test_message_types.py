"""Message types that a robot file names and that are not there."""

import pytest

pytest.importorskip("rclpy")

from vdd_ros.errors import RobotFileError
from vdd_ros.nodes.ros.messages import message_class


def test_a_message_that_its_package_lacks_is_answered_with_a_near_one() -> None:
    with pytest.raises(
        RobotFileError, match=r"sensor_msgs has no such message \(did you mean sensor_msgs/msg/JointState"
    ):
        message_class("sensor_msgs/msg/JointStates")


def test_a_package_that_is_not_installed_is_named() -> None:
    with pytest.raises(RobotFileError, match="the package nobodys_msgs is not installed here"):
        message_class("nobodys_msgs/msg/Thing")
