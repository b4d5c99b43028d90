"""Rollouts: a policy, given as a function, acts in many episodes of a task at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import ConfigurationError, TaskError
from vdd_ros.tasks.base import Bools, Floats, Ints, TaskSim, check_contexts

Act = Callable[[NDArray[np.float32]], tuple[NDArray[np.floating], Ints | None]]
"""From windows of observations (N, history, obs_dim), oldest first, to actions (N, horizon, act_dim) and the experts
(N,) that acted, None without experts. Row i is always episode i, also after that episode has ended."""

SUCCESS, FAILURE, TIME_LIMIT = "success", "failure", "time limit"


@dataclass(frozen=True)
class Rollouts:
    """N finished episodes. Beyond an episode's length, observations repeat the last one and the rest means nothing.

    Attributes:
        observations: (N, T + 1, obs_dim), the first ones included.
        actions: (N, T, act_dim).
        experts: (N, T) the expert that acted; None if the policy has none.
        lengths: (N,) steps of each episode, at most T.
        success: (N,) whether it reached the goal.
        modes: (N,) its mode.
        ends: (N,) reason of its end: `success`, `failure` or `time limit`.
        contexts: (N, c) context of each episode; c may be 0.
        returns: (N,) sum of the rewards of each episode; None if the task has none.
        partial: (N,) share of the goal achieved at its end; None if the task has none.
        goals: (N, goal_length, obs_dim) what the policy was told to achieve; None if it takes no goals.
    """

    observations: Floats
    actions: Floats
    experts: Ints | None
    lengths: Ints
    success: Bools
    modes: Ints
    ends: NDArray[np.str_]
    contexts: Floats
    returns: Floats | None = None
    partial: Floats | None = None
    goals: NDArray[np.floating] | None = None

    @classmethod
    def joined(cls, parts: "Sequence[Rollouts]") -> "Rollouts":
        """Return the episodes of several runs of one task and policy in one; shorter runs are filled up."""
        longest = max(one.actions.shape[1] for one in parts)
        return cls(
            **{
                field.name: _join([getattr(one, field.name) for one in parts], longest, field.name)
                for field in fields(cls)
            }
        )

    def paths(self, columns: tuple[int, ...]) -> list[Floats]:
        """Return the given entries of the observations of each episode, (length + 1, len(columns))."""
        return [path[: n + 1, columns] for path, n in zip(self.observations, self.lengths, strict=True)]

    def expert_paths(self) -> list[Ints] | None:
        """Return the expert that acted at each observation of each episode; at the last one that of the step before."""
        if self.experts is None:
            return None
        return [np.append(row[:n], row[n - 1]) for row, n in zip(self.experts, self.lengths, strict=True)]


def _join(arrays: list[Any], steps: int, name: str) -> Any:
    """Return arrays of consecutive episodes as one; those by step are filled up to `steps`."""
    if any(array is None for array in arrays):
        return None
    if name in ("observations", "actions", "experts"):
        steps += name == "observations"
        arrays = [np.pad(one, _more(one, steps - one.shape[1]), mode="edge") for one in arrays]
    return np.concatenate(arrays)


def _more(array: NDArray[np.generic], steps: int) -> list[tuple[int, int]]:
    return [(0, steps if axis == 1 else 0) for axis in range(array.ndim)]


def roll_out(
    sim: TaskSim,
    act: Act,
    *,
    history: int,
    action_steps: int = 1,
    contexts: Floats | None = None,
    progress: Callable[[int], None] = lambda ended: None,
) -> Rollouts:
    """Let a policy act in every episode of a simulation until all have ended.

    The window of the first step repeats the first observation, as the node's history does at activation.

    Args:
        sim: The simulation; it is reset.
        act: The policy.
        history: Observations in a window, at least 1.
        action_steps: Number of actions of a chunk to execute before the next call of the policy.
        contexts: (N, c) contexts of the episodes, as from `Task.draw_contexts`; None if the task has none.
        progress: Called after every step with the number of episodes that have ended so far.

    Raises:
        ConfigurationError: `history` or `action_steps` is below 1.
        TaskError: The policy returns another shape, a chunk shorter than `action_steps`, or values that are not
            finite; or the contexts are not those of the task.
    """
    for name, value in (("history", history), ("action_steps", action_steps)):
        if value < 1:
            raise ConfigurationError(f"{name} is {value}; it must be at least 1")
    observation = sim.reset(contexts)
    windows = np.repeat(observation[:, None].astype(np.float32), history, axis=1)  # (N, history, obs_dim)
    count, running = len(observation), np.ones(len(observation), dtype=bool)
    lengths, truncated = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=bool)
    observations: list[Floats] = [observation]
    actions: list[Floats] = []
    experts: list[Ints] = []
    rewards: list[Floats] = []
    while running.any():
        step = len(actions)
        if step % action_steps == 0:
            chunk, expert = act(windows)
            _check(chunk, (count, len(sim.spec.action)), action_steps, running, step)
        action = np.asarray(chunk[:, step % action_steps], dtype=np.float64)
        result = sim.step(action)
        observations.append(result.observation)
        actions.append(action)
        if expert is not None:
            experts.append(expert)
        if result.reward is not None:
            rewards.append(np.where(running, result.reward, 0.0))
        lengths += running
        truncated |= running & result.truncated
        running &= ~(result.terminated | result.truncated)
        windows = np.concatenate([windows[:, 1:], result.observation[:, None].astype(np.float32)], axis=1)
        progress(count - int(running.sum()))
    return Rollouts(
        observations=np.stack(observations, axis=1),
        actions=np.stack(actions, axis=1),
        experts=np.stack(experts, axis=1) if experts else None,
        lengths=lengths,
        success=result.success,
        modes=sim.modes(),
        ends=np.where(result.success, SUCCESS, np.where(truncated, TIME_LIMIT, FAILURE)),
        contexts=check_contexts(sim.spec, contexts, count),
        returns=np.sum(rewards, axis=0) if rewards else None,
        partial=result.partial,
    )


def _check(chunk: NDArray[np.floating], shape: tuple[int, int], action_steps: int, running: Bools, step: int) -> None:
    """Refuse actions that cannot be executed."""
    count, act_dim = shape
    if chunk.ndim != 3 or chunk.shape[::2] != shape or chunk.shape[1] < action_steps:
        raise TaskError(
            f"the policy returned actions of shape {chunk.shape}; {count} episodes need ({count}, horizon, {act_dim}) "
            f"with a horizon of at least {action_steps}, the number of actions that are executed"
        )
    broken = np.flatnonzero(running & ~np.isfinite(chunk[:, :action_steps]).all(axis=(1, 2)))
    if broken.size:
        raise TaskError(
            f"the policy returned actions that are not finite in {broken.size} of {count} episodes, first in episode "
            f"{broken[0]} at step {step}; train or export the policy again"
        )


def replay(sim: TaskSim, demonstrations: DemonstrationSet) -> Rollouts:
    """Execute the recorded actions of every episode open-loop, from the context in which it was recorded.

    Beyond its last action an episode gets zeros.

    Args:
        sim: As many episodes as the set has.
        demonstrations: The set.

    Raises:
        TaskError: The set's contexts are not those of the task.
    """
    episodes = demonstrations.episodes()
    longest = int(demonstrations.lengths.max())
    script = np.zeros((len(episodes), max(longest, sim.spec.max_steps), 1, len(sim.spec.action)))
    for row, pairs in zip(script, episodes, strict=True):
        row[: pairs.stop - pairs.start, 0] = demonstrations.action[pairs]
    steps = iter(range(script.shape[1]))
    return roll_out(sim, lambda _: (script[:, next(steps)], None), history=1, contexts=demonstrations.contexts)
