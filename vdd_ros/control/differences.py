"""Entries that are the difference of two values at the same time."""

import numpy as np
from numpy.typing import NDArray

from vdd_ros.features import Feature
from vdd_ros.robot.quantities import turn, unit_factor
from vdd_ros.robot.robot_file import RobotFile


class Differences:
    """Turns a window of the inputs' values into the policy's observations.

    Args:
        robot: The robot file.
        observation: The n features of the policy's vector.

    Attributes:
        any: Whether the policy observes anything but the values themselves.
    """

    def __init__(self, robot: RobotFile, observation: tuple[Feature, ...]) -> None:
        self.read = (*observation, *robot.hidden)
        """Features of a window before the subtraction: those of the vector, then the hidden ones."""
        columns = {feature.name: column for column, feature in enumerate(self.read)}
        pairs = [(entry.name, entry.minus) for entry in robot.input_entries if entry.minus is not None]
        self._columns = [columns[name] for name, _ in pairs]
        self._others = [columns[other] for _, other in pairs]
        units = [(self.read[columns[other]].unit, self.read[columns[name]].unit) for name, other in pairs]
        self._factors = np.array([unit_factor(have, want, want) for have, want in units], np.float32)
        self._turns = [
            (self._columns[index], around) for index, (_, want) in enumerate(units) if (around := turn(want))
        ]
        self._size = len(observation)
        self.any = bool(pairs or robot.hidden)
        self._visible: NDArray[np.float32] | None = None

    def apply(self, values: NDArray[np.float32]) -> None:
        """Write the differences into (rows, n + hidden) values."""
        if self._columns:
            values[:, self._columns] -= values[:, self._others] * self._factors
            for column, around in self._turns:
                values[:, column] -= around * np.rint(values[:, column] / around)

    def applied(self, window: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the policy's observation window, (history, n).

        Args:
            window: (history, n + hidden) values; the differences are written into it. Differences of angles go the
                shorter way round.
        """
        self.apply(window)
        if window.shape[1] == self._size:
            return window
        if self._visible is None:
            self._visible = np.empty((len(window), self._size), np.float32)
        self._visible[:] = window[:, : self._size]
        return self._visible
