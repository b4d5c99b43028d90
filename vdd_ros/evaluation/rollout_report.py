"""What `vdd evaluate` keeps of its episodes: the numbers with where they come from, and a figure of the paths."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vdd_ros.host.facts import machine_facts, runtime_versions
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.tasks.base import TaskSpec
from vdd_ros.tasks.rollout import Rollouts


@dataclass(frozen=True)
class RolloutSettings:
    """How episodes were run.

    Attributes:
        rollouts: Episodes for each seed.
        seeds: Of the random draws.
        action_steps: Actions of a chunk that were executed before the policy was asked again.
        expert, noise: How a mixture acted.
        goals_sha256: Of the demonstrations whose ends were the goals, or None.
    """

    rollouts: int
    seeds: list[int]
    action_steps: int
    expert: str
    noise: str
    goals_sha256: str | None


def rollout_record(
    file: Path, opened: OnnxPolicy, task: TaskSpec, settings: RolloutSettings, scores: dict[str, Any]
) -> dict[str, Any]:
    """Return all that a JSON file holds.

    Args:
        file: Policy file.
        opened: The policy that acted.
        task: What it acted in.
        settings: How.
        scores: Of `evaluate_policy`.
    """
    policy = opened.spec
    drawn = policy.is_mixture and not policy.is_deterministic
    return {
        "task": task.name,
        "policy": {
            "file": file.name,
            "sha256": opened.sha256,
            "bytes": opened.size,
            "structure": policy.structure,
            "method": policy.method,
            "experts": policy.experts,
            "sampling_steps": policy.sampling_steps,
            "history": policy.history,
            "horizon": policy.horizon,
            "goal_length": policy.goal_length,
            "teacher_sha256": policy.teacher_sha256,
            "data_sha256": policy.data_sha256,
        },
        "settings": {
            "rollouts_a_seed": settings.rollouts,
            "action_steps": settings.action_steps,
            "expert": settings.expert if drawn else None,
            "noise": settings.noise if drawn else None,
            **({"deterministic": True} if policy.is_deterministic else {}),
            "goals_sha256": settings.goals_sha256,
        },
        "seeds": settings.seeds,
        **scores,
        "machine": machine_facts(),
        "versions": runtime_versions(),
    }


def draw_rollouts(file: Path, name: str, task: TaskSpec, run: Rollouts, seed: int) -> None:
    """Draw the trajectories, coloured by expert, or by mode where there are no experts."""
    from vdd_ros.tasks.render import position_columns, save_trajectories

    paths, colours, label = run.paths(position_columns(task)), run.expert_paths(), "expert"
    if colours is None:
        label, modes = "mode", np.minimum(run.modes, task.modes)  # one colour for all that are incomplete
        colours = [np.full(len(path), mode) for path, mode in zip(paths, modes, strict=True)]
    title = f"{name}: {int(run.success.sum())} of {len(paths)} rollouts reached the goal (seed {seed})"
    save_trajectories(file, task.name, paths, colours, label=label, title=title)
