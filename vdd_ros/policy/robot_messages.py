"""Reads and writes the fields that a robot file names.

Messages are duck-typed: rclpy's, those that `rosbags` reads and plain stand-ins all do; no ROS package is imported.
The live node, the simulated robot and the conversion of bags share this code.
"""

from array import array
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vdd_ros.errors import ObservationError, RobotFileError
from vdd_ros.policy.command_types import COMMANDS
from vdd_ros.policy.quantities import unit_factor
from vdd_ros.policy.robot import Command, Input, InputEntry, NamedUnit
from vdd_ros.text import printable

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Numbers = NDArray[np.floating[Any]]
_ORDERS_KEPT = 100
_LONGEST_KEPT = 1000
_NAMES_SHOWN = 10


class Layout(Protocol):
    """Where n numbers stand in one type of message."""

    def read(self, message: Any, out: Floats) -> None:
        """Copy the numbers, (n,), out of a message; raises ObservationError where it does not hold them."""
        ...

    def write(self, values: Floats, message: Any) -> None:
        """Put the numbers, (n,), into a message."""
        ...


class FieldLayout:
    """Numbers in fields that are named by dot-paths, such as `pose.position.x`."""

    def __init__(self, fields: Sequence[str]) -> None:
        self.fields = tuple(fields)
        self._get = attrgetter(*fields)
        parents = [field.rpartition(".") for field in fields]
        self._set = [(attrgetter(parent) if parent else _itself, leaf) for parent, _, leaf in parents]

    def read(self, message: Any, out: Floats) -> None:
        """See Layout."""
        out[:] = self._get(message)

    def write(self, values: Floats, message: Any) -> None:
        """See Layout."""
        for (parent, leaf), value in zip(self._set, values.tolist(), strict=True):
            setattr(parent(message), leaf, value)


class OtherJointsError(ObservationError):
    """A JointState of none of the joints that are read: it belongs to somebody else on the same topic."""


class JointLayout:
    """Numbers of a JointState, found by the joint's name in whatever order the message has."""

    def __init__(self, joints: Sequence[tuple[str, str]]) -> None:
        self._joints = tuple(joints)
        self._names = list(dict.fromkeys(name for name, _ in joints))
        self._interfaces = list(dict.fromkeys(interface for _, interface in joints))
        self._order: dict[tuple[str, ...], list[tuple[str, int]] | None] = {}

    def read(self, message: Any, out: Floats) -> None:
        """See Layout; raises OtherJointsError where the message has none of the joints."""
        names = tuple(message.name)
        try:
            places = self._order[names]
        except KeyError:
            places = self._find(names)
            if len(self._order) >= _ORDERS_KEPT:  # somebody sends the names in ever other orders
                self._order.clear()
            if len(names) <= _LONGEST_KEPT:
                self._order[names] = places
        if places is None:
            raise OtherJointsError(f"a JointState has none of the joints {self._names}; it has {_shown(names)}")
        for interface in self._interfaces:
            count = len(getattr(message, interface))
            if count != len(names):
                raise ObservationError(f"a JointState has {len(names)} names but {count} values of {interface}")
        for slot, (interface, index) in enumerate(places):
            out[slot] = getattr(message, interface)[index]

    def write(self, values: Floats, message: Any) -> None:
        """See Layout."""
        message.name = list(self._names)
        for interface in self._interfaces:
            setattr(message, interface, array("d", [0.0] * len(self._names)))
        for (name, interface), value in zip(self._joints, values.tolist(), strict=True):
            getattr(message, interface)[self._names.index(name)] = value

    def _find(self, names: tuple[str, ...]) -> list[tuple[str, int]] | None:
        """Return where the numbers are in messages with these names; None where all joints are others."""
        missing = [name for name in self._names if name not in names]
        if len(missing) == len(self._names) and names:
            return None
        if missing:
            raise ObservationError(
                f"a JointState lacks the joints {missing}; it has {_shown(names)} (where two nodes each send a part of "
                "the joints, make each part an input of its own on the same topic)"
            )
        if twice := [name for name in self._names if names.count(name) > 1]:
            raise ObservationError(f"a JointState names the joints {twice} more than once")
        return [(interface, names.index(name)) for name, interface in self._joints]


class ArrayLayout:
    """Numbers of a Float64MultiArray, in order."""

    def __init__(self, size: int) -> None:
        self._size = size

    def read(self, message: Any, out: Floats) -> None:
        """See Layout."""
        if len(message.data) != self._size:
            raise ObservationError(f"a command has {len(message.data)} values; the robot file names {self._size}")
        out[:] = message.data

    def write(self, values: Floats, message: Any) -> None:
        """See Layout."""
        if len(message.data) != self._size:
            message.data = array("d", bytes(8 * self._size))
        np.frombuffer(message.data)[:] = values


