"""The interface that every simulated task offers: a description and a vectorised simulation."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vdd_ros.features import Feature, Signature

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class TaskSpec:
    """What a task is, without running it.

    Attributes:
        name: Name on the command line and in policy files.
        observation: Features of the observation, in order.
        action: Features of the action, in order.
        rate_hz: Control rate in Hz.
        max_steps: Steps after which an episode is truncated.
        modes: Number of distinguishable ways to succeed; the base of the task entropy.
    """

    name: str
    observation: tuple[Feature, ...]
    action: tuple[Feature, ...]
    rate_hz: float
    max_steps: int
    modes: int

    @property
    def signature(self) -> Signature:
        """What is observed and commanded, and how often."""
        return Signature(self.observation, self.action, self.rate_hz)


@dataclass(frozen=True)
class StepResult:
    """What one control step of N parallel episodes gives.

    Attributes:
        observation: (N, obs_dim), SI units.
        terminated: (N,) the episode ended by success or failure.
        truncated: (N,) the episode reached the step limit.
        success: (N,) the goal has been reached.
    """

    observation: Floats
    terminated: Bools
    truncated: Bools
    success: Bools


class TaskSim(Protocol):
    """N independent episodes of a task, stepped together.

    Episodes that have ended are frozen: they ignore actions and repeat their last observation until `reset`.
    """

    spec: TaskSpec

    def reset(self, seed: int | None = None, which: Bools | None = None) -> Floats:
        """Start episodes anew, all or those where `which`, (N,), is true, and return all observations, (N, obs_dim)."""
        ...

    def step(self, action: Floats) -> StepResult:
        """Apply actions, (N, act_dim) in SI units, for one control period."""
        ...

    def modes(self) -> Ints:
        """Return the mode of each episode so far, (N,): below `spec.modes` if complete, else any other code."""
        ...
