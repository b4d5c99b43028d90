"""Reads and writes the message fields named in a robot file.

Messages are duck-typed: rclpy's, those that `rosbags` reads and plain stand-ins all do; no ROS package is imported.
The live node, the simulated robot and the conversion of bags share this code.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.errors import RobotFileError
from vdd_ros.features import Feature
from vdd_ros.robot.cdr.format import MessageFormat
from vdd_ros.robot.commands import Command
from vdd_ros.robot.conversion import Conversion
from vdd_ros.robot.field_paths import check_path, elements
from vdd_ros.robot.inputs import Input
from vdd_ros.robot.layouts import FieldLayout, PointLayout
from vdd_ros.robot.quantities import unit_factor
from vdd_ros.robot.raw_messages import Read, array_of, numbers_of

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Numbers = NDArray[np.floating[Any]]


class InputChannel:
    """One input of a robot file: converts between its messages and the observation.

    Attributes:
        source: The input in the robot file.
        columns: (n,) columns of the observation that this input fills.
    """

    def __init__(self, source: Input, observation: Sequence[Feature]) -> None:
        """Bind an input to the observation of a policy or task; see `RobotFile.check` for the errors."""
        self.source = source
        self.columns, self._factors = _bind([(entry.name, entry.unit) for entry in source.entries], observation)
        self._conversion = Conversion(source.entries)
        self._layout = source.message.input_layout(self._conversion.numbers)
        self._numbers = np.empty(len(self._conversion.numbers))
        self._read_bytes: Read = _unexpected

    def expect(self, form: MessageFormat) -> None:
        """Prepare to read serialised messages of this form too."""
        self._read_bytes = numbers_of(form, self._layout, self._read_message)

    def check(self, message: Any) -> None:
        """Check, on a message as its class makes it, that the type has the fields; raises RobotFileError."""
        for entry in self.source.entries:
            path = f"inputs.{self.source.name}.{entry.at}"
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
                is no rotation, or its bytes are damaged.
        """
        read = self._read_bytes if type(message) is bytes else self._read_message
        stamp = read(message, self._numbers)
        self._conversion.read(self._numbers, out)
        out /= self._factors
        return stamp

    def _read_message(self, message: Any, out: Floats) -> int | None:
        self._layout.read(message, out)
        return stamp_ns(message)

    def write(self, observation: Numbers, message: Any) -> None:
        """Put this input's entries of an observation, (obs_dim,) in the policy's units, into a message."""
        self._layout.write(self._conversion.write(observation[self.columns] * self._factors), message)


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
        with np.errstate(over="ignore"):  # values beyond single precision become infinite, and are refused
            stamp = self._read_bytes(message, out) if type(message) is bytes else self._read_message(message, out)
            if self._scale != 1:
                out *= self._scale
            if self._offset:
                out += self._offset
        if self._factor != 1:
            out /= self._factor
        return stamp

    def _read_message(self, message: Any, out: NDArray[Any]) -> int | None:
        self._reader.read(message, out)
        return stamp_ns(message)


