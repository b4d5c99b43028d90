"""Rollouts: a policy, given as a function, acts in many episodes of a task at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import ConfigurationError
from vdd_ros.tasks.base import Bools, Floats, Ints, TaskSim, check_contexts
from vdd_ros.tasks.chunk_plan import REPLACE, Act, ActGiven, ChunkPlan

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
        seams: (N, T, act_dim) where a chunk begins to be executed, the action less what was planned for that step
            before; NaN elsewhere. None if each chunk ends where the next one begins.
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
    seams: Floats | None = None

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
    if name in ("observations", "actions", "experts", "seams"):
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
    delay: int = 0,
    joint: str = REPLACE,
    given: ActGiven | None = None,
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
        delay: Steps until an answer arrives; see `ChunkPlan`.
        joint: How it is joined to the chunk that is being executed, one of `vdd_ros.tasks.chunk_plan.JOINTS`.
        given: The policy, told what is executed until then; None: it is not told.
        contexts: (N, c) contexts of the episodes, as from `Task.draw_contexts`; None if the task has none.
        progress: Called after every step with the number of episodes that have ended so far.

    Raises:
        ConfigurationError: `history` is below 1, or as `ChunkPlan`.
        TaskError: The policy returns another shape, a chunk shorter than `action_steps` and `delay` together, or values
            that are not finite; or the contexts are not those of the task.
    """
    if history < 1:
        raise ConfigurationError(f"history is {history}; it must be at least 1")
    observation = sim.reset(contexts)
    windows = np.repeat(observation[:, None].astype(np.float32), history, axis=1)  # (N, history, obs_dim)
    count, running = len(observation), np.ones(len(observation), dtype=bool)
    act_dim = len(sim.spec.action)
    plan = ChunkPlan(act, count, act_dim, action_steps=action_steps, delay=delay, joint=joint, given=given)
    lengths, truncated = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=bool)
    observations: list[Floats] = [observation]
    actions: list[Floats] = []
    experts: list[Ints] = []
    seams: list[Floats] = []
    rewards: list[Floats] = []
    none = np.full((count, act_dim), np.nan)
    while running.any():
        action, expert, seam = plan.next(windows, running)
        result = sim.step(action)
        observations.append(result.observation)
        actions.append(action)
        seams.append(none if seam is None else seam)
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
        seams=np.stack(seams, axis=1) if plan.overlaps else None,
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
