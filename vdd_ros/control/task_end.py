"""The end of a task, detected from its observations."""

import math

import numpy as np
from numpy.typing import NDArray

from vdd_ros.policy.spec import PolicySpec
from vdd_ros.robot.episodes import DoneRule
from vdd_ros.robot.quantities import unit_factor
from vdd_ros.robot.robot_file import RobotFile


class TaskEnd:
    """Detects that an entry has been beyond its bound for long enough, after being within it in the same episode.

    A rule that already holds when an episode begins must be broken first.

    Args:
        rule: The rule.
        unit: Unit of the rule's bound.

    Attributes:
        rule: The same.
    """

    def __init__(self, rule: DoneRule, unit: str) -> None:
        self.rule = rule
        self._unit = unit
        self._spec: PolicySpec | None = None
        self._column, self._bound = 0, 0.0
        self.reset()

    @classmethod
    def of(cls, robot: RobotFile) -> "TaskEnd | None":
        """Return the rule of a robot file; None if it has none."""
        if (rule := robot.episodes.done) is None:
            return None
        units = {feature.name: feature.unit for feature in robot.signature.observation}
        return cls(rule, units[rule.entry])

    def reset(self) -> None:
        """Begin an episode."""
        self._armed = False
        self._since_s = math.inf

    def holds(self, newest: NDArray[np.float32], spec: PolicySpec, now_s: float) -> bool:
        """Return whether the task is over.

        Args:
            newest: (obs_dim,) observation of this tick.
            spec: Metadata of the active policy, with the observation's order and units.
            now_s: The time in seconds.
        """
        if spec is not self._spec:
            self._bind(spec)
        value = float(newest[self._column])
        if not (value > self._bound if self.rule.above else value < self._bound):
            self._armed, self._since_s = True, math.inf
            return False
        if not self._armed:
            return False
        self._since_s = min(self._since_s, now_s)
        return now_s - self._since_s >= self.rule.for_s

    def _bind(self, spec: PolicySpec) -> None:
        names = [entry.name for entry in spec.vector]
        self._spec, self._column = spec, names.index(self.rule.entry)
        # The factor from the policy's unit to that of the robot file.
        self._bound = self.rule.bound / unit_factor(spec.vector[self._column].unit, self._unit, self.rule.entry)
