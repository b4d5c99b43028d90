"""Whether a robot follows its commands: it stays near them, and its inputs change while they do."""

import math
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from vdd_ros.robot.command_channel import CommandChannel
from vdd_ros.robot.command_entries import CommandEntry
from vdd_ros.robot.quantities import DIMENSIONLESS, POSITIONS, quantity_of, spaced, turn

ERROR_S = 0.25
LEAST_STEPS = 5
_PLACES = (*POSITIONS, DIMENSIONLESS, None)
"""Quantities in which a robot may lag behind; None: unknown."""


def max_errors(entries: Sequence[CommandEntry], period_s: float) -> list[float]:
    """Return the largest distance between each command number and its measurement; inf if unbounded.

    The default is the distance that `max_step` per tick covers in `ERROR_S`, the lag of a slow robot, and at least
    `LEAST_STEPS` steps. Velocities, efforts and the like are unbounded: they do not accumulate while a robot is
    stopped.
    """
    return [_max_error(entry, period_s) for entry in entries]


def turns(entries: Sequence[CommandEntry]) -> list[float]:
    """Return a full turn in the unit of each number; 0 for non-angles."""
    return [turn(entry.unit) for entry in entries]


def _max_error(entry: CommandEntry, period_s: float) -> float:
    if entry.max_error is not None:
        return entry.max_error
    if quantity_of(entry.unit) not in _PLACES:
        return math.inf
    return max(LEAST_STEPS, ERROR_S / period_s) * entry.max_step


class Following:
    """Judges at each tick whether a robot follows; after `timeout_s` without, reports the reason.

    - A stopped or held robot stays behind: the commands wait for it at `max_error`.
    - A frozen driver keeps sending its last measurement with fresh stamps: all values of an input stay bit-identical,
      while numbers of the command that it measures have moved by half of their `max_error`. Coarse encoders, a robot at
      rest, or one held finger of a moving arm therefore do not count as frozen. The input must have sent a message in
      that time: a slow sensor proves nothing between its messages.

    Events longer than `timeout_s` ago count less and less.

    Args:
        channel: The commands.
        inputs: The columns of the observation that each input fills, by name.
        stamps_s: The time of the newest message of each input, by name; kept up to date by the observer.
        period_s: Time between ticks.
        timeout_s: How long the robot may fail to follow.

    Attributes:
        max_error: Largest distance of each number from its measurement, (n,).
        watches: Whether any number is bounded.
        frozen: The frozen inputs.
        times_frozen: How often an input froze, by name.
        stuck: The input that was frozen for too long, if that was the last reason; otherwise None.
    """

    def __init__(
        self,
        channel: CommandChannel,
        inputs: Mapping[str, Sequence[int]],
        stamps_s: Mapping[str, float],
        *,
        period_s: float,
        timeout_s: float = 1.0,
    ) -> None:
        self.max_error = max_errors(channel.entries, period_s)
        self.watches = any(map(math.isfinite, (*self.max_error, *(r.rotation.max_error for r in channel.rotations))))
        self.times_frozen: dict[str, int] = {}
        self.frozen: list[str] = []
        self.stuck: str | None = None
        self._stamps_s = stamps_s
        self._timeout_s = timeout_s
        self._labels = [
            f"{label} (max_error {error:.3g}{spaced(entry.unit)})"
            for label, entry, error in zip(channel.labels, channel.entries, self.max_error, strict=True)
        ]
        for one in channel.rotations:
            self._labels[one.place.start] = f"{one.rotation.name} (max_error {one.rotation.max_error:.3g} rad)"
        self._sources: list[_Source] = []
        for name, columns in inputs.items():
            far = {
                index: 0.5 * error
                for index, (column, error) in enumerate(zip(channel.measured_columns, self.max_error, strict=True))
                if column in columns and math.isfinite(error)
            }
            if far:
                self._sources.append(_Source(name, columns, far))
                self.times_frozen[name] = 0
        self.restart()

    def restart(self) -> None:
        """Restart, as at the start of an episode."""
        self._waited_s = 0.0
        self.pause()

    def go_on_from(self, other: "Following") -> None:
        """Continue for another policy on the same robot: counts and waiting times carry over."""
        self.times_frozen |= other.times_frozen
        self._waited_s = other._waited_s

    def pause(self) -> None:
        """Note that commanding is paused; the waiting time so far still counts."""
        self._last_s = math.inf
        self.frozen = []
        for source in self._sources:
            source.restart()

    def look(
        self, now_s: float, newest: list[float], command: list[float], origin: list[float], waits: list[int]
    ) -> str:
        """Judge a command.

        Args:
            now_s: The time in seconds, on the clock of the stamps.
            newest: The observation, obs_dim numbers.
            command: n numbers.
            origin: Starting values of its step, n numbers.
            waits: Indices of the numbers that wait near the robot.

        Returns:
            Why commanding must stop; empty if the robot follows.
        """
        elapsed_s = min(max(0.0, now_s - self._last_s), self._timeout_s)
        self._last_s = now_s
        if waits:
            self._waited_s += elapsed_s
            if self._waited_s >= self._timeout_s:
                self.stuck = None
                names = ", ".join(self._labels[index] for index in waits)
                return (
                    f"the robot does not follow its commands, which waited for {self._timeout_s:g} s beside it: "
                    f"{names}; free it, then begin an episode or activate the node again; if it only lags, or yields "
                    "on purpose, increase the max_error of the entry in the robot file"
                )
        elif self._waited_s:
            self._waited_s = max(0.0, self._waited_s - elapsed_s)
        for source in self._sources:
            seen = source.of(newest)
            if seen != source.seen:
                source.change(seen)
                if self.frozen:
                    self.frozen = [name for name in self.frozen if name != source.name]
            elif source.stands_still(now_s, elapsed_s / self._timeout_s, command, origin):
                still_s = source.still_s(self._stamps_s[source.name])
                if still_s >= self._timeout_s:
                    self.stuck = source.name
                    return (
                        f"{source.name} has not changed by a single bit for {still_s:.2g} s, although the "
                        f"command of {self._labels[source.went_far]} did: is its driver frozen, or the robot stopped?"
                    )
                if source.name not in self.frozen and still_s >= 0.5 * self._timeout_s:
                    self.frozen.append(source.name)
                    self.times_frozen[source.name] += 1
        return ""

    def moved(self, name: str, newest: list[float]) -> bool:
        """Whether an input has changed since the last check."""
        return any(source.moved(newest) for source in self._sources if source.name == name)


