"""Messages that are serialised once, so that a tick replaces their numbers and sends them."""

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.serialization import deserialize_message, serialize_message
from rclpy.utilities import get_rmw_implementation_identifier

from vdd_ros.bags.cdr import CdrExtent
from vdd_ros.errors import ConfigurationError
from vdd_ros.robot.channels import set_stamp

Floats = NDArray[np.float64]

_MARKED_STAMP = (1_234_567_890, 987_654_321)
_STAMP = struct.Struct("=iI")


class ReadyMessage:
    """A message of which nothing but some numbers, and perhaps its stamp, ever changes.

    At each publish rclpy converts a message field by field, in Python's objects, labels too. Putting numbers where they
    stand among the serialised bytes takes a fraction of that.

    Args:
        message: As it is to be sent, but for its numbers; this changes them.
        count: How many numbers it holds, all of them float64.
        fill: Puts (count,) numbers into a message.
        stamped: Whether `header.stamp` is replaced too.

    Raises:
        ConfigurationError: The middleware does not serialise as CDR, with every number once.
    """

    def __init__(self, message: Any, count: int, fill: Callable[[Floats, Any], None], *, stamped: bool = False) -> None:
        marks = np.random.default_rng(0).random(count)  # found again by their bytes
        fill(marks, message)
        if stamped:
            set_stamp(message, _MARKED_STAMP[0] * 1_000_000_000 + _MARKED_STAMP[1])
        self._bytes = bytearray(serialized_exactly(message))
        places = [self._place(mark.tobytes(), message) for mark in marks]
        self._runs = [
            (slice(first, last), np.frombuffer(self._bytes, np.float64, last - first, places[first]))
            for first, last in _runs(places)
        ]
        self._stamp_place = self._place(_STAMP.pack(*_MARKED_STAMP), message) if stamped else None
        self.serialized(np.zeros(count))

    def serialized(self, values: Floats, stamp_ns: int = 0) -> bytes:
        """Return the serialised message with these numbers, (count,), and, where it is stamped, this stamp."""
        for numbers, place in self._runs:
            place[:] = values[numbers]
        if self._stamp_place is not None:
            _STAMP.pack_into(self._bytes, self._stamp_place, *divmod(stamp_ns, 1_000_000_000))
        return bytes(self._bytes)

    def make_room(self, index: int) -> None:
        """Take numbers with one more at an index, which is passed over, from now on."""
        parts = [
            part
            for numbers, place in self._runs
            for part in (
                (numbers.start, place[: max(index - numbers.start, 0)]),
                (max(numbers.start, index) + 1, place[max(index - numbers.start, 0) :]),
            )
            if len(part[1])
        ]
        self._runs = [(slice(start, start + len(place)), place) for start, place in parts]

    def _place(self, mark: bytes, message: Any) -> int:
        if self._bytes.count(mark) != 1:
            raise _unknown_serialisation(message)
        return self._bytes.find(mark)


def serialized_exactly(message: Any) -> bytes:
    """Return a serialised message without the bytes that `serialize_message` does not write.

    Fast DDS estimates the length, for an empty list too long. What stands behind the end and in the gaps of the
    alignment is whatever was in memory: that is cut off, and these are zero here.

    Raises:
        ConfigurationError: The middleware does not serialise as CDR.
    """
    extent = CdrExtent(message)
    content = _cut(message, extent)
    try:
        again = _cut(deserialize_message(content, type(message)), extent)  # bytes: NaN is not equal to NaN
    except RuntimeError:  # rclpy's errors of the middleware are of this class
        again = b""
    if again != content or len(content) != extent.length:
        raise _unknown_serialisation(message)
    return content


def _cut(message: Any, extent: CdrExtent) -> bytes:
    content = bytearray(serialize_message(message)[: extent.length])
    for gap in extent.gaps:
        content[gap] = bytes(gap.stop - gap.start)
    return bytes(content)


def _unknown_serialisation(message: Any) -> ConfigurationError:
    return ConfigurationError(
        f"{get_rmw_implementation_identifier()} serialises {type(message).__name__} in a way that is not known here; "
        "use a middleware whose messages are CDR, such as rmw_fastrtps_cpp"
    )


def _runs(places: list[int]) -> list[tuple[int, int]]:
    """Return the stretches of numbers, as first and one after the last, that stand one after the other."""
    breaks = [index for index in range(1, len(places)) if places[index] != places[index - 1] + 8]
    return list(zip([0, *breaks], [*breaks, len(places)], strict=True))
