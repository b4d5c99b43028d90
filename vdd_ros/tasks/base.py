"""The interface that every simulated task offers: a description and a vectorised simulation."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.demonstrations import Header
from vdd_ros.errors import DemonstrationError, TaskError
from vdd_ros.features import Feature, Signature
from vdd_ros.text import printable

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class TaskSpec:
    """Description of a task.

    Attributes:
        name: Name on the command line and in policy files.
        observation: Features of the observation, in order.
        action: Features of the action, in order.
        rate_hz: Control rate in Hz.
        max_steps: Steps after which an episode is truncated.
        modes: Number of distinguishable ways to succeed, at least 1; the base of the task entropy. With one mode the
            entropy is 0.
        context: Entries of a context, from which an episode starts, such as the pose of a box; empty if all
            episodes start alike.
    """

    name: str
    observation: tuple[Feature, ...]
    action: tuple[Feature, ...]
    rate_hz: float
    max_steps: int
    modes: int
    context: tuple[Feature, ...] = ()

    @property
    def signature(self) -> Signature:
        """Observation, action, control rate and context."""
        return Signature(self.observation, self.action, self.rate_hz, self.context)

    def header(self, source: str, seed: int | None = None) -> Header:
        """Return the header of demonstrations of this task; `source` names the demonstrator."""
        return Header(self.name, self.observation, self.action, self.rate_hz, source, seed, self.context)


@dataclass(frozen=True)
class StepResult:
    """Result of one control step of N parallel episodes.

    Attributes:
        observation: (N, obs_dim), SI units.
        terminated: (N,) the episode ended by success or failure.
        truncated: (N,) the episode reached the step limit.
        success: (N,) the goal has been reached.
        reward: (N,) reward of this step, 0 for ended episodes; None if the task has no reward.
        partial: (N,) share of the goal that has been achieved so far, 0 to 1; None if the task has none.
    """

    observation: Floats
    terminated: Bools
    truncated: Bools
    success: Bools
    reward: Floats | None = None
    partial: Floats | None = None


class TaskSim(Protocol):
    """N independent episodes of a task, stepped together.

    Episodes that have ended are frozen: they ignore actions and repeat their last observation until `reset`.
    """

    spec: TaskSpec

    def reset(self, contexts: Floats | None = None, which: Bools | None = None) -> Floats:
        """Start episodes anew.

        The same context starts the same episode: a simulation draws nothing itself.

        Args:
            contexts: (N, c) entries as in `spec.context`; rows of running episodes are not used, but must be finite
                too. None only if c is 0. `check_contexts` checks them.
            which: (N,) the episodes that start; None: all.

        Returns:
            (N, obs_dim) observations of all episodes.

        Raises:
            TaskError: Contexts are missing, or of another shape, or not finite.
        """
        ...

    def step(self, action: Floats) -> StepResult:
        """Apply actions, (N, act_dim) in SI units, for one control period."""
        ...

    def modes(self) -> Ints:
        """Return the mode of each episode so far, (N,): below `spec.modes` if complete, otherwise any other code."""
        ...


def check_count(count: int) -> None:
    """Raise TaskError if a simulation is to have fewer than one episode."""
    if count < 1:
        raise TaskError(f"a simulation of {count} episodes is requested; the number must be at least 1")


def check_episodes(episodes: int) -> None:
    """Raise DemonstrationError if fewer than one demonstration is requested."""
    if episodes < 1:
        raise DemonstrationError(f"{episodes} demonstrations are requested; the number must be at least 1")


def check_contexts(spec: TaskSpec, contexts: Floats | None, count: int) -> Floats:
    """Return the contexts of `count` episodes, (count, c), as a simulation's `reset` takes them.

    Raises:
        TaskError: They are missing, or of another shape, or not finite.
    """
    size = len(spec.context)
    if contexts is None:
        if size:
            raise TaskError(
                f"episodes of '{printable(spec.name)}' start from contexts of {size} numbers, and none were given; "
                "draw some with Task.draw_contexts"
            )
        return np.zeros((count, 0))
    if contexts.shape != (count, size):
        raise TaskError(
            f"contexts of shape {contexts.shape} were given; {count} episodes of '{printable(spec.name)}' take "
            f"({count}, {size})"
        )
    if not np.isfinite(contexts).all():
        raise TaskError(f"a context of '{printable(spec.name)}' is not finite; give numbers")
    return np.asarray(contexts, dtype=np.float64)


def check_action(spec: TaskSpec, action: Floats, running: Bools) -> None:
    """Raise TaskError if actions are not (N, act_dim), or not finite where an episode is `running`, (N,)."""
    shape = (len(running), len(spec.action))
    if action.shape != shape:
        raise TaskError(f"actions of shape {action.shape} were given; '{printable(spec.name)}' takes {shape}")
    if not np.isfinite(action[running]).all():
        first = int(np.flatnonzero(running & ~np.isfinite(action).all(axis=1))[0])
        raise TaskError(
            f"the action of episode {first} is {action[first]}; '{printable(spec.name)}' takes finite numbers"
        )
