"""geometry_msgs/PoseStamped: a place and an orientation; as a command, the pose to go to.

The orientation is a quaternion whose parts the policy gives and the robot file limits one by one. It goes out as it is:
that its norm is 1 is left to the policy and the controller. A command gives all seven numbers, since a part that is
left out would be a set point too, and zeros are never safe: they are a place, and no rotation.
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
