"""Record of one decision: observation, action and log probability."""

import math

import numpy as np
from numpy.typing import NDArray

from vdd_ros.policy.act import Act
from vdd_ros.policy.spec import PolicySpec

HEAD = ("seq", "stamp_s", "log_prob", "expert")
"""The labels before the window, the goal and the action."""


def observation_label(age: int, entry: str) -> str:
    """Return the label of an observation entry, `age` periods before the newest one."""
    return f"observation[{-age}].{entry}"


def goal_label(place: int, entry: str) -> str:
    """Return the label of an entry of a goal's observation, counted from the oldest."""
    return f"goal[{place}].{entry}"


def action_label(entry: str) -> str:
    """Return the label of an action entry."""
    return f"action.{entry}"


def window_labels(spec: PolicySpec) -> list[str]:
    """Return the labels of the observation window, (history * obs_dim), oldest first."""
    names = [entry.name for entry in spec.vector]
    return [observation_label(age, name) for age in reversed(range(spec.history)) for name in names]


def goal_labels(spec: PolicySpec) -> list[str]:
    """Return the labels of the goal, (goal_length * obs_dim), oldest first."""
    return [goal_label(place, entry.name) for place in range(spec.goal_length) for entry in spec.vector]


def decision_labels(spec: PolicySpec) -> tuple[str, ...]:
    """Return the labels of a policy's decisions, in order: HEAD, window, goal, action."""
    actions = [action_label(entry.name) for entry in spec.action]
    return (*HEAD, *window_labels(spec), *goal_labels(spec), *actions)


class DecisionRecord:
    """One decision, in one array that every tick reuses; array observations are left out.

    Args:
        spec: Metadata of the policy.

    Attributes:
        labels: Names of the values.
        values: (len(labels),) physical units; NaN if absent.
    """

    def __init__(self, spec: PolicySpec) -> None:
        self.labels = decision_labels(spec)
        self.values = np.full(len(self.labels), np.nan)
        window_end = len(HEAD) + spec.history * spec.obs_dim
        goal_end = window_end + spec.goal_length * spec.obs_dim
        self._window = self.values[len(HEAD) : window_end].reshape(spec.history, spec.obs_dim)
        self._goal = self.values[window_end:goal_end].reshape(spec.goal_length, spec.obs_dim)
        self._action = self.values[goal_end:]

    def fill(
        self,
        seq: int,
        stamp_s: float,
        act: Act,
        action: NDArray[np.floating],
        window: NDArray[np.floating],
        goal: NDArray[np.floating] | None,
    ) -> None:
        """Write a decision.

        Args:
            seq: Sequence number of the tick's latency record.
            stamp_s: Time of the tick.
            act: The policy's result.
            action: (act_dim,) action of this tick, in physical units.
            window: (history, obs_dim) observations behind the act.
            goal: (goal_length, obs_dim), or None if the policy takes none.
        """
        values = self.values
        values[0] = seq
        values[1] = stamp_s
        values[2] = math.nan if act.log_prob is None else act.log_prob
        values[3] = math.nan if act.expert is None else act.expert
        self._window[:] = window
        if goal is not None:
            self._goal[:] = goal
        self._action[:] = action
