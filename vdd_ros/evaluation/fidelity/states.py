"""The states of a comparison: the same instants of demonstrations, as each policy observes them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import ConfigurationError, DemonstrationError
from vdd_ros.policy.spec import PolicySpec

Seen = dict[str, NDArray[np.float32]]
"""Inputs of a policy at S instants in physical units: `observation` and, if the policy takes one, `goal`.

Their shapes are (S, history, obs_dim) and (S, goal_length, obs_dim).
"""


@dataclass(frozen=True)
class States:
    """S instants of demonstrations.

    Attributes:
        teacher, student: Inputs of each policy there.
        action: (S, horizon * act_dim) demonstrated actions, physical units.
    """

    teacher: Seen
    student: Seen
    action: NDArray[np.float64]


def check_pair(teacher: PolicySpec, student: PolicySpec) -> None:
    """Raise an error if the actions of two policies cannot be compared.

    Raises:
        ConfigurationError: Entries, units, horizon or rate differ, or only one of them takes a goal.
    """
    teacher.signature.check(
        student.signature, "the teacher", "the student", "give two policies of one task and rate", ConfigurationError
    )
    if teacher.horizon != student.horizon:
        raise ConfigurationError(
            f"the teacher's horizon is {teacher.horizon}, but the student's is {student.horizon}; both must be the "
            "same, for their actions are compared one to one"
        )
    if bool(teacher.goal_length) != bool(student.goal_length):
        raise ConfigurationError(
            f"the teacher sees {teacher.goal_length} observations of a goal and the student {student.goal_length}; "
            "either both take a goal or neither"
        )


def check_demonstrations(demonstrations: DemonstrationSet, policy: PolicySpec) -> None:
    """Raise an error if demonstrations do not fit a policy's observation, action or rate.

    Raises:
        ConfigurationError: Entries, units or the rate differ.
    """
    demonstrations.header.signature.check(
        policy.signature,
        "the demonstrations",
        "the policies",
        "give demonstrations of the policies' task and rate",
        ConfigurationError,
    )


def seen_by(policy: PolicySpec, demonstrations: DemonstrationSet) -> tuple[Seen, NDArray[np.float64]]:
    """Return a policy's inputs at all K instants of a set, and the demonstrated actions, (K, horizon * act_dim).

    The instants depend only on the horizon, not on the history. A goal is the end of the episode.

    Raises:
        DemonstrationError: No episode has as many actions as a chunk, or one is shorter than a goal.
    """
    observation, action = demonstrations.windows(policy.history, policy.horizon)
    seen = {"observation": observation}
    if policy.goal_length:
        if demonstrations.lengths.min() < policy.goal_length:
            raise DemonstrationError(
                f"demonstrations: an episode has {demonstrations.lengths.min()} observations, but a goal of the policy "
                f"has {policy.goal_length}; give longer episodes"
            )
        ends = np.cumsum(demonstrations.lengths)
        goals = demonstrations.observation[ends[:, None] + np.arange(-policy.goal_length, 0)]
        windows = np.maximum(demonstrations.lengths - policy.horizon + 1, 0)
        seen["goal"] = np.repeat(goals.astype(np.float32), windows, axis=0)
    return seen, action.reshape(len(action), -1).astype(np.float64)


def choose_states(
    teacher: PolicySpec, student: PolicySpec, demonstrations: DemonstrationSet, count: int, rng: np.random.Generator
) -> States:
    """Draw instants of demonstrations, each at most once, in their order.

    Raises:
        DemonstrationError: There are fewer instants than requested; see also `seen_by`.
    """
    theirs, action = seen_by(teacher, demonstrations)
    ours, _ = seen_by(student, demonstrations)
    if len(action) < count:
        raise DemonstrationError(
            f"the demonstrations have {len(action)} states, fewer than the requested {count}; request fewer "
            "or give more demonstrations"
        )
    chosen = np.sort(rng.choice(len(action), count, replace=False))
    return States(at(theirs, chosen), at(ours, chosen), action[chosen])


def at(seen: Seen, rows: NDArray[np.integer] | slice) -> Seen:
    """Return some of the instants."""
    return {name: array[rows] for name, array in seen.items()}


def repeated(seen: Seen, times: int) -> Seen:
    """Return the inputs with each instant repeated `times` times, consecutively."""
    return {name: np.repeat(array, times, axis=0) for name, array in seen.items()}
