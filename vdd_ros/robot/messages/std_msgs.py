"""Plain-field messages of std_msgs; the quantity of a bare number, such as `Float64`, is unknown."""

from vdd_ros.robot.messages.fields import no_unit
from vdd_ros.robot.messages.message import Message

BOOL = Message(type="std_msgs/msg/Bool", fields=no_unit("data"))
COLOR_RGBA = Message(type="std_msgs/msg/ColorRGBA", fields=no_unit(*"rgba"))
