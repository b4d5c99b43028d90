"""A policy file acts in many episodes of a task, for several seeds, and is scored."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.evaluation.compatibility import check_action_steps, fits, goal_of_episode
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.progress import progress as track
from vdd_ros.tasks import Task
from vdd_ros.tasks.base import Ints, TaskSpec
from vdd_ros.tasks.metrics import Score
from vdd_ros.tasks.rollout import Rollouts, roll_out


def evaluate_policy(
    policy: OnnxPolicy,
    task: Task,
    rollouts: int,
    seeds: Sequence[int],
    *,
    action_steps: int = 1,
    goals: NDArray[np.floating] | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Let a policy act in many episodes of a task and score them, as `vdd evaluate` does.

    Args:
        policy: The policy; its random stream starts anew with each seed.
        task: The task.
        rollouts: Episodes for each seed.
        seeds: Seeds of the random draws.
        action_steps: How many actions of a chunk are executed before the policy is asked again.
        goals: (N, goal_length, obs_dim) in physical units where the policy takes goals, else None; episode i of each
            seed has goal i mod N.
        progress: Show a progress bar.

    Returns:
        `pooled`: the score of all episodes; `per_seed`: the score of each seed, by its number as text. A score is that
        of `Score.to_dict`, and `ends`: how often episodes ended how.

    Raises:
        ConfigurationError: The policy does not fit the task, or `action_steps` or `goals` the policy.
        TaskError: The policy returns values that are not finite.
    """
    runs = roll_out_seeds(policy, task, rollouts, seeds, action_steps=action_steps, goals=goals, progress=progress)
    return score_seeds(task.spec, runs)


def roll_out_seeds(
    policy: OnnxPolicy,
    task: Task,
    rollouts: int,
    seeds: Sequence[int],
    *,
    action_steps: int = 1,
    goals: NDArray[np.floating] | None = None,
    progress: bool = True,
) -> dict[int, Rollouts]:
    """Return the episodes of each seed; see `evaluate_policy`."""
    fits(policy.spec, task.spec)
    check_action_steps(policy.spec, action_steps)
    episode_goals = goal_of_episode(policy.spec, goals, rollouts)

    def act(windows: NDArray[np.float32]) -> tuple[NDArray[np.float32], Ints | None]:
        batch = policy.act_batch(windows, episode_goals)
        return batch.action, batch.expert

    runs = {}
    with track(rollouts * len(seeds), "rollouts", "episode", disable=not progress) as bar:
        for number, seed in enumerate(seeds):
            before = number * rollouts
            policy.seed(seed)
            policy.reset()
            runs[seed] = roll_out(
                task.make_sim(rollouts),
                act,
                history=policy.spec.history,
                action_steps=action_steps,
                seed=seed,
                progress=lambda ended, before=before: bar.update(before + ended - bar.n),  # type: ignore[misc]
            )
    return runs


def score_seeds(task: TaskSpec, runs: Mapping[int, Rollouts]) -> dict[str, Any]:
    """Return the scores of all episodes together and of each seed; see `evaluate_policy`."""
    return {
        "pooled": _score(task, list(runs.values())),
        "per_seed": {str(seed): _score(task, [run]) for seed, run in runs.items()},
    }


def _score(task: TaskSpec, runs: list[Rollouts]) -> dict[str, Any]:
    success, modes, ends = (
        np.concatenate([getattr(run, name) for run in runs]) for name in ("success", "modes", "ends")
    )
    return {**Score.of(success, modes, task.modes).to_dict(), "ends": dict(Counter(ends.tolist()))}
