"""Converts between the actions of a policy and the commands of a robot file.

The numbers of all commands form one vector, command after command, so that they are bounded, refused and sent together.
Messages are duck-typed, as in `channels`.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.errors import ObservationError, RobotFileError
from vdd_ros.features import Feature
from vdd_ros.robot.binding import bind
from vdd_ros.robot.cdr.columns import Columns
from vdd_ros.robot.cdr.format import MessageFormat
from vdd_ros.robot.cdr.packed import Packed
from vdd_ros.robot.command_rotations import PARTS, RotationChannel, check_orientation, doubtful_orientations
from vdd_ros.robot.commands import Command
from vdd_ros.robot.field_paths import check_path
from vdd_ros.robot.layouts import FieldLayout, PointLayout
from vdd_ros.robot.quantities import turn
from vdd_ros.robot.raw_messages import Read, columns_of, numbers_of
from vdd_ros.robot.rotations import angle_between

Floats = NDArray[np.float64]
Numbers = NDArray[np.floating[Any]]
_SLACK = 1e-6
"""Relative difference of limits that is attributed to rounding."""
_UNTURNED = (0.0, 0.0, 0.0, 1.0)


class CommandPart:
    """One command and its slice of the vector of all: converts between its values and its messages.

    Args:
        command: The command in the robot file.
        first: Index of its first number in the vector.

    Attributes:
        command: The same.
        place: Slice of its m numbers in the vector.
    """

    def __init__(self, command: Command, first: int) -> None:
        self.command = command
        self.place = slice(first, first + len(command.entries))
        self._layout = command.layout
        self._scale = np.array([entry.scale for entry in command.entries])
        self._offset = np.array([entry.offset for entry in command.entries])
        self._is_converted = bool((self._scale != 1).any() or self._offset.any())
        self._orientations = [
            (slice(i, i + len(PARTS)), entry.rotation.form)
            for i, entry in enumerate(command.entries)
            if entry.rotation and entry.name.endswith(f".{PARTS[0]}")
        ]
        self._read_bytes: Read = _unexpected
        self._read_columns: Callable[[Packed], Columns] = _unexpected_columns

    @property
    def tolerances(self) -> Floats:
        """The differences of the messages' numbers, (m,), above which a new goal of an action is sent."""
        return np.array([entry.goal_tolerance for entry in self.command.entries])

    def check(self, message: Any) -> None:
        """Check, on a message as its class makes it, that the type has the fields; raises RobotFileError."""
        path = self.command.path
        if hasattr(message, "header") != self.command.message.has_header:
            has = "has no header" if self.command.message.has_header else "has a header"
            raise RobotFileError(
                f"{path}.type: {type(message).__name__} {has}, unlike the registered {self.command.type}; correct its "
                f"`has_header` (`vdd_ros.testing.messages.check_message` checks a registered type)"
            )
        if isinstance(self._layout, FieldLayout):
            for index, field in enumerate(self._layout.fields):
                check_path(message, field, f"{path}.entries[{index}].name")

    def expect(self, form: MessageFormat) -> None:
        """Prepare to read serialised messages of this form too."""
        self._read_bytes = numbers_of(form, self._layout, self._read_message)
        self._read_columns = columns_of(form, self._layout, len(self._scale), self._read_message)

    def read(self, message: Any, out: Floats) -> None:
        """Copy its values, (m,), from a message, or from its bytes after `expect`.

        Raises:
            ObservationError: The message lacks them, its bytes are damaged, or an orientation is not a rotation.
        """
        (self._read_bytes if type(message) is bytes else self._read_message)(message, out)
        out *= self._scale
        out += self._offset
        for place, form in self._orientations:
            check_orientation(out[place].tolist(), form)

    def read_columns(self, contents: Packed) -> Columns:
        """Read its values, (n, m), from n messages after `expect`, with the same result as `read` on each."""
        found = self._read_columns(contents)
        with np.errstate(all="ignore"):  # what is not finite is refused later
            found.numbers *= self._scale
            found.numbers += self._offset
        for place, form in self._orientations:
            for row in doubtful_orientations(found.numbers[:, place], form):
                self._refuse(found, row, place, form)
        return found

    @staticmethod
    def _refuse(found: Columns, row: int, place: slice, form: str) -> None:
        """Note why a message has no orientation, unless it has an error already."""
        if row in found.errors:
            return
        try:
            check_orientation(found.numbers[row, place].tolist(), form)
        except ObservationError as error:
            found.errors[row] = error
            found.numbers[row] = np.nan

    def _read_message(self, message: Any, out: Floats) -> None:
        self._layout.read(message, out)

    def write(self, values: Floats, message: Any) -> None:
        """Write its values, (m,), into a message."""
        self.fill((values - self._offset) / self._scale, message)

    def numbers(self, values: Floats, out: Floats) -> Floats:
        """Return the numbers of its messages, (m,) or (points, m), for the values of all, (…, n).

        They are in `out`, of that shape, or a view of `values`.
        """
        own = values[..., self.place]
        if not self._is_converted:
            return own
        np.subtract(own, self._offset, out=out)
        out /= self._scale
        return out

    def fill(self, numbers: Floats, message: Any) -> None:
        """Write the numbers of a message, (m,), into it."""
        self._layout.write(numbers, message)

    def fill_trajectory(self, numbers: Floats, message: Any) -> None:
        """Write the numbers of several points, (points, m), in order into a message with as many points."""
        if not isinstance(self._layout, PointLayout):
            raise TypeError(f"{self.command.type} has no points")
        for number, point in enumerate(numbers):
            self._layout.write_point(point, message, number)


