"""The last guard before a command is sent: finite, not too far from the previous one, within its range."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vdd_ros.control.rotation_limits import RotationLimit
from vdd_ros.errors import ConfigurationError

_Floats = NDArray[np.float64]


class CommandLimits:
    """Checks and bounds commands in place, and counts the outcomes.

    A command is refused as a whole if a value is not finite, or if its range is more than a step away: the robot is
    then outside its permitted range and needs attention. Otherwise values are clipped to both. A value further than
    `max_error` from the measurement waits at that distance from the robot; if the robot itself moved away from the last
    command, the value returns to that distance step by step.

    Args:
        low: Lowest values, (dim,), in the command's units; -inf for none.
        high: Highest values, (dim,); inf for none.
        max_step: Largest change from one command to the next, (dim,); inf entries or None: no limit.
        max_error: Largest distance from the measurement, (dim,); inf entries or None: no limit.
        turns: Full turn of each angle whose measurement may wrap, (dim,); 0 for other values.
        rotations: Limits of the orientations among the values; counted at the first of their four numbers.

    Attributes:
        accepted: Commands accepted, bounded or not.
        refused: Commands refused because of a non-finite value.
        unreachable: Commands refused because their range is more than a step away.
        out_of_range: Per entry, commands whose value was outside its range, (dim,).
        too_far: Per entry, commands whose value was more than a step from the previous one, (dim,).
        waited: Per entry, commands that waited for the robot, (dim,).
        waits: Indices of the entries that wait in the newest command.
        bounded: The newest command, dim numbers.
        origin: Starting values of its step.

    Raises:
        ConfigurationError: The limits differ in length, low is not below high, or a step or an error is not above 0.
    """

    def __init__(
        self,
        low: ArrayLike,
        high: ArrayLike,
        max_step: ArrayLike | None = None,
        max_error: ArrayLike | None = None,
        turns: ArrayLike | None = None,
        rotations: Sequence[RotationLimit] = (),
    ) -> None:
        self._rotations = tuple(rotations)
        self._low = np.array(low, np.float64)
        self._high = np.array(high, np.float64)
        self._step = np.full_like(self._low, np.inf) if max_step is None else np.array(max_step, np.float64)
        shape = self._low.shape
        if len(shape) != 1 or not shape[0] or self._high.shape != shape or self._step.shape != shape:
            raise ConfigurationError(
                f"The limits low, high and max_step have the shapes {shape}, {self._high.shape} and "
                f"{self._step.shape}; they must be lists of one number for each entry of the command."
            )
        if not (self._low < self._high).all():
            raise ConfigurationError(f"The limits low {self._low} must be below high {self._high}, entry by entry.")
        if not (self._step > 0).all():
            raise ConfigurationError(f"max_step is {self._step}; it must be above 0, entry by entry.")
        errors = np.full_like(self._low, np.inf) if max_error is None else np.array(max_error, np.float64)
        around = np.zeros_like(self._low) if turns is None else np.array(turns, np.float64)
        if errors.shape != shape or around.shape != shape or not (errors > 0).all():
            raise ConfigurationError(f"max_error is {errors}; it must be above 0, one number for each entry.")
        self._errors = list(zip(errors.tolist(), around.tolist(), strict=True))
        # Python's numbers: a command has few, so one numpy call takes longer than all their arithmetic.
        self._bounds = list(zip(self._low.tolist(), self._high.tolist(), self._step.tolist(), strict=True))
        self._before = [0.0] * len(self._low)
        self._has_before = False
        self.bounded, self.origin = self._before, [0.0] * len(self._low)
        self.waits: list[int] = []
        self.accepted = 0
        self.refused = 0
        self.unreachable = 0
        self.out_of_range = np.zeros(shape, np.int64)
        self.too_far = np.zeros(shape, np.int64)
        self.waited = np.zeros(shape, np.int64)

    def replace(self, low: ArrayLike, high: ArrayLike, max_step: ArrayLike, max_error: ArrayLike) -> None:
        """Take the limits of another policy's commands, (dim,) each; the last command and the counts stay.

        Raises:
            ConfigurationError: See the class.
        """
        turns = [turn for _, turn in self._errors]
        other = CommandLimits(low, high, max_step, max_error, turns)
        self._low, self._high, self._step = other._low, other._high, other._step
        self._bounds, self._errors = other._bounds, other._errors

    def restart(self, start: ArrayLike | None = None) -> None:
        """Set the values from which the next step counts; without `start` the next step is unlimited.

        Give the measured values if known, so that the first command does not jump either.

        Raises:
            ConfigurationError: `start` has another length, or a value that is not finite.
        """
        self._has_before = start is not None
        if start is not None:
            values = np.array(start, np.float64)
            if values.shape != self._low.shape or not np.isfinite(values).all():
                raise ConfigurationError(f"start is {values}; it must be {len(self._before)} finite numbers.")
            self._before[:] = values.tolist()

    def follow(self, start: list[float]) -> None:
        """As `restart`, with numbers (dim,) that are known to be finite."""
        self._has_before = True
        self._before[:] = start

    def apply(self, command: _Floats, measured: list[float] | None = None) -> bool:
        """As `bound`, for a command (dim,); raises ConfigurationError if it has another length."""
        if command.shape != self._low.shape:
            raise ConfigurationError(f"A command has the shape {command.shape}; the limits are for {self._low.shape}.")
        values = command.tolist()
        if not self.bound(values, measured):
            return False
        command[:] = values
        return True

    def bound(self, values: list[float], measured: list[float] | None = None) -> bool:
        """Clip a command in place, or refuse it.

        Args:
            values: The command, dim numbers.
            measured: Position of the robot, dim numbers; None: no limit on the distance.

        Returns:
            False if the command was refused; it is then unchanged and must not be sent.
        """
        if not all(map(math.isfinite, values)):
            self.refused += 1
            return False
        if self._has_before and not self._reaches_its_range():
            self.unreachable += 1
            return False
        for index, (value, before, (low, high, step)) in enumerate(
            zip(values, self._before, self._bounds, strict=True)
        ):
            bounded = low if value < low else high if value > high else value
            if bounded != value:
                self.out_of_range[index] += 1
            if self._has_before:
                least, most = before - step, before + step
                if not least <= bounded <= most:
                    self.too_far[index] += 1
                    bounded = least if bounded < least else most
            values[index] = bounded
        for rotation in self._rotations if self._has_before else ():
            self.too_far[rotation.first] += rotation.step(values, self._before)
        if measured is not None:
            self._wait_beside(values, measured)
        self.origin[:] = self._before if self._has_before else values
        self._before[:] = values
        self._has_before = True
        self.accepted += 1
        return True

    def _reaches_its_range(self) -> bool:
        """Whether one step from the last command reaches the range, for every value."""
        for before, (low, high, step) in zip(self._before, self._bounds, strict=True):
            if before + step < low or before - step > high:
                return False
        return True

    def is_beside(self, values: list[float], measured: list[float]) -> bool:
        """Whether every value of a command is within `max_error` of its measurement."""
        for value, now, (error, turn) in zip(values, measured, self._errors, strict=True):
            if not -error <= value - now <= error and not -error <= _short_way(value - now, turn, error) <= error:
                return False
        return all(rotation.is_beside(values, measured) for rotation in self._rotations)

    def _wait_beside(self, values: list[float], measured: list[float]) -> None:
        """Move values back to within `max_error` of the measurement, as far as step and range permit."""
        if self.waits:
            self.waits = []
        for index, (value, now, (error, turn)) in enumerate(zip(values, measured, self._errors, strict=True)):
            away = value - now
            if -error <= away <= error:
                continue
            away = _short_way(away, turn, error)
            if -error <= away <= error:
                continue
            self.waits.append(index)
            self.waited[index] += 1
            low, high, step = self._bounds[index]
            if self._has_before:
                low, high = max(low, self._before[index] - step), min(high, self._before[index] + step)
            values[index] = min(max(value - away + math.copysign(error, away), low), high)
        for rotation in self._rotations:
            if rotation.wait_beside(values, measured, self._before if self._has_before else None):
                self.waits.append(rotation.first)
                self.waited[rotation.first] += 1


def _short_way(away: float, turn: float, error: float) -> float:
    """Return an angular distance, taken the shorter way around if it exceeds the permitted error."""
    return math.remainder(away, turn) if turn > 2 * error else away