class _Source:
    """The newest values of an input, and the motion of the command numbers that it measures since then.

    Attributes:
        name: Name of the input.
        of: Selects its values from an observation.
        far: For each command number that it measures, the distance after which it must have changed.
        seen: Its newest values; None before the first.
        went_far: The number of the command after which it should have changed.
    """

    def __init__(self, name: str, columns: Sequence[int], far: Mapping[int, float]) -> None:
        self.name = name
        first, last = min(columns), max(columns)
        in_a_row = list(columns) == list(range(first, last + 1))
        self.of: Callable[[list[float]], Any] = itemgetter(slice(first, last + 1)) if in_a_row else itemgetter(*columns)
        self.far = dict(far)
        self.went_far = 0
        self.seen: Any = None
        self._is_new = False
        self.change(None)

    def restart(self) -> None:
        """Restart; the next values are compared with the last ones."""
        self.change(self.seen)

    def moved(self, newest: list[float]) -> bool:
        """Whether the input has changed since the last check; the first call only records it."""
        seen = self.of(newest)
        if self.seen is None:
            self.seen = seen
        return bool(seen != self.seen)

    def change(self, seen: Any) -> None:
        """Note a change."""
        self.seen = seen
        if not self._is_new:
            self._is_new = True
            self._went = dict.fromkeys(self.far, 0.0)
            self._still_since_s: float | None = None

    def stands_still(self, now_s: float, share: float, command: list[float], origin: list[float]) -> bool:
        """Note a command while the input did not change; return whether it should have changed by now."""
        self._is_new = False
        if self._still_since_s is not None:
            return True
        for index, far in self.far.items():
            self._went[index] += command[index] - origin[index] - share * self._went[index]
            if abs(self._went[index]) >= far:
                self._still_since_s, self.went_far = now_s, index
                return True
        return False

    def still_s(self, stamp_s: float) -> float:
        """Return how long the input has not changed although it should, up to its newest message, in seconds."""
        return 0.0 if self._still_since_s is None else stamp_s - self._still_since_s