def _unexpected(message: Any, out: NDArray[Any]) -> int | None:
    raise TypeError("bytes of a command were given before `expect`")


def _unexpected_columns(contents: Packed) -> Columns:
    raise TypeError("columns of a command were requested before `expect`")


class CommandChannel:
    """The commands of a robot file: converts actions to the n numbers of all commands, and back.

    Attributes:
        parts: Each command with its place among the numbers.
        entries: The n entries of all commands.
        labels: n names for reports: that of the entry, or COMMAND.ENTRY if there are several commands.
        low, high, max_step: (n,) limits in the units of the robot file.
        relative: (n,) whether each number is relative to an observation entry.
        any_relative: Whether any number is relative.
        measured: (n,) whether an observation entry measures each number.
        starts_anywhere: (n,) whether each number may start at any value: not measured, not a velocity and not set to
            zero by the fail-safe; the latter two start from zero.
        first_step: (n,) largest distance of the first command from its measurement.
        rotations: The orientations among the numbers.
        measured_columns: n observation columns that measure the numbers; None for unmeasured ones.
    """

    def __init__(self, commands: Sequence[Command], observation: Sequence[Feature], action: Sequence[Feature]) -> None:
        """Bind commands to the observation and action of a policy or task; see `RobotFile.check` for the errors."""
        self.entries = entries = tuple(entry for command in commands for entry in command.entries)
        firsts = np.cumsum([0, *(len(command.entries) for command in commands)]).tolist()
        self.parts = tuple(CommandPart(command, first) for command, first in zip(commands, firsts, strict=False))
        self.labels = tuple(
            f"{command.name}.{entry.name}" if len(commands) > 1 else entry.name
            for command in commands
            for entry in command.entries
        )
        self.low = np.array([entry.low for entry in entries])
        self.high = np.array([entry.high for entry in entries])
        self.max_step = np.array([entry.max_step for entry in entries])
        self.relative = np.array([entry.reference is not None for entry in entries])
        self.any_relative = bool(self.relative.any())
        self.measured = np.array([entry.measured is not None for entry in entries])
        rates = np.array([rate for command in commands for rate in command.rates])
        zeroed = np.array([command.on_loss == "zero" for command in commands for _ in command.entries])
        self.starts_anywhere = ~(self.measured | rates | zeroed)
        self.first_step = np.array([entry.first_step for entry in entries])
        self._action, self._action_factor = bind([(e.action, e.unit) for e in entries], action)
        self._base, self._base_factor = bind([(e.reference, e.unit) for e in entries], observation)
        bases = self._base.tolist(), self._base_factor.tolist()
        self._references = list(zip(self.relative.tolist(), *bases, strict=True))
        self._last = np.array([float(entry.follows_last) for entry in entries])
        self._constant = np.array([entry.fixed or 0.0 for entry in entries])
        self._accumulates = np.maximum(self.relative, self._last)
        self._learned = np.array([entry.action is not None for entry in entries])
        actions = self._action.tolist(), self._action_factor.tolist()
        self._sums = list(zip(*bases, self._last.tolist(), *actions, self._constant.tolist(), strict=True))
        self._now, self._now_factor = bind([(e.measured, e.unit) for e in entries], observation)
        self.measured_columns = [
            int(column) if known else None for column, known in zip(self._now, self.measured, strict=True)
        ]
        starts = [
            (i, entry) for i, entry in enumerate(entries) if entry.rotation and entry.name.endswith(f".{PARTS[0]}")
        ]
        self.rotations = tuple(
            RotationChannel(entry.rotation, i, observation, action) for i, entry in starts if entry.rotation
        )
        for rotation in self.rotations:
            if rotation.rotation.measured is not None:
                self.measured[rotation.place] = True
                self.starts_anywhere[rotation.place] = False
        self._turns = [(i, turn(entry.unit), bool(self.measured[i])) for i, entry in enumerate(entries) if entry.wraps]
        self._measurements = list(zip(self._now.tolist(), self._now_factor.tolist(), strict=True))

    def wider_than(self, other: "CommandChannel") -> str:
        """Describe the limits that are wider than another policy's of the same robot file; empty if none is."""
        found = []
        for label, entry, before in zip(self.labels, self.entries, other.entries, strict=True):
            slack = _SLACK * (before.high - before.low if math.isfinite(before.high - before.low) else 1.0)
            for key, wider in (
                ("low", entry.low < before.low - slack),
                ("high", entry.high > before.high + slack),
                ("max_step", entry.max_step > before.max_step * (1 + _SLACK)),
            ):
                if wider:
                    found.append(f"{key} of {label} is {getattr(entry, key):g}, not {getattr(before, key):g}")
        return ", ".join(found)

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
        if self.rotations:
            self._measure_rotations(observation.tolist(), out)

    def measurements(self, seen: list[float]) -> list[float]:
        """Return the result of `measure` as a list, for an observation of obs_dim numbers."""
        found = [seen[index] * factor for index, factor in self._measurements]
        if self.rotations:
            self._measure_rotations(seen, found)
        return found

    def _measure_rotations(self, seen: list[float], out: Any) -> None:
        for rotation in self.rotations:
            out[rotation.place] = rotation.measured(seen) or _UNTURNED

    def is_turned_near(self, command: Floats, measured: Floats) -> bool:
        """Whether each orientation of a command is within its `first_step` of the measured one, (n,) both."""
        return all(
            one.rotation.measured is None
            or angle_between(one.quaternion(command), one.quaternion(measured)) <= one.rotation.first_step
            for one in self.rotations
        )

    def from_action(self, action: Numbers, observation: Numbers, out: Floats) -> None:
        """Write the first command for an action, (act_dim,), at an observation, (obs_dim,), into `out`, (n,)."""
        seen = observation.tolist()
        out[:] = self.wanted(action.tolist(), seen, self.measurements(seen), first=True)

    def wanted(
        self, action: list[float], seen: list[float], before: list[float], *, first: bool = False
    ) -> list[float]:
        """Return the command, n numbers.

        Args:
            action: act_dim numbers.
            seen: The observation, obs_dim numbers.
            before: The last command, n numbers; of a first command the measurements.
            first: Whether it is a first command.
        """
        values = [
            seen[base] * unit + last * follows + action[index] * factor + constant
            for last, (base, unit, follows, index, factor, constant) in zip(before, self._sums, strict=True)
        ]
        if self._turns or self.rotations:
            self._turn(values, action, before, first=first)
        return values

    def _turn(self, values: Any, action: list[float], before: list[float], *, first: bool = False) -> None:
        """Move angles to the turn nearest to the last command, and take orientations from the action."""
        for index, full, known in self._turns:
            if (known or not first) and math.isfinite(values[index]):
                values[index] = before[index] + math.remainder(values[index] - before[index], full)
        for rotation in self.rotations:
            values[rotation.place] = rotation.wanted(action, before[rotation.place])

    def from_action_after(self, action: Numbers, before: Floats, out: Floats) -> None:
        """Write the command for an action, (act_dim,), that follows a command, (n,), into `out`, (n,)."""
        np.multiply(before, self._accumulates, out=out)
        out += action[self._action] * self._action_factor
        out += self._constant
        if self._turns or self.rotations:
            self._turn(out, action.tolist(), before.tolist())

    def to_action(self, values: Floats, observation: Numbers, out: Floats, before: Floats | None = None) -> None:
        """Write the action that commands `values`, (n,), at an observation, (obs_dim,), into `out`, (act_dim,).

        Args:
            values: The command.
            observation: In the units of the policy or task.
            out: Receives the action.
            before: The last command, (n,); None if this is the first.
        """
        last = observation[self._now] * self._now_factor if before is None else before
        steps = values - observation[self._base] * self._base_factor - last * self._last
        out[self._action[self._learned]] = steps[self._learned] / self._action_factor[self._learned]
        for rotation in self.rotations:
            start = (rotation.measured(observation.tolist()) or _UNTURNED) if before is None else before[rotation.place]
            rotation.action_of(values[rotation.place].tolist(), list(start), out.__setitem__)

    def to_actions(self, values: Floats, observation: Floats, out: Floats) -> None:
        """Write the actions of consecutive commands, (t, n), at observations, (t, obs_dim), into `out`, (t, act_dim).

        Each equals that of `to_action` after the previous command; the first one is relative to the measured value. Of
        a quaternion and its negative, which are the same rotation, the one nearer to the previous action is taken.
        """
        last = np.empty_like(values)
        last[:1] = observation[:1, self._now] * self._now_factor
        last[1:] = values[:-1]
        steps = values - observation[:, self._base] * self._base_factor - last * self._last
        out[:, self._action[self._learned]] = steps[:, self._learned] / self._action_factor[self._learned]
        if self.rotations:
            before = [None, *values[:-1]]
            for command, seen, one, action in zip(values, observation, before, out, strict=True):
                self.to_action(command, seen, action, one)
            for rotation in self.rotations:
                rotation.keep_sign(out)
