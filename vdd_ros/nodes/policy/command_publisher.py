"""Publishes one command of a robot file, in messages prepared in advance."""

from typing import Any

import numpy as np
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode

from vdd_ros.errors import RobotFileError
from vdd_ros.nodes.ros.messages import RELIABLE, command_message
from vdd_ros.nodes.ros.preserialized import ReadyMessage, number_range
from vdd_ros.robot.command_channel import CommandPart, Floats
from vdd_ros.robot.commands import Command
from vdd_ros.text import printable


class CommandPublisher:
    """The publisher of one command; in shadow mode only its messages.

    Args:
        node: The node that publishes.
        part: The command.
        period_s: Time between ticks.
        control: False for shadow mode.

    Attributes:
        publisher: The publisher; None in shadow mode.

    Raises:
        RobotFileError: The command's type is not installed, or lacks a field that the robot file names.
        ConfigurationError: See `ReadyMessage`.
    """

    def __init__(self, node: LifecycleNode, part: CommandPart, period_s: float, *, control: bool) -> None:
        self._part = part
        self._size = part.place.stop - part.place.start
        self._period_s = period_s
        self._trajectories: dict[int, ReadyMessage] = {}
        message = command_message(part.command, period_s)
        part.check(message)
        self._clock = node.get_clock()
        self._stamped = part.command.message.stamped
        self._takes_chunks = part.command.takes_chunks
        # Dry runs have a separate message: the fail-safe sends from another thread and must not mix with them.
        self._ready, self._dry_ready = (
            ReadyMessage(message, self._size, part.fill, stamped=self._stamped) for _ in range(2)
        )
        check_ranges(part.command, self._ready)
        self._numbers, self._dry_numbers = np.empty((2, self._size))
        self.publisher: Any = None
        if control:
            self.publisher = node.create_publisher(type(message), part.command.topic, RELIABLE)

    def send(self, values: Floats) -> None:
        """Send its part of the numbers of all commands, (n,)."""
        numbers = self._part.numbers(values, self._numbers)
        self.publisher.publish(self._ready.serialized(numbers, self._stamp_ns()))

    def dry_run(self, values: Floats) -> None:
        """Dry-run `send`."""
        numbers = self._part.numbers(values, self._dry_numbers)
        self._dry_ready.serialized(numbers, self._stamp_ns())

    def send_trajectory(self, values: Floats) -> None:
        """Send its part of the numbers of all commands, (m, n), in one message; the first row if it takes no chunks."""
        if not self._takes_chunks:
            self.send(values[0])
            return
        ready = self._trajectories.get(len(values))
        if ready is None:
            ready = self._trajectories[len(values)] = self._ready_trajectory(len(values))
        numbers = self._part.numbers(values, np.empty((len(values), self._size)))
        self.publisher.publish(ready.serialized(numbers.ravel(), self._stamp_ns()))

    def expect_trajectories(self, most: int) -> None:
        """Prepare the messages for 1 to `most` points, outside of ticks."""
        for points in range(1, most + 1) if self._takes_chunks else ():
            self._trajectories.setdefault(points, self._ready_trajectory(points))

    def flush(self, timeout_s: float) -> None:
        """Wait until the last message is delivered, at most this long."""
        self.publisher.wait_for_all_acked(Duration(seconds=timeout_s))

    def _stamp_ns(self) -> int:
        return int(self._clock.now().nanoseconds) if self._stamped else 0

    def _ready_trajectory(self, points: int) -> ReadyMessage:
        """Return a trajectory with this number of points."""

        def fill(values: Floats, message: Any) -> None:
            self._part.fill_trajectory(values.reshape(points, self._size), message)

        message = command_message(self._part.command, self._period_s, points)
        return ReadyMessage(message, points * self._size, fill, stamped=self._stamped)


def check_ranges(command: Command, message: ReadyMessage) -> None:
    """Refuse limits that a message's number type cannot hold, or that rounding would exceed.

    Raises:
        RobotFileError: Naming the entry, and the range of the type.
    """
    for index, (entry, dtype) in enumerate(zip(command.entries, message.dtypes, strict=True)):
        low, high = number_range(dtype)
        rounded = dtype.kind != "f"
        values = (entry.low, entry.high) if entry.fixed is None else (entry.fixed, entry.fixed)
        least, most = sorted(map(entry.number, values))
        finite = dtype.kind == "f" and dtype.itemsize == 8  # holds every number, and infinity for no limit
        if finite or (low <= least and most <= high and not (rounded and (least % 1 or most % 1))):
            continue
        given = f"low is {values[0]:g} and high is {values[1]:g}" if entry.fixed is None else f"fixed is {values[0]:g}"
        sent = f", as {least:g} to {most:g}" if (least, most) != values else ""
        raise RobotFileError(
            f"{command.path}.entries[{index}]: {given}{sent}, but {printable(entry.name)} in a {command.type} is "
            f"{dtype}; give {'whole numbers' if rounded else 'limits'} from {low:g} to {high:g}"
        )
