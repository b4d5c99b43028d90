"""Where the numbers of a robot file's entries stand in each type of message.

Messages are duck-typed: rclpy's, those that `rosbags` reads and plain stand-ins all do; no ROS package is imported.
"""

from array import array
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vdd_ros.errors import ObservationError
from vdd_ros.robot.command_types import COMMANDS
from vdd_ros.robot.robot_file import Command, InputEntry
from vdd_ros.text import printable

Floats = NDArray[np.float64]
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
    """A JointState of none of the joints that are read: it belongs to somebody else on the same topic.

    Attributes:
        joints: Some of the joints that it has.
    """

    def __init__(self, wanted: Sequence[str], names: Sequence[str]) -> None:
        self.joints = _shown(names)
        super().__init__(f"a JointState has none of the joints {list(wanted)}; it has {self.joints}")


class JointLayout:
    """Numbers of a JointState, found by the joint's name in whatever order the message has."""

    def __init__(self, joints: Sequence[tuple[str, str]]) -> None:
        self._joints = tuple(joints)
        self._names = list(dict.fromkeys(name for name, _ in joints))
        self._interfaces = list(dict.fromkeys(interface for _, interface in joints))
        self._order: dict[tuple[str, ...], list[tuple[str, int]] | ObservationError] = {}

    def read(self, message: Any, out: Floats) -> None:
        """See Layout; raises OtherJointsError where the message has none of the joints."""
        names = tuple(message.name)
        places = self._order.get(names)
        if places is None:
            places = self._find(names)
            if len(self._order) >= _ORDERS_KEPT:  # somebody sends the names in ever other orders
                self._order.clear()
            if len(names) <= _LONGEST_KEPT:
                self._order[names] = places
        if isinstance(places, ObservationError):
            raise places.with_traceback(None)  # else it would grow each time
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

    def _find(self, names: tuple[str, ...]) -> list[tuple[str, int]] | ObservationError:
        """Return where the numbers are in messages with these names, or why they are not there."""
        missing = [name for name in self._names if name not in names]
        if len(missing) == len(self._names) and names:
            return OtherJointsError(self._names, names)
        if missing:
            return ObservationError(
                f"a JointState lacks the joints {missing}; it has {_shown(names)} (where two nodes each send a part of "
                "the joints, make each part an input of its own on the same topic)"
            )
        if twice := [name for name in self._names if names.count(name) > 1]:
            return ObservationError(f"a JointState names the joints {twice} more than once")
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


def input_layout(entries: Sequence[InputEntry]) -> Layout:
    """Return where the numbers of an input stand in its messages."""
    joints = [(entry.joint, entry.interface) for entry in entries if entry.joint and entry.interface]
    return JointLayout(joints) if joints else FieldLayout([entry.field for entry in entries if entry.field])


def command_layout(command: Command) -> Layout:
    """Return where the numbers of a command stand in its messages."""
    names = [entry.name for entry in command.entries]
    kind = COMMANDS[command.type]
    if kind.has_points:
        return TrajectoryLayout(names, "velocities" if command.rates[0] else "positions")
    return FieldLayout(names) if kind.fields else ArrayLayout(len(names))


def _shown(names: Sequence[str]) -> str:
    """Return names that others chose for an error: one line, clipped."""
    return printable(list(names[:_NAMES_SHOWN])) + ("…" if len(names) > _NAMES_SHOWN else "")


def _itself(message: Any) -> Any:
    return message