class TrajectoryLayout:
    """Numbers of a point of a JointTrajectory, the first one if not said otherwise, found by the joint's name.

    To be written, a message needs its points: `message.points = [JointTrajectoryPoint()]`. The other lists of a point
    stay empty.

    Args:
        joints: Names of the joints.
        numbers: What the numbers are: `positions` or `velocities`.
    """

    def __init__(self, joints: Sequence[str], numbers: str = "positions") -> None:
        self._joints = tuple(joints)
        self._numbers = numbers

    def read(self, message: Any, out: Floats) -> None:
        """See Layout."""
        names = list(message.joint_names)
        missing = [name for name in self._joints if name not in names]
        if missing:
            raise ObservationError(f"a JointTrajectory lacks the joints {missing}; it has {_shown(names)}")
        values = getattr(message.points[0], self._numbers) if message.points else ()
        if len(values) != len(names):
            raise ObservationError(
                f"a JointTrajectory of {len(names)} joints has no such {self._numbers} in its first point"
            )
        for slot, name in enumerate(self._joints):
            out[slot] = values[names.index(name)]

    def write(self, values: Floats, message: Any) -> None:
        """See Layout."""
        self.write_point(values, message, 0)

    def write_point(self, values: Floats, message: Any, number: int) -> None:
        """Put the numbers, (n,), into a point of a message."""
        point = message.points[number]
        if len(getattr(point, self._numbers)) != len(self._joints):
            message.joint_names = list(self._joints)
            setattr(point, self._numbers, array("d", bytes(8 * len(self._joints))))
        np.frombuffer(getattr(point, self._numbers))[:] = values


class InputChannel:
    """One input of a robot file, between its messages and the observation.

    Attributes:
        source: What the robot file says.
        columns: (n,) columns of the observation that this input fills.
    """

    def __init__(self, source: Input, observation: Sequence[NamedUnit]) -> None:
        """Bind an input to the observation of a policy or task; see `RobotFile.check` for the errors."""
        self.source = source
        self.columns, self._factors = _bind([(entry.name, entry.unit) for entry in source.entries], observation)
        self._layout = _input_layout(source.entries)

    def check(self, message: Any) -> None:
        """Check, on a message as its class makes it, that the type has the fields; raises RobotFileError."""
        for entry in self.source.entries:
            path = f"inputs.{self.source.name}.entries.{entry.name}"
            if entry.field is not None:
                _check_number(message, entry.field, f"{path}.field")
            elif not hasattr(message, "name") or not hasattr(message, str(entry.interface)):
                raise RobotFileError(f"{path}.joint: {self.source.type} has no joints; use sensor_msgs/msg/JointState")

    def read(self, message: Any, out: Floats) -> None:
        """Copy the entries out of a message into `out`, (n,), in the policy's units.

        Raises:
            ObservationError: The message lacks a joint, or its lengths contradict each other.
        """
        self._layout.read(message, out)
        out /= self._factors

    def write(self, observation: Numbers, message: Any) -> None:
        """Put this input's entries of an observation, (obs_dim,) in the policy's units, into a message."""
        self._layout.write(observation[self.columns] * self._factors, message)


