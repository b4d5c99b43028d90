"""The commands of a recording: each belongs to the preceding ticks without a command."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from vdd_ros.control.rings import usable
from vdd_ros.errors import ObservationError
from vdd_ros.recordings.ticks import Tick
from vdd_ros.recordings.traffic import Traffic
from vdd_ros.robot.command_channel import CommandPart

NOT_FINITE = "a non-finite number"


class RecordedCommands:
    """Assigns each tick the first command after it.

    Args:
        place: Index among the commands of the robot file.
        part: Reads the messages, after its `expect`.
        period_ns: Time between ticks.
        max_delay_ns: Longest delay from a tick to its command.
        keep_last: Whether the last command stays in force; then a new one counts for the tick just before it.

    Attributes:
        traffic: Messages since the last reset.
        last_ns: Time of receipt of the last command; None without one.
    """

    def __init__(self, place: int, part: CommandPart, *, period_ns: int, max_delay_ns: int, keep_last: bool) -> None:
        self.traffic = Traffic()
        self.last_ns: int | None = None
        self.keep_last = keep_last
        self._place = place
        self._part = part
        self._limit_ns = period_ns if keep_last else max_delay_ns
        self._last: NDArray[np.float64] | None = None
        self._waiting: deque[Tick] = deque()
        self._number = 0

    def add(self, tick: Tick) -> None:
        """Add a tick that waits for its command."""
        self._waiting.append(tick)

    def receive(self, content: bytes, received_ns: int) -> None:
        """Take in a serialised command."""
        self.traffic.note(received_ns)
        values = np.empty(len(self._part.command.entries))
        why = self._read(content, values)
        if why:
            self.traffic.refused += 1
            self.traffic.refusals = self.traffic.refusals or why
            return
        self.expire(received_ns)
        self.traffic.accepted += 1
        self._number += 1
        while self._waiting:
            self._waiting.popleft().settle(self._place, values, received_ns, self._number)
        self._last, self.last_ns = values, received_ns

    def expire(self, now_ns: int) -> None:
        """Settle the ticks for which any further command would be too late."""
        while self._waiting and now_ns - self._waiting[0].now_ns > self._limit_ns:
            self._give_up()

    def end(self) -> None:
        """Settle all ticks: there are no more commands."""
        while self._waiting:
            self._give_up()

    def _give_up(self) -> None:
        last = self._last if self.keep_last else None
        received_ns = 0 if last is None or self.last_ns is None else self.last_ns
        self._waiting.popleft().settle(self._place, last, received_ns, self._number)

    def _read(self, content: bytes, out: NDArray[np.float64]) -> str:
        """Read a command; return why it is unusable, or an empty text."""
        try:
            self._part.read(content, out)
        except ObservationError as error:
            return str(error)
        return "" if usable(out) else NOT_FINITE
