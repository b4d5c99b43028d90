"""Observed last commands before an episode's first command: the robot's measured values."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from vdd_ros.control.history import ObservationHistory
from vdd_ros.features import Feature
from vdd_ros.robot.quantities import unit_factor
from vdd_ros.robot.robot_file import RobotFile


class BeforeCommands:
    """Fills the columns of last commands in a window until there is a command.

    Args:
        robot: The robot file.
        vector: The features of a window.
    """

    def __init__(self, robot: RobotFile, vector: Sequence[Feature]) -> None:
        columns = {feature.name: column for column, feature in enumerate(vector)}
        self._sources = []
        for source in robot.last_commands:
            own = [columns[entry.name] for entry in source.entries]
            measured = [own[i] if e.starts_at is None else columns[e.starts_at] for i, e in enumerate(source.entries)]
            factors = [
                0.0 if e.starts_at is None else unit_factor(vector[there].unit, vector[here].unit, e.name)
                for e, here, there in zip(source.entries, own, measured, strict=True)
            ]
            self._sources.append((source.name, own, measured, np.array(factors, np.float32)))

    def fill(self, window: NDArray[np.float32], history: ObservationHistory) -> None:
        """Write measured values, or zeros for unmeasured numbers, into the columns of commands without a value.

        Args:
            window: (history, obs_dim), from the history.
            history: The history.
        """
        for name, own, measured, factors in self._sources:
            if history.is_empty(name):
                window[:, own] = window[:, measured] * factors + 0.0  # never -0.0, whatever the earlier content

    def fill_rows(self, rows: NDArray[np.float32], empty: Mapping[str, NDArray[np.bool_]]) -> None:
        """Do the same in observations, (n, obs_dim); `empty`, (n,) by name, marks those without a command."""
        for name, own, measured, factors in self._sources:
            wanted = np.flatnonzero(empty[name])
            if len(wanted):
                rows[wanted[:, None], own] = rows[wanted[:, None], measured] * factors + 0.0
