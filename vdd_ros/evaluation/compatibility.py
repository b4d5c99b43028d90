"""Checks that a policy fits a task, and that goals and action steps fit the policy."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.demonstrations import DemonstrationSet, Header
from vdd_ros.errors import ConfigurationError, DemonstrationError
from vdd_ros.features import Signature, listed
from vdd_ros.policy.spec import PolicySpec
from vdd_ros.tasks import SHIPPED_TASK
from vdd_ros.tasks.base import TaskSpec
from vdd_ros.text import printable


def task_of(demonstrations: Path | None) -> str:
    """Return the task that demonstrations name, or the shipped one without demonstrations.

    Raises:
        DemonstrationError: The demonstrations cannot be read.
    """
    return SHIPPED_TASK if demonstrations is None else DemonstrationSet.load(demonstrations).header.task


def fits(policy: PolicySpec, task: TaskSpec) -> None:
    """Raise an error if a policy does not fit a task.

    Raises:
        ConfigurationError: The task or the signature differs: observation, action or rate.
    """
    if policy.task not in (None, task.name):
        raise ConfigurationError(
            f"the policy was made for the task '{policy.task}', not for '{task.name}'; omit --task"
        )
    policy.signature.check(
        task.signature,
        "the policy",
        f"the task '{printable(task.name)}'",
        "give a policy that was trained on demonstrations of this task",
        ConfigurationError,
    )


def check_vector_only(*policies: PolicySpec) -> None:
    """Refuse policies that observe arrays, since only single numbers are available; raises ConfigurationError."""
    for policy in policies:
        if policy.arrays:
            raise ConfigurationError(
                f"the policy observes {listed(policy.arrays)}, but this command provides only single numbers; run it "
                "in the node, or give a policy without arrays"
            )


def check_demonstrations(header: Header, task: TaskSpec) -> None:
    """Raise an error if demonstrations do not fit a task. Recordings have no contexts, so contexts may be missing.

    Raises:
        DemonstrationError: The task or the signature differs: observation, action, context or rate.
    """
    mend = f"make some with 'vdd demos {printable(task.name)}'"
    if header.task != task.name:
        raise DemonstrationError(
            f"the demonstrations are of the task '{printable(header.task)}', not of '{printable(task.name)}'; {mend}"
        )
    name = f"the task '{printable(task.name)}'"
    have = header.signature if header.context else replace(header.signature, context=None)
    have.check(task.signature, "the demonstrations", name, mend, DemonstrationError)


def check_action_steps(policy: PolicySpec, action_steps: int) -> None:
    """Raise ConfigurationError unless 1 <= `action_steps` <= the policy's horizon."""
    if not 1 <= action_steps <= policy.horizon:
        raise ConfigurationError(
            f"{action_steps} actions are to be executed at a time, but the policy returns {policy.horizon}; choose 1 "
            f"to {policy.horizon}"
        )


def goals_of(demonstrations: DemonstrationSet, policy: PolicySpec) -> NDArray[np.float64]:
    """Return the last observations of each demonstration as goals of a policy, (episodes, goal_length, obs_dim).

    Raises:
        ConfigurationError: The set's observation is not the policy's, or an episode is shorter than a goal.
    """
    Signature(demonstrations.header.observation, ()).check(
        Signature(policy.observation, ()),
        "--goals: the demonstrations",
        "the policy",
        "give demonstrations of the policy's task",
        ConfigurationError,
    )
    if demonstrations.lengths.min() < policy.goal_length:
        raise ConfigurationError(
            f"--goals: an episode has {demonstrations.lengths.min()} observations, but a goal of the policy has "
            f"{policy.goal_length}; give longer demonstrations"
        )
    ends = np.array([pairs.stop for pairs in demonstrations.episodes()])
    return demonstrations.observation[ends[:, None] + np.arange(-policy.goal_length, 0)]


def goal_of_episode(
    policy: PolicySpec, goals: NDArray[np.floating] | None, rollouts: int
) -> NDArray[np.floating] | None:
    """Return the goal of each episode, (rollouts, goal_length, obs_dim), or None for a policy without goals.

    Episode i has goal i mod N of `goals`, (N, goal_length, obs_dim).

    Raises:
        ConfigurationError: Goals are missing, not supported, or of another shape.
    """
    if (goals is None) != (policy.goal_length == 0):
        needs = f"goals of {policy.goal_length} observations: give" if goals is None else "no goals: omit"
        raise ConfigurationError(f"the policy takes {needs} --goals")
    if goals is None:
        return None
    if goals.shape[1:] != (policy.goal_length, policy.obs_dim) or not len(goals):
        raise ConfigurationError(
            f"the goals have the shape {goals.shape}; the policy takes (N, {policy.goal_length}, {policy.obs_dim})"
        )
    return goals[np.arange(rollouts) % len(goals)]
