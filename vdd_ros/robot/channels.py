"""Reads and writes the inputs named in a robot file.

Messages are duck-typed: those of rclpy, of `rosbags`, and plain stand-ins all work; no ROS package is imported. The
live node, the simulated robot and the conversion of bags share this code.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.errors import RobotFileError
from vdd_ros.features import Feature
from vdd_ros.robot.binding import bind
from vdd_ros.robot.cdr.columns import Columns
from vdd_ros.robot.cdr.format import MessageFormat
from vdd_ros.robot.cdr.packed import Packed
from vdd_ros.robot.conversion import Conversion
from vdd_ros.robot.field_paths import check_path, elements
from vdd_ros.robot.framing import Framing
from vdd_ros.robot.inputs import Input
from vdd_ros.robot.quantities import unit_factor
from vdd_ros.robot.raw_messages import Read, array_of, columns_of, numbers_of

Floats = NDArray[np.float64]
Numbers = NDArray[np.floating[Any]]


class InputChannel:
    """One input of a robot file: converts between its messages and the observation.

    Attributes:
        source: The input in the robot file.
        columns: (n,) columns of the observation that this input fills.
    """

    def __init__(self, source: Input, observation: Sequence[Feature]) -> None:
        """Bind an input to the observation of a policy or task; see `RobotFile.check` for the errors.

        Args:
            source: The input.
            observation: Features of the vector. Hidden entries that are not among them follow them.
        """
        self.source = source
        names = {feature.name for feature in observation}
        features = [*observation, *(feature for feature in source.hidden if feature.name not in names)]
        self.columns, self._factors = bind([(entry.name, entry.unit) for entry in source.entries], features)
        self._size = len(observation)
        self._differences = [
            (index, *(each[0] for each in bind([(entry.minus, entry.unit)], observation)))
            for index, entry in enumerate(source.entries)
            if entry.minus in names
        ]
        self._conversion = Conversion(source.entries)
        self._layout = self._written = source.layout
        self.framing: Framing | None = None
        """Transforms the numbers into the input's frame; None if it names none."""
        if source.frame:
            self.framing = Framing(source.message, source.frame, self._conversion.numbers, source.max_age_s)
            self._layout = source.message.input_layout(self.framing.numbers)
        self._stamp_ns: Callable[[Any], int | None] = getattr(self._layout, "stamp_ns", stamp_ns)
        self._numbers = np.empty(len(self._conversion.numbers))
        self._read_bytes: Read = _unexpected
        self._read_columns: Callable[[Packed], Columns] | None = None

    def expect(self, form: MessageFormat) -> None:
        """Prepare to read serialised messages of this form too."""
        self._read_bytes = numbers_of(form, self._layout, self._read_message)
        self._read_columns = columns_of(form, self._layout, len(self._numbers), self._read_message)
        if self.framing is not None:
            self.framing.expect(form)

    def check(self, message: Any) -> None:
        """Check on a default message that the type has the fields; raises RobotFileError."""
        message = self.source.message.part_read(message)
        for entry in self.source.entries:
            path = f"inputs.{self.source.name}.{entry.at}"
            if entry.constant is not None or entry.commands is not None:
                continue
            if entry.rotation:
                _check_quaternion(message, str(entry.field), f"{path}.field")
            elif entry.field is not None:
                check_path(message, entry.field, f"{path}.field")
            elif not hasattr(message, "name") or not hasattr(message, str(entry.interface)):
                raise RobotFileError(f"{path}.joint: {self.source.type} has no joints; use sensor_msgs/msg/JointState")

    def read(self, message: Any, out: Floats) -> int | None:
        """Copy the entries out of a message into `out`, (n,), in the policy's units.

        Args:
            message: The message, or its bytes with their encapsulation header after `expect`.
            out: Receives the numbers.

        Returns:
            The message's stamp; see `stamp_ns`.

        Raises:
            ObservationError: The message lacks a joint or an element, its lengths contradict each other, a quaternion
                is not a rotation, no transform to the frame is known, or its bytes are damaged.
        """
        read = self._read_bytes if type(message) is bytes else self._read_message
        numbers = out if self._conversion.is_identity else self._numbers
        if self.framing is None:
            stamp = read(message, numbers)
        else:
            stamp = self.framing.read(message, read, numbers, stamped=self.source.stamp == "header")
        if numbers is not out:
            self._conversion.read(numbers, out)
        out /= self._factors
        return stamp

    def read_columns(self, contents: Packed) -> Columns:
        """Read the entries of m messages at once, with the same result as `read` on each.

        Args:
            contents: The messages, of the form given to `expect`; not for an input that names a frame.

        Returns:
            The entries, (m, n), in the policy's units, with stamps and errors.
        """
        if self._read_columns is None or self.framing is not None:
            raise TypeError("columns were requested before `expect`, or of an input that names a frame")
        found = self._read_columns(contents)
        with np.errstate(all="ignore"):  # non-finite values are refused later
            numbers, errors = self._conversion.read_rows(found.numbers, found.errors)
            numbers /= self._factors
        return Columns(numbers, found.stamps_ns, found.errors | errors)

    def _read_message(self, message: Any, out: Floats) -> int | None:
        self._layout.read(message, out)
        return self._stamp_ns(message)

    def write(self, observation: Numbers, message: Any) -> None:
        """Write this input's entries of an observation, (obs_dim,) in the policy's units, into a message.

        For a difference, the message gets the sum with the subtracted entry. Hidden entries are 0.
        """
        if self._size <= self.columns.max():
            observation = np.append(observation, np.zeros(self.columns.max() + 1 - self._size))
        values = observation[self.columns] * self._factors
        for index, column, factor in self._differences:
            values[index] += observation[column] * factor
        self._written.write(self._conversion.write(values), message)
        if self.source.frame:
            message.header.frame_id = self.source.frame


