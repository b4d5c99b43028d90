"""geometry_msgs/TwistStamped: linear and angular velocity; omitted command numbers stay zero, so nothing moves."""

from vdd_ros.robot.messages.fields import TWIST
from vdd_ros.robot.messages.message import Message

MESSAGE = Message(type="geometry_msgs/msg/TwistStamped", fields={"twist": TWIST}, commands=True, has_header=True)
