"""Records of named numbers, serialised once; a tick only replaces their numbers and sends them."""

import math

from vdd_ros.bags.records import STAMP, RecordLayout, names_of
from vdd_ros.nodes.ros.messages import record_message
from vdd_ros.nodes.ros.preserialized import Floats, ReadyMessage


class ReadyRecord:
    """A sensor_msgs/JointState with a name for each number; see `vdd_ros.bags.records`.

    Args:
        labels: Labels of the numbers, `stamp_s` among them.

    Raises:
        ConfigurationError: See `ReadyMessage`.
    """

    def __init__(self, labels: tuple[str, ...]) -> None:
        count = len(names_of(labels))
        self._message = ReadyMessage(record_message(labels), count, RecordLayout(labels).write, stamped=True)
        self._stamp = labels.index(STAMP)
        self._message.make_room(self._stamp)

    def serialized(self, values: Floats) -> bytes:
        """Return the serialised message with these values (n,), in the order of the labels; NaN as time becomes 0."""
        stamp_s = float(values[self._stamp])
        return self._message.serialized(values, 0 if math.isnan(stamp_s) else round(stamp_s * 1e9))
