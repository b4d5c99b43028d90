"""geometry_msgs/PoseStamped: position and orientation; as a command, the target pose.

The orientation is a quaternion, best commanded as a `rotation`, which is limited by its angle and normalised. Four
separate components are limited one by one and sent as they are. A command needs all seven numbers, since the default of
an omitted one would be a set point too. Zeros are never safe: they are a position, but not a rotation.
"""

from vdd_ros.robot.messages.fields import POSE
from vdd_ros.robot.messages.message import Message

MESSAGE = Message(
    type="geometry_msgs/msg/PoseStamped",
    fields={"pose": POSE},
    commands=True,
    has_header=True,
    zero_is_safe=False,
    complete=True,
)