class CommandChannel:
    """The command of a robot file: converts between actions and messages.

    Attributes:
        command: The command in the robot file.
        low, high, max_step: (n,) limits in the units of the message.
        relative: (n,) whether each number is relative to an observation entry.
        any_relative: Whether any number is relative.
        measured: (n,) whether an observation entry measures each number.
        starts_anywhere: (n,) whether each number may start at any value: not measured, not a velocity and not set to
            zero by the fail-safe; the latter two start from zero.
        first_step: (n,) largest distance of the first command from its measurement.
        measured_columns: n observation columns that measure the numbers; None for unmeasured ones.
    """

    def __init__(self, command: Command, observation: Sequence[Feature], action: Sequence[Feature]) -> None:
        """Bind a command to the observation and action of a policy or task; see `RobotFile.check` for the errors."""
        self.command = command
        self.low = np.array([entry.low for entry in command.entries])
        self.high = np.array([entry.high for entry in command.entries])
        self.max_step = np.array([entry.max_step for entry in command.entries])
        self.relative = np.array([entry.relative_to is not None for entry in command.entries])
        self.any_relative = bool(self.relative.any())
        self.measured = np.array([entry.measured is not None for entry in command.entries])
        rates = np.array(command.rates)
        self.starts_anywhere = ~(self.measured | rates | (command.on_loss == "zero"))
        self.first_step = np.array([entry.first_step for entry in command.entries])
        self._layout = command.layout
        self._action, self._action_factor = _bind([(e.action, e.unit) for e in command.entries], action)
        self._base, self._base_factor = _bind([(e.relative_to, e.unit) for e in command.entries], observation)
        bases = self._base.tolist(), self._base_factor.tolist()
        self._references = list(zip(self.relative.tolist(), *bases, strict=True))
        self._sums = list(zip(*bases, self._action.tolist(), self._action_factor.tolist(), strict=True))
        self._now, self._now_factor = _bind([(e.measured, e.unit) for e in command.entries], observation)
        self.measured_columns = [
            int(column) if known else None for column, known in zip(self._now, self.measured, strict=True)
        ]
        self._measurements = list(zip(self._now.tolist(), self._now_factor.tolist(), strict=True))

    def check(self, message: Any) -> None:
        """Check, on a message as its class makes it, that the type has the fields; raises RobotFileError."""
        if hasattr(message, "header") != self.command.message.has_header:
            has = "has no header" if self.command.message.has_header else "has a header"
            raise RobotFileError(
                f"command.type: {type(message).__name__} {has}, unlike the registered {self.command.type}; mend its "
                "`has_header` (`vdd_ros.testing.messages.check_message` checks a registered type)"
            )
        if isinstance(self._layout, FieldLayout):
            for index, field in enumerate(self._layout.fields):
                check_path(message, field, f"command.entries[{index}].name")

    def origin(self, seen: list[float], before: list[float]) -> list[float]:
        """Return the origin of the command's step, n numbers: its reference, otherwise the last command.

        Args:
            seen: The observation, obs_dim Python numbers, faster than numpy for so few values.
            before: The last command, n numbers.
        """
        return [
            seen[index] * factor if relative else last
            for last, (relative, index, factor) in zip(before, self._references, strict=True)
        ]

    def measure(self, observation: Numbers, out: Floats) -> None:
        """Write the measured value of each number into `out`, (n,); zero if unmeasured."""
        np.multiply(observation[self._now], self._now_factor, out=out)

    def measurements(self, seen: list[float]) -> list[float]:
        """Return the result of `measure` as a list, for an observation of obs_dim numbers."""
        return [seen[index] * factor for index, factor in self._measurements]

    def from_action(self, action: Numbers, observation: Numbers, out: Floats) -> None:
        """Write the command for an action, (act_dim,), at an observation, (obs_dim,), into `out`, (n,)."""
        out[:] = self.wanted(action.tolist(), observation.tolist())

    def wanted(self, action: list[float], seen: list[float]) -> list[float]:
        """Return the command, n numbers, for an action of act_dim numbers at an observation of obs_dim numbers."""
        return [seen[base] * unit + action[index] * factor for base, unit, index, factor in self._sums]

    def from_action_after(self, action: Numbers, before: Floats, out: Floats) -> None:
        """Write the command for an action, (act_dim,), that follows a command, (n,), into `out`, (n,)."""
        np.multiply(before, self.relative, out=out)
        out += action[self._action] * self._action_factor

    def to_action(self, values: Floats, observation: Numbers, out: Floats) -> None:
        """Write the action that commands `values`, (n,), at an observation, (obs_dim,), into `out`, (act_dim,)."""
        out[self._action] = (values - observation[self._base] * self._base_factor) / self._action_factor

    def read(self, message: Any, out: Floats) -> None:
        """Copy the command, (n,), out of a message; raises ObservationError if the message lacks it."""
        self._layout.read(message, out)

    def write(self, values: Floats, message: Any) -> None:
        """Write a command, (n,), into a message."""
        self._layout.write(values, message)

    def write_trajectory(self, values: Floats, message: Any) -> None:
        """Write commands, (m, n), in order into a message with m points."""
        if not isinstance(self._layout, PointLayout):
            raise TypeError(f"{self.command.type} has no points")
        for number, point in enumerate(values):
            self._layout.write_point(point, message, number)


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


def _bind(wanted: Sequence[tuple[str | None, str]], entries: Sequence[Feature]) -> tuple[Indices, Floats]:
    """Return, for each name and unit, the entry's index and the factor to that unit; index and factor 0 for no name."""
    found = {entry.name: (index, entry.unit) for index, entry in enumerate(entries)}
    bound = [
        (0, 0.0) if name is None else (found[name][0], unit_factor(found[name][1], unit, name)) for name, unit in wanted
    ]
    return np.array([index for index, _ in bound], dtype=np.int64), np.array([factor for _, factor in bound])


def _check_quaternion(message: Any, field: str, path: str) -> None:
    paths = elements(field)
    for number in paths if len(paths) > 1 else [f"{field}.{part}" for part in "xyzw"]:
        check_path(message, number, path)
