"""Locations of a robot file's numbers in each message type.

Messages are duck-typed: those of rclpy, of `rosbags`, and plain stand-ins all work; no ROS package is imported.
"""

from array import array
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from vdd_ros.errors import ObservationError
from vdd_ros.robot.cdr.readers import Pick
from vdd_ros.text import counted, printable

Floats = NDArray[np.float64]
_ORDERS_KEPT = 100
_LONGEST_KEPT = 1000
_NAMES_SHOWN = 10


class Layout(Protocol):
    """Location of n numbers in one message type."""

    def read(self, message: Any, out: Floats) -> None:
        """Copy the numbers, (n,), out of a message; raises ObservationError if it lacks them."""
        ...

    def write(self, values: Floats, message: Any) -> None:
        """Write the numbers, (n,), into a message."""
        ...


@runtime_checkable
class PointLayout(Layout, Protocol):
    """Location of n numbers in each point of a multi-point message."""

    def write_point(self, values: Floats, message: Any, number: int) -> None:
        """Write the numbers, (n,), into one point of a message."""
        ...


class FieldLayout:
    """Numbers in fields at dot-paths, such as `pose.position.x`; for elements of arrays, see `ElementLayout`."""

    def __init__(self, fields: Sequence[str]) -> None:
        self.fields = self.paths = tuple(fields)
        self._get = attrgetter(*fields)
        parents = [field.rpartition(".") for field in fields]
        self._set = [(attrgetter(parent) if parent else _itself, leaf) for parent, _, leaf in parents]

    def read(self, message: Any, out: Floats) -> None:
        """See Layout."""
        out[:] = self._get(message)

    def select(self, values: Sequence[Any]) -> list[Pick]:
        """See SelectiveLayout."""
        return [(path, None) for path in range(len(values))]

    def write(self, values: Floats, message: Any) -> None:
        """See Layout; integer fields get the rounded value."""
        for (parent, leaf), value in zip(self._set, values.tolist(), strict=True):
            holder = parent(message)
            kind = type(getattr(holder, leaf))
            setattr(holder, leaf, kind(round(value)) if kind in (int, bool) else value)


class OtherJointsError(ObservationError):
    """A JointState without any of the required joints, published for another consumer of the topic.

    Attributes:
        joints: Some of the joints that it has.
    """

    def __init__(self, wanted: Sequence[str], names: Sequence[str]) -> None:
        self.joints = shown_names(names)
        super().__init__(f"a JointState has none of the joints {list(wanted)}; it has {self.joints}")


class JointLayout:
    """Numbers of a JointState, found by joint name in any order."""

    def __init__(self, joints: Sequence[tuple[str, str]]) -> None:
        self._joints = tuple(joints)
        self._names = list(dict.fromkeys(name for name, _ in joints))
        self._interfaces = list(dict.fromkeys(interface for _, interface in joints))
        self.paths = ("name", *self._interfaces)
        self._order: dict[tuple[str, ...], list[Pick] | ObservationError] = {}

    def read(self, message: Any, out: Floats) -> None:
        """See Layout; raises OtherJointsError if the message has none of the joints."""
        values = [getattr(message, path) for path in self.paths]
        for slot, (path, index) in enumerate(self.select(values)):
            out[slot] = values[path][index]

    def select(self, values: Sequence[Any]) -> list[Pick]:
        """See SelectiveLayout; raises OtherJointsError if the message has none of the joints."""
        names = tuple(values[0])
        places = self._order.get(names)
        if places is None:
            places = self._find(names)
            if len(self._order) >= _ORDERS_KEPT:  # a publisher that keeps changing the order of names
                self._order.clear()
            if len(names) <= _LONGEST_KEPT:
                self._order[names] = places
        if isinstance(places, ObservationError):
            raise places.with_traceback(None)  # otherwise it would grow each time
        for interface, numbers in zip(self._interfaces, values[1:], strict=True):
            if len(numbers) != len(names):
                raise ObservationError(
                    f"a JointState has {counted(len(names), 'name')} but {counted(len(numbers), 'value')} "
                    f"of {interface}"
                )
        return places

    def write(self, values: Floats, message: Any) -> None:
        """See Layout."""
        message.name = list(self._names)
        for interface in self._interfaces:
            setattr(message, interface, array("d", [0.0] * len(self._names)))
        for (name, interface), value in zip(self._joints, values.tolist(), strict=True):
            getattr(message, interface)[self._names.index(name)] = value

    def _find(self, names: tuple[str, ...]) -> list[Pick] | ObservationError:
        """Return the positions of the numbers in messages with these names, or why some are missing."""
        missing = [name for name in self._names if name not in names]
        if len(missing) == len(self._names) and names:
            return OtherJointsError(self._names, names)
        if missing:
            return ObservationError(
                f"a JointState lacks the joints {missing}; it has {shown_names(names)} (where two nodes each "
                "send a part of the joints, make each part a separate input on the same topic)"
            )
        if twice := [name for name in self._names if names.count(name) > 1]:
            return ObservationError(f"a JointState names the joints {twice} more than once")
        return [(self.paths.index(interface), names.index(name)) for name, interface in self._joints]


class ArrayLayout:
    """Numbers of a list of numbers, in order.

    Args:
        size: Number of values.
        field: Dot-path of the list, `data` in the arrays of std_msgs.
        code: Type of the numbers as `array.array` names it, such as `d` for float64, `f` for float32, `i` for int32;
            integers are rounded.
    """

    def __init__(self, size: int, field: str = "data", code: str = "d") -> None:
        self._size = size
        self._code = code
        self._whole = code not in "fd"
        parent, _, self._leaf = field.rpartition(".")
        self._holder = attrgetter(parent) if parent else _itself
        self._list = attrgetter(field)
        self.paths: tuple[str, ...] = (field,)

    def read(self, message: Any, out: Floats) -> None:
        """See Layout."""
        values = self._list(message)
        self.select([values])
        out[:] = values

    def select(self, values: Sequence[Any]) -> list[Pick]:
        """See SelectiveLayout."""
        if len(values[0]) != self._size:
            raise ObservationError(
                f"a command has {counted(len(values[0]), 'value')}; the robot file names {self._size}"
            )
        return [(0, index) for index in range(self._size)]

    def write(self, values: Floats, message: Any) -> None:
        """See Layout."""
        if len(self._list(message)) != self._size:
            setattr(self._holder(message), self._leaf, array(self._code, [0] * self._size))
        np.frombuffer(self._list(message), self._code)[:] = np.rint(values) if self._whole else values


def shown_names(names: Sequence[str]) -> str:
    """Return foreign names for an error message: one line, clipped."""
    return printable(list(names[:_NAMES_SHOWN])) + ("…" if len(names) > _NAMES_SHOWN else "")


def _itself(message: Any) -> Any:
    return message
