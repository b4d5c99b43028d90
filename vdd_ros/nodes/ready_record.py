"""Records of named numbers that are serialised once, so that a tick replaces their numbers and sends them."""

import math

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.records import STAMP, RecordLayout, names_of
from vdd_ros.nodes.message_types import record_message
from vdd_ros.nodes.ready_message import ReadyMessage

Floats = NDArray[np.float64]


class ReadyRecord:
    """A sensor_msgs/JointState with a name for each number; see `vdd_ros.data.records`.

    Args:
        labels: Of the numbers, `stamp_s` among them.

    Raises:
        ConfigurationError: See `ReadyMessage`.
    """

    def __init__(self, labels: tuple[str, ...]) -> None:
        count = len(names_of(labels))
        self._message = ReadyMessage(record_message(labels), count, RecordLayout(labels).write, stamped=True)
        self._stamp = labels.index(STAMP)
        self._numbers = np.empty(count)

    def serialized(self, values: Floats) -> bytes:
        """Return the serialised message with these values (n,), in the order of the labels; NaN as time becomes 0."""
        place, numbers = self._stamp, self._numbers
        numbers[:place] = values[:place]
        numbers[place:] = values[place + 1 :]
        stamp_s = float(values[place])
        return self._message.serialized(numbers, 0 if math.isnan(stamp_s) else round(stamp_s * 1e9))
