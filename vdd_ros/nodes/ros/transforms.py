"""Subscribes to the transforms between frames."""

from typing import Any

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from vdd_ros.nodes.ros.messages import message_class
from vdd_ros.nodes.ros.polled_subscriptions import TickInputs
from vdd_ros.robot.transforms import TF, TF_STATIC, TF_TYPE, TransformBuffer

_MOVING = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
STATIC = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""The profile of tf2's listener, like `_MOVING`."""


def subscribe_to_transforms(inputs: TickInputs, transforms: TransformBuffer) -> None:
    """Hand transforms over before the messages of topics that are added later.

    Args:
        inputs: The node's inputs.
        transforms: Receives them.

    Raises:
        RobotFileError: The package tf2_msgs is not installed.
    """
    kind = message_class(TF_TYPE)

    def moving(message: Any, _: float) -> None:
        transforms.receive(message, static=False)

    def fixed(message: Any, _: float) -> None:
        transforms.receive(message, static=True)

    inputs.add(kind, TF_STATIC, fixed, STATIC)
    inputs.add(kind, TF, moving, _MOVING)
