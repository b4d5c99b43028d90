"""Messages serialised once; a tick only replaces their numbers and sends them."""

import struct
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.serialization import deserialize_message, serialize_message
from rclpy.utilities import get_rmw_implementation_identifier

from vdd_ros.bags.cdr import CdrExtent, Number
from vdd_ros.errors import ConfigurationError
from vdd_ros.robot.channels import set_stamp

Floats = NDArray[np.float64]
Fill = Callable[[Floats, Any], None]
_View = tuple[slice, NDArray[Any]]

_MARKED_STAMP = (1_234_567_890, 987_654_321)
_STAMP = struct.Struct("=iI")


class ReadyMessage:
    """A message in which only some numbers, and optionally the stamp, ever change.

    rclpy converts a message field by field at each publish, labels included. Writing numbers into the serialised bytes
    takes a fraction of that time.

    Args:
        message: The message to send, apart from its numbers, which are overwritten.
        count: Number of numbers it holds, of any type; integers are rounded.
        fill: Writes (count,) numbers into a message, each unchanged into one field.
        stamped: Whether `header.stamp` is also replaced.

    Attributes:
        dtypes: Types of the `count` numbers in the message.

    Raises:
        ConfigurationError: The middleware does not serialise as CDR, or a number of `fill` cannot be located in the
            bytes.
    """

    def __init__(self, message: Any, count: int, fill: Fill, *, stamped: bool = False) -> None:
        if stamped:
            set_stamp(message, _MARKED_STAMP[0] * 1_000_000_000 + _MARKED_STAMP[1])
        numbers = _find(message, count, fill)
        self.dtypes = [number.dtype for number in numbers]
        self._bytes = bytearray(serialized_exactly(message))
        views = [
            (slice(first, last), np.frombuffer(self._bytes, self.dtypes[first], last - first, numbers[first].place))
            for first, last in _runs(numbers)
        ]
        self._runs = [view for view in views if view[1].dtype.kind == "f"]
        self._whole = [view for view in views if view[1].dtype.kind != "f"]
        self._stamp_place = self._place(_STAMP.pack(*_MARKED_STAMP), message) if stamped else None
        self._compare(message, fill)
        self.serialized(np.zeros(count))

    def serialized(self, values: Floats, stamp_ns: int = 0) -> bytes:
        """Return the serialised message with these numbers, (count,), and, if stamped, this stamp in nanoseconds."""
        for numbers, place in self._runs:
            place[:] = values[numbers]
        for numbers, place in self._whole:
            place[:] = np.rint(values[numbers])
        if self._stamp_place is not None:
            _STAMP.pack_into(self._bytes, self._stamp_place, *divmod(stamp_ns, 1_000_000_000))
        return bytes(self._bytes)

    def make_room(self, index: int) -> None:
        """From now on, take arrays with one extra number at an index, which is skipped."""
        self._runs, self._whole = _with_room(self._runs, index), _with_room(self._whole, index)

    def _compare(self, message: Any, fill: Fill) -> None:
        """Refuse a message whose numbers cannot be read back as written."""
        marks = np.random.default_rng(0).random(len(self.dtypes))
        values = np.array([mark if dtype.kind == "f" else 1.0 for mark, dtype in zip(marks, self.dtypes, strict=True)])
        fill(values, message)
        stamp = _MARKED_STAMP[0] * 1_000_000_000 + _MARKED_STAMP[1]
        if self.serialized(values, stamp) != serialized_exactly(message):
            raise _not_found(message, len(values))

    def _place(self, mark: bytes, message: Any) -> int:
        if self._bytes.count(mark) != 1:
            raise _unknown_serialisation(message)
        return self._bytes.find(mark)


def serialized_exactly(message: Any) -> bytes:
    """Return a serialised message without uninitialised bytes.

    Fast DDS overestimates the length if a list is empty. Bytes behind the end and alignment gaps hold arbitrary memory;
    here the former are cut off and the latter zeroed.

    Raises:
        ConfigurationError: The middleware does not serialise as CDR.
    """
    extent = CdrExtent(message)
    content = _cut(message, extent)
    try:
        again = _cut(deserialize_message(content, type(message)), extent)  # bytes: NaN is not equal to NaN
    except RuntimeError:  # rclpy raises middleware errors as this class
        again = b""
    if again != content or len(content) != extent.length:
        raise _unknown_serialisation(message)
    return content


def number_range(dtype: np.dtype[Any]) -> tuple[float, float]:
    """Return the smallest and the largest number of a type."""
    if dtype.kind == "b":
        return 0.0, 1.0
    limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    return float(limits.min), float(limits.max)


def _cut(message: Any, extent: CdrExtent) -> bytes:
    content = bytearray(serialize_message(message)[: extent.length])
    for gap in extent.gaps:
        content[gap] = bytes(gap.stop - gap.start)
    return bytes(content)


def _unknown_serialisation(message: Any) -> ConfigurationError:
    return ConfigurationError(
        f"{get_rmw_implementation_identifier()} serialises {type(message).__name__} in an unknown format; "
        "use a middleware whose messages are CDR, such as rmw_fastrtps_cpp"
    )


def _not_found(message: Any, count: int) -> ConfigurationError:
    return ConfigurationError(
        f"the {count} numbers of a command cannot be located in a {type(message).__name__}; each must be in one "
        f"field, unchanged (`vdd_ros.testing.messages.check_message` checks a registered type)"
    )


def _find(message: Any, count: int, fill: Fill) -> list[Number]:
    """Return the position of each number in the serialised message.

    Numbers are filled with zeros and ones only, which every type can hold: fill k writes bit k of each number's index,
    so the values read at one position over all fills spell the index of its number.
    """
    zeros, ones = (_contents(message, np.full(count, value), fill) for value in (0.0, 1.0))
    numbers = CdrExtent(message).numbers
    indices = np.arange(count)
    found = [0] * len(numbers)
    for bit in range((count - 1).bit_length()):
        contents = _contents(message, (indices >> bit & 1).astype(np.float64), fill)
        if len(contents) != len(zeros):
            raise _not_found(message, count)
        for slot, content in enumerate(contents):
            found[slot] |= (content == ones[slot]) << bit
    if len(zeros) != len(ones):
        raise _not_found(message, count)
    by_index = sorted((found[slot], slot) for slot in range(len(numbers)) if zeros[slot] != ones[slot])
    if [index for index, _ in by_index] != indices.tolist():
        raise _not_found(message, count)
    return [numbers[slot] for _, slot in by_index]


def _contents(message: Any, values: Floats, fill: Fill) -> list[bytes]:
    """Return the number bytes of a message filled with these values."""
    fill(values, message)
    content = serialized_exactly(message)
    return [content[place : place + dtype.itemsize] for place, dtype in CdrExtent(message).numbers]


def _runs(numbers: list[Number]) -> list[tuple[int, int]]:
    """Return contiguous runs of numbers of one type, as (first, end)."""
    breaks = [
        index
        for index, (before, number) in enumerate(pairwise(numbers), start=1)
        if number != (before.place + before.dtype.itemsize, before.dtype)
    ]
    return list(zip([0, *breaks], [*breaks, len(numbers)], strict=True))


def _with_room(views: list[_View], index: int) -> list[_View]:
    """Return views for an array with one extra number at an index."""
    parts = [
        part
        for numbers, place in views
        for part in (
            (numbers.start, place[: max(index - numbers.start, 0)]),
            (max(numbers.start, index) + 1, place[max(index - numbers.start, 0) :]),
        )
        if len(part[1])
    ]
    return [(slice(start, start + len(place)), place) for start, place in parts]
