"""Messages of std_msgs that are nothing but fields; a number alone, such as `Float64`, does not say what it is of."""

from vdd_ros.robot.messages.fields import no_unit
from vdd_ros.robot.messages.message import Message

BOOL = Message(type="std_msgs/msg/Bool", fields=no_unit("data"))
COLOR_RGBA = Message(type="std_msgs/msg/ColorRGBA", fields=no_unit(*"rgba"))
