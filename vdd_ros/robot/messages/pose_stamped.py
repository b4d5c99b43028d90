"""geometry_msgs/PoseStamped: position and orientation; as a command, the target pose.

The orientation is a quaternion; the policy gives its components and the robot file limits each. It is sent as is:
policy and controller must ensure unit norm. A command gives all seven numbers, since an omitted one would be a set
point too. Zeros are never safe: they are a position, and not a rotation.
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