class CommandChannel:
    """The command of a robot file, between a policy's action and the command's messages.

    Attributes:
        command: What the robot file says.
        low, high, max_step: (n,) limits in the units of the message.
        relative: (n,) which numbers are relative to an observation entry.
        any_relative: Whether any is relative.
        measured: (n,) which numbers an observation entry measures.
        first_step: (n,) how far from there the first command may be.
    """

    def __init__(self, command: Command, observation: Sequence[NamedUnit], action: Sequence[NamedUnit]) -> None:
        """Bind a command to the observation and action of a policy or task; see `RobotFile.check` for the errors."""
        self.command = command
        self.low = np.array([entry.low for entry in command.entries])
        self.high = np.array([entry.high for entry in command.entries])
        self.max_step = np.array([entry.max_step for entry in command.entries])
        self.relative = np.array([entry.relative_to is not None for entry in command.entries])
        self.any_relative = bool(self.relative.any())
        self.measured = np.array([entry.measured is not None for entry in command.entries])
        self.first_step = np.array([entry.first_step for entry in command.entries])
        self._layout = command_layout(command)
        self._action, self._action_factor = _bind([(e.action, e.unit) for e in command.entries], action)
        self._base, self._base_factor = _bind([(e.relative_to, e.unit) for e in command.entries], observation)
        bases = self._base.tolist(), self._base_factor.tolist()
        self._references = list(zip(self.relative.tolist(), *bases, strict=True))
        self._sums = list(zip(*bases, self._action.tolist(), self._action_factor.tolist(), strict=True))
        self._now, self._now_factor = _bind([(e.measured, e.unit) for e in command.entries], observation)

    def check(self, message: Any) -> None:
        """Check, on a message as its class makes it, that the type has the fields; raises RobotFileError."""
        if isinstance(self._layout, FieldLayout):
            for index, field in enumerate(self._layout.fields):
                _check_number(message, field, f"command.entries[{index}].name")

    def origin(self, observation: Numbers, before: Floats) -> list[float]:
        """Return what the step of the command, n numbers, is measured from: its reference, else the command before."""
        seen, sent = observation.tolist(), before.tolist()  # each call of numpy takes longer than their arithmetic
        return [
            seen[index] * factor if relative else last
            for last, (relative, index, factor) in zip(sent, self._references, strict=True)
        ]

    def measure(self, observation: Numbers, out: Floats) -> None:
        """Put into `out`, (n,), where the numbers are now: that observation entry, or zero where none measures them."""
        np.multiply(observation[self._now], self._now_factor, out=out)

    def from_action(self, action: Numbers, observation: Numbers, out: Floats) -> None:
        """Put into `out`, (n,), the command for an action, (act_dim,), at an observation, (obs_dim,)."""
        seen, wanted = observation.tolist(), action.tolist()
        out[:] = [seen[base] * unit + wanted[index] * factor for base, unit, index, factor in self._sums]

    def from_action_after(self, action: Numbers, before: Floats, out: Floats) -> None:
        """Put into `out`, (n,), the command for an action, (act_dim,), after the command before it, (n,)."""
        np.multiply(before, self.relative, out=out)
        out += action[self._action] * self._action_factor

    def to_action(self, values: Floats, observation: Numbers, out: Floats) -> None:
        """Put into `out`, (act_dim,), the action that commands `values`, (n,), at an observation, (obs_dim,)."""
        out[self._action] = (values - observation[self._base] * self._base_factor) / self._action_factor

    def read(self, message: Any, out: Floats) -> None:
        """Copy the command, (n,), out of a message; raises ObservationError where it does not hold it."""
        self._layout.read(message, out)

    def write(self, values: Floats, message: Any) -> None:
        """Put a command, (n,), into a message."""
        self._layout.write(values, message)

    def write_trajectory(self, values: Floats, message: Any) -> None:
        """Put commands, (m, n), one after the other, into a JointTrajectory with m points."""
        if not isinstance(self._layout, TrajectoryLayout):
            raise TypeError(f"{self.command.type} has no points")
        for number, point in enumerate(values):
            self._layout.write_point(point, message, number)


def stamp_ns(message: Any) -> int | None:
    """Return the stamp of a message in nanoseconds, or None where it has no header or the stamp is zero."""
    header = getattr(message, "header", None)
    if header is None:
        return None
    return header.stamp.sec * 1_000_000_000 + header.stamp.nanosec or None


def set_stamp(message: Any, stamp: int) -> None:
    """Set the stamp of a message, in nanoseconds, where it has a header."""
    header = getattr(message, "header", None)
    if header is not None:
        header.stamp.sec, header.stamp.nanosec = divmod(stamp, 1_000_000_000)


def _bind(wanted: Sequence[tuple[str | None, str]], entries: Sequence[NamedUnit]) -> tuple[Indices, Floats]:
    """Return, for each name and unit, the entry's index and the factor to that unit; index and factor 0 for no name."""
    found = {entry.name: (index, entry.unit) for index, entry in enumerate(entries)}
    bound = [
        (0, 0.0) if name is None else (found[name][0], unit_factor(found[name][1], unit, name)) for name, unit in wanted
    ]
    return np.array([index for index, _ in bound], dtype=np.int64), np.array([factor for _, factor in bound])


def _input_layout(entries: Sequence[InputEntry]) -> Layout:
    joints = [(entry.joint, entry.interface) for entry in entries if entry.joint and entry.interface]
    return JointLayout(joints) if joints else FieldLayout([entry.field for entry in entries if entry.field])


def command_layout(command: Command) -> Layout:
    """Return where the numbers of a command stand in its messages."""
    names = [entry.name for entry in command.entries]
    kind = COMMANDS[command.type]
    if kind.has_points:
        return TrajectoryLayout(names, "velocities" if command.rates[0] else "positions")
    return FieldLayout(names) if kind.fields else ArrayLayout(len(names))


def _check_number(message: Any, field: str, path: str) -> None:
    try:
        value = attrgetter(field)(message)
    except AttributeError as error:
        raise RobotFileError(f"{path}: {type(message).__name__} has no field {field!r}: {error}") from None
    if not isinstance(value, int | float):
        raise RobotFileError(f"{path}: {field!r} of {type(message).__name__} is {type(value).__name__}, not a number")


def _shown(names: Sequence[str]) -> str:
    """Return names that others chose for an error: one line, clipped."""
    return printable(list(names[:_NAMES_SHOWN])) + ("…" if len(names) > _NAMES_SHOWN else "")


def _itself(message: Any) -> Any:
    return message