class ArrayChannel:
    """One array input of a robot file: converts its messages to the observation.

    Attributes:
        source: The input in the robot file.
        feature: The policy's array feature.
    """

    def __init__(self, source: Input, observation: Sequence[Feature]) -> None:
        """Bind an input to the observation of a policy; see `RobotFile.check` for the errors."""
        entry = source.entries[0]
        self.source = source
        self.feature = next(feature for feature in observation if feature.name == entry.name)
        self._factor = unit_factor(self.feature.unit, entry.unit, entry.name)
        self._scale, self._offset = entry.scale, entry.offset
        self._numbers = np.empty(entry.shape) if self._scale != 1 or self._offset else None
        """The numbers in double precision, for scale and offset; None without them."""
        self._reader = source.message.array_reader(entry)
        self._read_bytes: Read = _unexpected

    def expect(self, form: MessageFormat) -> None:
        """Prepare to read serialised messages of this form too."""
        self._read_bytes = array_of(form, self._reader, self._read_message)

    def check(self, message: Any) -> None:
        """Check on a default message that the type has the array; raises RobotFileError."""
        self._reader.check(message, f"inputs.{self.source.name}.entries.{self.feature.name}")

    def read(self, message: Any, out: NDArray[Any]) -> int | None:
        """Copy the array out of a message into `out`, of the feature's shape and type, in the policy's unit.

        Args:
            message: The message, or its bytes with their encapsulation header after `expect`.
            out: Receives the array.

        Returns:
            The message's stamp; see `stamp_ns`.

        Raises:
            ObservationError: The array has another form in the message, or its bytes are damaged.
        """
        read = self._read_bytes if type(message) is bytes else self._read_message
        with np.errstate(over="ignore"):  # values beyond single precision become infinite, and are refused
            if self._numbers is None:
                stamp = read(message, out)
            else:
                stamp = read(message, self._numbers)
                self._numbers *= self._scale
                self._numbers += self._offset
                out[...] = self._numbers
        if self._factor != 1:
            out /= self._factor
        return stamp

    def _read_message(self, message: Any, out: NDArray[Any]) -> int | None:
        self._reader.read(message, out)
        return stamp_ns(message)


def _unexpected(message: Any, out: NDArray[Any]) -> int | None:
    raise TypeError("bytes of a message were given before `expect`")


def stamp_ns(message: Any) -> int | None:
    """Return a message's stamp in nanoseconds, or None without a header or with a zero stamp."""
    header = getattr(message, "header", None)
    if header is None:
        return None
    return header.stamp.sec * 1_000_000_000 + header.stamp.nanosec or None


def set_stamp(message: Any, stamp: int) -> None:
    """Set a message's stamp, in nanoseconds, if it has a header."""
    header = getattr(message, "header", None)
    if header is not None:
        header.stamp.sec, header.stamp.nanosec = divmod(stamp, 1_000_000_000)


def _check_quaternion(message: Any, field: str, path: str) -> None:
    paths = elements(field)
    for number in paths if len(paths) > 1 else [f"{field}.{part}" for part in "xyzw"]:
        check_path(message, number, path)
