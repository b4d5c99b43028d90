"""Readers of whole arrays in a message: number lists, and one interface of several joints."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from vdd_ros.errors import ObservationError, RobotFileError
from vdd_ros.robot.field_paths import missing, split_last, too_short, value_getter
from vdd_ros.robot.layouts import JointLayout
from vdd_ros.text import printable

_SHOWN = 100


class Encoding(NamedTuple):
    """A pixel encoding.

    Attributes:
        dtype: Number type of a channel.
        channels: Numbers per pixel.
        reversed: The encoding with the same channels in the opposite order; empty if none exists.
        quantities: Allowed quantities of the numbers; empty: any.
    """

    dtype: str
    channels: int
    reversed: str = ""
    quantities: tuple[str, ...] = ()


class ArrayReader(Protocol):
    """Location of an array in one message type."""

    def check(self, message: Any, path: str) -> None:
        """Check on a default message that the type has the array; raises RobotFileError naming `path`."""
        ...

    def read(self, message: Any, out: NDArray[Any]) -> None:
        """Copy the array out of a message; on a wrong form raises ObservationError and leaves `out` unchanged."""
        ...


class ListReader:
    """A list of numbers in row-major order, in the field at a path.

    Args:
        field: The path, such as `data`, `ranges` or `data[2:8]`.
        shape: Shape of the array; its size is the length of the list.
    """

    def __init__(self, field: str, shape: Sequence[int]) -> None:
        self._field = field
        path, part = split_last(field)
        self.paths = (path,)
        self._part = slice(part.start, part.stop) if isinstance(part, range) else None
        self._shape = tuple(shape)
        self._size = math.prod(shape)
        self._get = value_getter(path)

    def check(self, message: Any, path: str) -> None:
        """See ArrayReader."""
        kind = type(message).__name__
        try:
            value = self._get(message)
        except ObservationError:  # an element of a list, which is empty in a default message
            return
        except AttributeError as error:
            raise RobotFileError(f"{path}.field: {kind} has no field {self._field!r}: {error}") from None
        try:
            np.asarray(value, np.float64)
        except (TypeError, ValueError):
            numbers = False
        else:
            numbers = hasattr(value, "__len__") and not isinstance(value, str)
        if not numbers:
            raise RobotFileError(
                f"{path}.field: {self._field!r} of {kind} is {type(value).__name__}, not a list of numbers; leave out "
                f"`shape` for a single number"
            )

    def read(self, message: Any, out: NDArray[Any]) -> None:
        """See ArrayReader."""
        self.take([self._get(message)], out)

    def take(self, values: Sequence[Any], out: NDArray[Any]) -> None:
        """See SelectiveArrayReader."""
        (numbers,) = values
        if numbers is None:
            raise missing(self.paths[0])
        if self._part is not None:
            if len(numbers) < self._part.stop:
                raise too_short(self._field, self.paths[0].rpartition(".")[2], len(numbers))
            numbers = numbers[self._part]
        if len(numbers) != self._size:
            raise ObservationError(
                f"{self._field} has {len(numbers):,} numbers; the robot file says {self._size:,} (shape "
                f"{list(self._shape)}). Correct the shape, or make the sensor send that many"
            )
        try:
            out.reshape(-1)[:] = numbers
        except (TypeError, ValueError) as error:  # a list of texts or messages, empty at the check
            raise ObservationError(
                f"{self._field} holds values that are not numbers ({printable(error, _SHOWN)}); correct `field` in the "
                "robot file"
            ) from None


class JointsReader:
    """One interface of several joints, (n,), found by name.

    Args:
        joints: Names of the n joints, in order.
        interface: `position`, `velocity` or `effort`.
    """

    def __init__(self, joints: Sequence[str], interface: str) -> None:
        self._layout = JointLayout([(joint, interface) for joint in joints])
        self._interface = interface
        self.paths = self._layout.paths

    def check(self, message: Any, path: str) -> None:
        """See ArrayReader."""
        if not hasattr(message, "name") or not hasattr(message, self._interface):
            raise RobotFileError(
                f"{path}.joints: {type(message).__name__} has no joints; use sensor_msgs/msg/JointState"
            )

    def read(self, message: Any, out: NDArray[Any]) -> None:
        """See ArrayReader; raises OtherJointsError if the message has none of the joints."""
        self.take([getattr(message, path) for path in self.paths], out)

    def take(self, values: Sequence[Any], out: NDArray[Any]) -> None:
        """See SelectiveArrayReader."""
        picks = self._layout.select(values)
        out[:] = [values[path][index] for path, index in picks]
