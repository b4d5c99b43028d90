"""Plain-field messages of nav_msgs."""

from vdd_ros.robot.messages.fields import POSE, TWIST
from vdd_ros.robot.messages.message import Message

ODOMETRY = Message(
    type="nav_msgs/msg/Odometry", fields={"pose": {"pose": POSE}, "twist": {"twist": TWIST}}, has_header=True
)
