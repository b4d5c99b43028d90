"""Limits of commanded orientations: by angle, never per number."""

from collections.abc import Sequence

from vdd_ros.robot.command_rotations import CommandRotation, bounded
from vdd_ros.robot.rotations import Quaternion, angle_between


class RotationLimit:
    """Bounds the quaternion in a command, in place.

    Args:
        rotation: The orientation in the robot file.
        first: Index of its x among the numbers of a command.

    Attributes:
        first: The same.
    """

    def __init__(self, rotation: CommandRotation, first: int) -> None:
        self.first = first
        self._place = slice(first, first + 4)
        self._max_step, self._max_error = rotation.max_step, rotation.max_error

    def step(self, values: list[float], before: Sequence[float]) -> bool:
        """Turn a command back to within `max_step` of the last one, dim numbers each; return whether it was beyond."""
        start, wanted = self._of(before), self._of(values)
        values[self._place] = bounded(wanted, start, self._max_step)
        return angle_between(start, wanted) > self._max_step

    def is_beside(self, values: Sequence[float], measured: Sequence[float]) -> bool:
        """Whether a command is within `max_error` of the measured orientation."""
        return angle_between(self._of(values), self._of(measured)) <= self._max_error

    def wait_beside(self, values: list[float], measured: Sequence[float], before: Sequence[float] | None) -> bool:
        """Turn a command back to within `max_error` of the measured orientation, as far as the step permits.

        Returns:
            Whether it was beyond.
        """
        if self.is_beside(values, measured):
            return False
        near = bounded(self._of(values), self._of(measured), self._max_error)
        values[self._place] = near if before is None else bounded(near, self._of(before), self._max_step)
        return True

    def _of(self, numbers: Sequence[float]) -> Quaternion:
        x, y, z, w = numbers[self._place]
        return x, y, z, w
